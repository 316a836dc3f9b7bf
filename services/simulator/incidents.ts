import type { Plant } from './incident-stage.ts';
import { plantBacklog } from './incidents/backlog.ts';
import { plantBadInput } from './incidents/bad-input.ts';
import { plantFailingDependency } from './incidents/failing-dependency.ts';
import { plantHotWorker } from './incidents/hot-worker.ts';
import { plantLostWorker } from './incidents/lost-worker.ts';
import { plantMemoryLeak } from './incidents/memory-leak.ts';
import { plantMissingRun } from './incidents/missing-run.ts';
import { plantNoisyNeighbour } from './incidents/noisy-neighbour.ts';
import { plantRetryStorm } from './incidents/retry-storm.ts';
import { plantSlowScheduler } from './incidents/slow-scheduler.ts';
import { plantSlowTask } from './incidents/slow-task.ts';
import { plantSplitBrain } from './incidents/split-brain.ts';
import { plantStarvedPool } from './incidents/starved-pool.ts';
import { plantStuckRun } from './incidents/stuck-run.ts';
import { plantVersionRegression } from './incidents/version-regression.ts';
import type { IncidentKind } from './truth.ts';

/** How each kind of incident is brought about: as an effect on the world, never as an edit of its telemetry. */
export const plants: Record<IncidentKind, Plant> = {
  slow_task: plantSlowTask,
  failing_dependency: plantFailingDependency,
  stuck_run: plantStuckRun,
  starved_pool: plantStarvedPool,
  retry_storm: plantRetryStorm,
  backlog: plantBacklog,
  lost_worker: plantLostWorker,
  hot_worker: plantHotWorker,
  version_regression: plantVersionRegression,
  missing_run: plantMissingRun,
  memory_leak: plantMemoryLeak,
  noisy_neighbour: plantNoisyNeighbour,
  split_brain: plantSplitBrain,
  slow_scheduler: plantSlowScheduler,
  bad_input: plantBadInput,
};
