import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import { listDueWorkflows, storeAnalyses } from '../../clickhouse/queries/analyses.ts';
import type { AnalysisRow, KeptAnalysis } from '../../clickhouse/tables/analyses.ts';
import { ClickHouseStore } from '../../pipelines/clickhouse-store.ts';
import { WaitingEntities } from '../../pipelines/waiting-entities.ts';
import type { ExecutionEvent } from '../../schemas/events.ts';
import { decodeEvent } from '../pipelines/sample-records.ts';
import { createTestDatabase } from '../support/stack.ts';
import { defaultSettings } from './default-settings.ts';

const target = await createTestDatabase('due_workflows');
const database = new Database(target);
const nowMs = Date.UTC(2026, 10, 20, 12);
const minuteMs = 60_000;
const ask = { beforeMs: nowMs - 15 * minuteMs, soonMs: nowMs - 2 * minuteMs, methodVersion: 1, limit: 100 };

interface Computed {
  minutesAgo: number;
  executions: number;
  usable: number;
  seenMinutesAgo?: number;
  analysis?: KeptAnalysis;
  version?: string;
}

function keptRow(workflowId: string, { minutesAgo, executions, usable, ...kept }: Computed): AnalysisRow {
  const basis = { taskAttempts: 0, missingPct: 0, rangeFromMs: 0, rangeToMs: 0, computeMs: 1 };
  return {
    workspace: 'default',
    source: 'airflow',
    workflowId,
    analysis: kept.analysis ?? 'bottlenecks',
    workflowVersion: kept.version ?? '',
    project: '',
    refused: '',
    executions,
    usableExecutions: usable,
    ...basis,
    seenUntilMs: nowMs - (kept.seenMinutesAgo ?? 20) * minuteMs,
    methodVersion: 1,
    answer: '{}',
    computedAtMs: nowMs - minutesAgo * minuteMs,
  };
}

/** Each has an execution of a minute ago, which is newer than what its analyses have seen, but for one of them. */
const workflows: Record<string, Computed[]> = {
  never: [],
  many_lately: [{ minutesAgo: 5, executions: 200, usable: 60 }],
  many_long_ago: [{ minutesAgo: 16, executions: 200, usable: 60 }],
  few: [{ minutesAgo: 5, executions: 12, usable: 12 }],
  few_just_now: [{ minutesAgo: 1, executions: 12, usable: 12 }],
  nothing_new: [{ minutesAgo: 30, executions: 60, usable: 60, seenMinutesAgo: 1 }],
  tasks_lag: [{ minutesAgo: 5, executions: 200, usable: 2 }],
  tasks_lagged: [
    { minutesAgo: 9, executions: 200, usable: 2 },
    { minutesAgo: 5, executions: 200, usable: 60 },
  ],
  new_version: [
    { minutesAgo: 5, executions: 200, usable: 198 },
    { minutesAgo: 5, executions: 3, usable: 3, analysis: 'dependency_graph', version: '2' },
    { minutesAgo: 5, executions: 197, usable: 195, analysis: 'dependency_graph', version: '1' },
  ],
};

beforeAll(async () => {
  await migrate(target, migrateOptions(defaultSettings()));
  const waiting = new WaitingEntities(new ClickHouseStore(database));
  Object.entries(workflows).forEach(([workflow_id, _], offset) => {
    const record = { workflow_id, execution_id: workflow_id, source: 'airflow', state: 'running' };
    const event = decodeEvent('executions', { ...record, event_time: nowMs - minuteMs }) as ExecutionEvent;
    waiting.addExecution({ event, offset, partition: 0, thingHash: { waiting: null } });
  });
  for (const batch of waiting.take()) await new ClickHouseStore(database).insert(batch);
  // What was computed together is stored together.
  for (const [workflow, computed] of Object.entries(workflows)) {
    for (const minutesAgo of new Set(computed.map((of) => of.minutesAgo))) {
      const together = computed.filter((of) => of.minutesAgo === minutesAgo);
      await storeAnalyses(
        database,
        together.map((of) => keptRow(workflow, of)),
      );
    }
  }
});
afterAll(() => database.close());

describe('a workflow is due', () => {
  it('when its analyses are old, and sooner where few executions could be used for them', async () => {
    const due = await listDueWorkflows(database, ask);
    expect(due.map(({ workflowId }) => workflowId).sort()).toEqual(['few', 'many_long_ago', 'never', 'tasks_lag']);
    expect(due.map(({ workflowId }) => workflowId).slice(0, 2)).toEqual(['never', 'many_long_ago']);
    expect(due[0]).toMatchObject({ computedAtMs: 0, lastEventMs: nowMs - minuteMs });
  });

  it('when methods have changed', async () => {
    const due = await listDueWorkflows(database, { ...ask, methodVersion: 2 });
    expect(due.map(({ workflowId }) => workflowId)).toContain('nothing_new');
    expect(due).toHaveLength(5);
  });
});
