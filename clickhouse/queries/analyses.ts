import { Block } from '../block.ts';
import type { Database } from '../client.ts';
import type { Question } from '../question.ts';
import { type AnalysisRow, analysesTable, type KeptAnalysis } from '../tables/analyses.ts';

/** Analyses as they were last computed, and which workflows are due for being computed again. */

export interface KeptAsk {
  workflow: string;
  analysis: KeptAnalysis;
  /** '' for whichever there is. */
  source: string;
}

export interface KeptRow {
  source: string;
  workflow_version: string;
  answer: string;
  computed_at_ms: number;
  seen_until_ms: number;
}

/** One row; of a dependency graph one for each version, that of the newest executions first. */
export const keptAnalysisQuestion: Question<KeptAsk, KeptRow> = {
  name: 'kept_analysis',
  sql: () => `SELECT source, workflow_version, answer, toUnixTimestamp64Milli(computed_at) AS computed_at_ms,
  toUnixTimestamp64Milli(seen_until) AS seen_until_ms
FROM workflow_analyses FINAL
WHERE workspace = {workspace: String} AND workflow_id = {workflow: String} AND analysis = {analysis: String}
  AND ({source: String} = '' OR source = {source: String})
ORDER BY source, range_to DESC, workflow_version DESC
LIMIT 200`,
};

export interface DueWorkflow {
  workspace: string;
  source: string;
  workflowId: string;
  project: string;
  /** Its newest event. */
  lastEventMs: number;
  /** 0 where it never was. */
  computedAtMs: number;
}

export interface DueAsk {
  /** What was computed before is due, if there is anything newer. */
  beforeMs: number;
  /** The same for what was computed from few usable executions: each new one may change it. */
  soonMs: number;
  methodVersion: number;
  limit: number;
}

/** Fewer executions than this are few. Those that could not be used do not count: tasks may lag behind their executions. */
const executionsFew = 50;

/** A statement keeps within memory however many executions there are. */
const boundedWork = {
  max_memory_usage: 2_000_000_000,
  max_bytes_before_external_group_by: 400_000_000,
  max_bytes_ratio_before_external_group_by: 0,
  max_threads: 2,
  max_execution_time: 60,
};

/**
 * Workflows with something newer than what their analyses have seen, those that were never computed first and then those
 * that wait longest. The greatest of all rows is the latest whether they were merged or not. Of rows that were computed
 * together, those of one version alone stand on fewer executions than the workflow has, so the most of them counts.
 */
export async function listDueWorkflows(
  database: Database,
  { beforeMs, soonMs, methodVersion, limit }: DueAsk,
): Promise<DueWorkflow[]> {
  return await database.rows<DueWorkflow>(
    `SELECT workspace, source, workflow_id AS workflowId, project, lastEventMs, computedAtMs
     FROM (
       SELECT workspace, source, tupleElement(workflow, 'workflow_id') AS workflow_id, max(project) AS project,
         toUnixTimestamp64Milli(max(last_event_at)) AS lastEventMs
       FROM executions WHERE tupleElement(workflow, 'workflow_id') != '' GROUP BY workspace, source, workflow_id) AS seen
     LEFT JOIN (
       SELECT workspace, source, workflow_id, toUnixTimestamp64Milli(max(computed_at)) AS computedAtMs,
         toUnixTimestamp64Milli(argMax(seen_until, computed_at)) AS seenUntilMs, argMax(method_version, computed_at) AS methodVersion,
         argMax(usable_executions, (computed_at, usable_executions)) AS usable
       FROM workflow_analyses GROUP BY workspace, source, workflow_id) AS kept USING (workspace, source, workflow_id)
     WHERE computedAtMs = 0 OR (computedAtMs < if(usable < {few: UInt32}, {soonMs: Int64}, {beforeMs: Int64})
       AND (lastEventMs > seenUntilMs OR methodVersion != {methodVersion: UInt32}))
     ORDER BY computedAtMs, cityHash64(workspace, source, workflow_id)
     LIMIT {limit: UInt32}`,
    { beforeMs, soonMs, methodVersion, limit, few: executionsFew },
    boundedWork,
  );
}

export async function storeAnalyses(database: Database, rows: readonly AnalysisRow[]): Promise<void> {
  await database.insert(new Block(analysesTable, rows));
}
