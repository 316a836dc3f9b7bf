import type { AlertRemedy } from '../../schemas/alerts.ts';
import type { AlertRecord } from '../../schemas/records.ts';

/**
 * What may be done about an alert. The actions, their numbers and how sure one may be of them come with the rules; here they
 * are made fit for the alert at hand: whom they concern, and whether an orchestrator can be asked for them.
 */
export const remedyDefaults = {
  /** How much more a pool gets that has exhausted what it had. */
  scalingFactor: 1.5,
  circuitBreakSeconds: 300,
  retryPolicy: { max_retries: 5, backoff: 'exponential', initial_delay_ms: 1000 },
  caching: { cache_ttl_seconds: 3600, cache_entries: 1000 },
  /** Where a pool should stand after it was scaled: in the middle of 70 to 85 per cent. */
  targetLoad: 0.775,
} as const;

/** What is known besides the alert. */
export interface RemedyFacts {
  /** Workers that the pool of the alert has, and may have at most. */
  workersTotal?: number | undefined;
  workersMax?: number | undefined;
  /** Actions that an installation lets happen without anybody's approval. */
  automatic?: readonly string[];
}

interface Draft {
  action: string;
  target: string;
  description: string;
  parameters?: AlertRemedy['parameters'];
  confidence: number;
  is_command?: boolean;
}

type Advise = (alert: AlertRecord, facts: RemedyFacts) => Draft[];

const circuitBreak: Advise = ({ workflow_id: workflow }) => {
  const { circuitBreakSeconds: duration_seconds } = remedyDefaults;
  const minutes = duration_seconds / 60;
  return [
    {
      action: 'circuit_break',
      target: workflow ?? 'the workflow',
      description: `Pause the workflow for ${minutes} minutes, so that nothing more fails meanwhile; it has to be resumed afterwards.`,
      parameters: { duration_seconds },
      confidence: 0.85,
      is_command: workflow != null,
    },
  ];
};

const scale =
  (confidence: number, action: 'scale_resources' | 'scale_up'): Advise =>
  (alert, facts) => {
    const pool = poolOf(alert);
    const factor = scalingFactor(alert);
    const before = facts.workersTotal;
    if (pool === null || before === undefined) {
      return [
        {
          action,
          target: pool ?? alert.subject_id,
          description: `Give ${pool === null ? alert.subject_id : `pool ${pool}`} ${factor} times of what it has.`,
          parameters: { scaling_factor: factor },
          confidence,
        },
      ];
    }
    const target_workers = Math.max(before + 1, Math.ceil(before * factor));
    const most = facts.workersMax ?? Number.POSITIVE_INFINITY;
    const isAtMost = before >= most;
    return [
      {
        action,
        target: pool,
        description: isAtMost
          ? `Raise the limit of pool ${pool}: it has all of its ${before} workers.`
          : `Scale pool ${pool} from ${before} to ${Math.min(target_workers, most)} workers.`,
        parameters: {
          scaling_factor: factor,
          target_workers: isAtMost ? target_workers : Math.min(target_workers, most),
        },
        confidence,
        is_command: !isAtMost,
      },
    ];
  };

/** A pool whose load is known gets what brings it where it should be; otherwise half as much again. */
function scalingFactor({ metric, value }: AlertRecord): number {
  const { scalingFactor: usual, targetLoad } = remedyDefaults;
  if (metric !== 'slots_load' || value == null || value <= targetLoad) return usual;
  return Number(Math.min(usual, value / targetLoad).toFixed(2));
}

const restartTask: Advise = ({ execution_id: execution, task_id: task, title }) => {
  const isKnown = execution != null && task != null && task !== '';
  return [
    {
      action: 'restart_task',
      target: isKnown ? task : (execution ?? title),
      description: isKnown
        ? `Restart task ${task} of execution ${execution}: what it does begins again.`
        : 'Restart the task that the execution waits for; see its timeline.',
      confidence: 0.8,
      is_command: isKnown,
    },
  ];
};

const investigate =
  (confidence: number, describe: (alert: AlertRecord) => string): Advise =>
  (alert) => [{ action: 'investigate', target: alert.subject_id, description: describe(alert), confidence }];

const adjustRetries: Advise = ({ task_id, subject_id }) => {
  const { retryPolicy } = remedyDefaults;
  const target = task_id ?? subject_id;
  return [
    {
      action: 'adjust_retry_policy',
      target,
      description: `Let ${target} try ${retryPolicy.max_retries} times with growing pauses where its errors are temporary, and not again where they are not.`,
      parameters: { ...retryPolicy },
      confidence: 0.8,
    },
  ];
};

const enableCaching: Advise = ({ task_id, subject_id }) => {
  const { caching } = remedyDefaults;
  const target = task_id ?? subject_id;
  const description = `Keep results of ${target} for an hour, where the same input gives the same result.`;
  return [{ action: 'enable_caching', target, description, parameters: { ...caching }, confidence: 0.75 }];
};

const advices: Readonly<Record<string, Advise>> = {
  EXECUTION_STUCK: restartTask,
  EXCESSIVE_DURATION: investigate(
    0.6,
    ({ subject_id }) =>
      `Compare a slow execution of ${subject_id} with a usual one: its timeline names the task that grew.`,
  ),
  HIGH_FAILURE_RATE: circuitBreak,
  RESOURCE_EXHAUSTION: scale(0.9, 'scale_resources'),
  PERFORMANCE_DEGRADATION: enableCaching,
  TASK_HIGH_FAILURE_RATE: adjustRetries,
  RESOURCE_CONSTRAINT: scale(0.85, 'scale_resources'),
  DEPENDENCY_ISSUES: circuitBreak,
  ORCHESTRATOR_UNHEALTHY: investigate(
    0.6,
    ({ subject_id }) =>
      `Look at the components of ${subject_id} that are not healthy; of two leaders, cut off the one with the lower term.`,
  ),
  CAPACITY_CRITICAL: scale(0.8, 'scale_up'),
  HIGH_SCHEDULING_LATENCY: investigate(
    0.6,
    ({ subject_id }) => `Look at the database of the scheduler of ${subject_id}, and at how much it decides at once.`,
  ),
  QUEUE_BACKLOG: scale(0.75, 'scale_up'),
  ANOMALY: investigate(0.5, ({ subject_id }) => `Look at what changed for ${subject_id} at that time.`),
  MISSING_RUN: ({ subject_id }) => [
    {
      action: 'trigger_run',
      target: subject_id,
      description: `Check that the schedule of ${subject_id} is on and its scheduler runs, then start the run that is missing.`,
      confidence: 0.7,
    },
  ],
  DEADLINE_MISS_PREDICTED: scale(0.7, 'scale_resources'),
};

/** The pool that an alert is about, or that its subject runs in. */
export function poolOf({ subject_kind, subject_id, labels }: AlertRecord): string | null {
  if (subject_kind === 'worker_pool') return subject_id;
  const pool = labels?.pool ?? '';
  return pool === '' ? null : pool;
}

/** The most promising first. */
export function adviseOn(alert: AlertRecord, facts: RemedyFacts = {}): AlertRemedy[] {
  const drafts = advices[alert.rule_id]?.(alert, facts) ?? [];
  return drafts
    .map(({ parameters = {}, is_command = false, ...draft }) => ({
      ...draft,
      parameters,
      approval_required: !(facts.automatic ?? []).includes(draft.action),
      is_command,
    }))
    .toSorted((one, other) => other.confidence - one.confidence);
}

/** What an orchestrator is asked for, in the words of the API of commands; null where a person must act. */
export interface RemedyCommand {
  kind: string;
  source?: string;
  execution_id?: string;
  workflow_id?: string;
  task_id?: string;
  pool_id?: string;
  parameters: AlertRemedy['parameters'];
  reason: string;
  approval_required: boolean;
}

export function commandOf(alert: AlertRecord, remedy: AlertRemedy): RemedyCommand | null {
  if (!remedy.is_command) return null;
  const source = alert.source == null || alert.source === '' ? {} : { source: alert.source };
  const about = {
    ...source,
    reason: `alert ${alert.alert_id}: ${alert.title}`,
    approval_required: remedy.approval_required,
  };
  const { execution_id = null, workflow_id = null, task_id = null } = alert;
  if (remedy.action === 'restart_task' && execution_id !== null && task_id !== null) {
    return { kind: 'restart_task', execution_id, task_id, parameters: {}, ...about };
  }
  if (remedy.action === 'circuit_break' && workflow_id !== null) {
    return { kind: 'pause', workflow_id, parameters: {}, ...about };
  }
  const { target_workers } = remedy.parameters;
  const pool_id = poolOf(alert);
  if (target_workers === undefined || pool_id === null) return null;
  return { kind: 'scale_pool', pool_id, parameters: { target_workers }, ...about };
}
