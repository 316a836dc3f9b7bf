/** What was planted, where and when: the answers that analyses are judged by. Nothing but tests and benches reads it. */
export const incidentKinds = [
  'slow_task',
  'failing_dependency',
  'stuck_run',
  'starved_pool',
  'retry_storm',
  'backlog',
  'lost_worker',
  'hot_worker',
  'version_regression',
  'missing_run',
  'memory_leak',
  'noisy_neighbour',
  'split_brain',
  'slow_scheduler',
  'bad_input',
] as const;
export type IncidentKind = (typeof incidentKinds)[number];

export interface TruthRecord {
  id: string;
  kind: IncidentKind;
  startMs: number;
  endMs: number;
  /** Why it happened, as somebody would write it after having found out. */
  cause: string;
  workspace: string;
  source: string;
  orchestratorId: string;
  poolId: string | null;
  workerIds: string[];
  workflowIds: string[];
  taskIds: string[];
  /** Executions that the effect touched, in order and at most `executionIdsMost` of them. */
  executionIds: string[];
  executionsTouched: number;
  /** Sizes of the effect, by names that end in their unit. */
  parameters: Record<string, number | string>;
}

export const executionIdsMost = 500;

export function encodeTruth(record: TruthRecord): string {
  return JSON.stringify(record);
}
