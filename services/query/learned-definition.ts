import type { SeenTask } from '../../clickhouse/queries/workflows.ts';

/** A definition in the form in which people write them, as far as telemetry tells it. */
export interface LearnedDefinition {
  id: string;
  name: string;
  version: string;
  description: string;
  trigger: { type: 'manual' };
  variables: Record<string, never>;
  tasks: LearnedTask[];
}

interface LearnedTask {
  id: string;
  name: string;
  kind: 'work';
  type: 'compute' | 'io' | 'network';
  operator: string;
  pool: string;
  after?: (string | { task: string; optional: true })[];
  durationMs: number;
  failureRatio?: number;
  retry?: { attempts: number; backoff: 'fixed'; delayMs: number };
}

const taskTypes = ['compute', 'io', 'network'] as const;

interface Head {
  id: string;
  name: string;
  version: string;
  executions: number;
}

/**
 * What tasks there are, what they wait for where a source tells it, how long they take and how often they fail. Conditions,
 * inputs and schedules are in no telemetry, so whoever declares the workflow has to add them.
 */
export function learnDefinition(
  { id, name, version, executions }: Head,
  tasks: readonly SeenTask[],
): LearnedDefinition {
  return {
    id,
    name: name === '' ? id : name,
    version: version === '' ? '1' : version,
    description: `Learned from the newest ${executions} executions.`,
    trigger: { type: 'manual' },
    variables: {},
    tasks: tasks.map((task) => learnTask(task, new Set(tasks.map(({ task_id }) => task_id)))),
  };
}

function learnTask(task: SeenTask, known: ReadonlySet<string>): LearnedTask {
  const after = task.after
    .filter(({ task_id }) => known.has(task_id))
    .map(({ task_id, optional }) => (optional ? { task: task_id, optional: true as const } : task_id));
  const attempts = task.max_attempts ?? task.attempts_most;
  const failureRatio = Math.round((1000 * task.failed) / Math.max(1, task.runs)) / 1000;
  return {
    id: task.task_id,
    name: task.task_name === '' ? task.task_id : task.task_name,
    kind: 'work',
    type: taskTypes.find((type) => type === task.task_type) ?? 'compute',
    operator: task.task_type === '' ? 'unknown' : task.task_type,
    pool: task.pool === '' ? 'default' : task.pool,
    ...(after.length === 0 ? {} : { after }),
    durationMs: Math.round(task.median_ms ?? 0),
    ...(failureRatio === 0 ? {} : { failureRatio: Math.min(1, failureRatio) }),
    ...(attempts > 1 ? { retry: { attempts, backoff: 'fixed' as const, delayMs: 0 } } : {}),
  };
}
