import { array, columnsOf, float64, name, second, type Table, text, uint32, uint64 } from '../columns.ts';

/** What a baseline says something about. Durations are scored on the scale of their logarithm. */
export const baselineMeasures = ['duration', 'queue', 'failure_ratio', 'finished_per_hour'] as const;
export type BaselineMeasure = (typeof baselineMeasures)[number];

/** Whose baseline it is; no version means all of them together, no task whole executions. */
export interface BaselineKey {
  workspace: string;
  source: string;
  workflowId: string;
  workflowVersion: string;
  taskId: string;
}

/** What was usual, by the numbers. */
export interface BaselineEstimate {
  n: number;
  windows: number;
  center: number;
  spread: number;
  p05: number;
  p25: number;
  p50: number;
  p75: number;
  p95: number;
  season: readonly number[];
}

export interface BaselineRow extends BaselineKey, BaselineEstimate {
  measure: BaselineMeasure;
  validFromMs: number;
  id: string;
  methodVersion: number;
  windowsFromMs: number;
  windowsThroughMs: number;
}

/** Hours of a rollup that baselines are made of. */
export interface BaselineKind {
  kind: 'executions' | 'tasks';
  source: 'execution_hours' | 'task_hours';
}

export const baselineKinds: readonly BaselineKind[] = [
  { kind: 'executions', source: 'execution_hours' },
  { kind: 'tasks', source: 'task_hours' },
];

const ofBaseline = columnsOf<BaselineRow>();
const quantileColumns = (['p05', 'p25', 'p50', 'p75', 'p95'] as const).map((quantile) =>
  ofBaseline(quantile, float64, (row) => row[quantile]),
);

export const baselinesTable: Table<BaselineRow> = {
  name: 'baselines',
  columns: [
    ofBaseline('workspace', name, (row) => row.workspace),
    ofBaseline('source', name, (row) => row.source),
    ofBaseline('workflow_id', name, (row) => row.workflowId),
    ofBaseline('workflow_version', name, (row) => row.workflowVersion),
    ofBaseline('task_id', name, (row) => row.taskId),
    ofBaseline('measure', name, (row) => row.measure),
    ofBaseline('valid_from', second, (row) => row.validFromMs),
    ofBaseline('id', text, (row) => row.id),
    ofBaseline('method_version', uint32, (row) => row.methodVersion),
    ofBaseline('n', uint64, (row) => row.n),
    ofBaseline('windows', uint32, (row) => row.windows),
    ofBaseline('windows_from', second, (row) => row.windowsFromMs),
    ofBaseline('windows_through', second, (row) => row.windowsThroughMs),
    ofBaseline('center', float64, (row) => row.center),
    ofBaseline('spread', float64, (row) => row.spread),
    ...quantileColumns,
    ofBaseline('season', array(float64), (row) => row.season),
  ],
};

/** A generation whose rows are all there. */
export interface GenerationRow {
  kind: BaselineKind['kind'];
  validFromMs: number;
  methodVersion: number;
  windowsFromMs: number;
  windowsThroughMs: number;
  baselines: number;
}

const ofGeneration = columnsOf<GenerationRow>();

export const generationsTable: Table<GenerationRow> = {
  name: 'baseline_generations',
  columns: [
    ofGeneration('kind', name, (row) => row.kind),
    ofGeneration('valid_from', second, (row) => row.validFromMs),
    ofGeneration('method_version', uint32, (row) => row.methodVersion),
    ofGeneration('windows_from', second, (row) => row.windowsFromMs),
    ofGeneration('windows_through', second, (row) => row.windowsThroughMs),
    ofGeneration('baselines', uint64, (row) => row.baselines),
  ],
};
