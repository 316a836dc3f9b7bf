import type { Orchestrator, Pool } from './orchestrator.ts';
import type { PlayEffects } from './play.ts';
import type { Random } from './random.ts';
import type { IncidentKind } from './truth.ts';

/** Where an incident is to happen: what is left out is chosen by its kind, from the workflow. */
export interface PlannedIncident {
  id: string;
  kind: IncidentKind;
  startMs: number;
  endMs: number;
  workflowId: string;
  taskId?: string;
}

/** What an incident may touch of the world. Each touch is undone by what it answers with. */
export interface IncidentStage {
  readonly nowMs: number;
  readonly random: Random;
  readonly planned: PlannedIncident;
  readonly owner: Orchestrator;
  /** Tasks of the workflow that take a slot, with the pool of each. */
  readonly workTasks: readonly StageTask[];
  at(ms: number, action: () => void): void;
  /** Changes what attempts come to. */
  affect(effects: PlayEffects): () => void;
  /** Keeps runs of the workflow from beginning. */
  mute(workflowId: string, onMissed: () => void): () => void;
  /** Begins a run that nobody planned. */
  startRun(workflowId: string, by: string): string | null;
  /** Puts another version in place from now on. */
  release(workflowId: string, version: string): void;
  versionOf(workflowId: string): string;
  /** Cancels the run that an execution is, or is a part of. */
  cancel(executionId: string, reason: string): boolean;
  /** Called when a run begins. */
  onRun(listener: (workflowId: string, executionId: string) => void): () => void;
  /** Called when a run is over. */
  onRunEnd(listener: (workflowId: string, state: string) => void): () => void;
  /** Says that this execution was touched. */
  touch(executionId: string): void;
  poolOf(task: StageTask): Pool;
}

export interface StageTask {
  workflowId: string;
  taskId: string;
  type: 'compute' | 'io' | 'network';
  operator: string;
  pool: string;
  /** Whether anything ends it that takes too long. */
  hasTimeout: boolean;
  expectedMs: number;
}

/** What was planted, for the truth record, and how it ends. */
export interface Planted {
  cause: string;
  taskIds?: string[];
  workflowIds?: string[];
  poolId?: string;
  workerIds?: string[];
  parameters: Record<string, number | string>;
  end(): void;
}

export type Plant = (stage: IncidentStage) => Planted;

/** The task that an incident is about: the one planned, or one of those that take longest. */
export function targetTask(stage: IncidentStage, among: readonly StageTask[] = stage.workTasks): StageTask {
  const { planned } = stage;
  const own = among
    .filter(({ workflowId }) => workflowId === planned.workflowId)
    .toSorted((one, other) => other.expectedMs - one.expectedMs);
  const found = own.find(({ taskId }) => taskId === planned.taskId);
  if (found !== undefined) return found;
  if (own.length === 0) throw new Error(`workflow ${planned.workflowId} has no task that this can happen to`);
  return stage.random.pick(own.slice(0, Math.ceil(own.length / 2)));
}
