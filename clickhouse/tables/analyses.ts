import { columnsOf, float64, instant, name, type Table, text, uint32, uint64 } from '../columns.ts';

/** Analyses of a workflow that are kept. */
export const keptAnalyses = [
  'critical_path',
  'bottlenecks',
  'patterns',
  'anti_patterns',
  'dependency_graph',
  'prediction',
] as const;
export type KeptAnalysis = (typeof keptAnalyses)[number];

export interface AnalysisRow {
  workspace: string;
  workflowId: string;
  source: string;
  analysis: KeptAnalysis;
  workflowVersion: string;
  project: string;
  refused: string;
  executions: number;
  usableExecutions: number;
  taskAttempts: number;
  missingPct: number;
  rangeFromMs: number;
  rangeToMs: number;
  seenUntilMs: number;
  methodVersion: number;
  computeMs: number;
  answer: string;
  computedAtMs: number;
}

const ofAnalysis = columnsOf<AnalysisRow>();

export const analysesTable: Table<AnalysisRow> = {
  name: 'workflow_analyses',
  columns: [
    ofAnalysis('workspace', name, (row) => row.workspace),
    ofAnalysis('workflow_id', name, (row) => row.workflowId),
    ofAnalysis('source', name, (row) => row.source),
    ofAnalysis('analysis', name, (row) => row.analysis),
    ofAnalysis('workflow_version', name, (row) => row.workflowVersion),
    ofAnalysis('project', name, (row) => row.project),
    ofAnalysis('refused', text, (row) => row.refused),
    ofAnalysis('executions', uint32, (row) => row.executions),
    ofAnalysis('usable_executions', uint32, (row) => row.usableExecutions),
    ofAnalysis('task_attempts', uint64, (row) => row.taskAttempts),
    ofAnalysis('missing_pct', float64, (row) => row.missingPct),
    ofAnalysis('range_from', instant, (row) => row.rangeFromMs),
    ofAnalysis('range_to', instant, (row) => row.rangeToMs),
    ofAnalysis('seen_until', instant, (row) => row.seenUntilMs),
    ofAnalysis('method_version', uint32, (row) => row.methodVersion),
    ofAnalysis('compute_ms', uint32, (row) => row.computeMs),
    ofAnalysis('answer', text, (row) => row.answer),
    ofAnalysis('computed_at', instant, (row) => row.computedAtMs),
  ],
};
