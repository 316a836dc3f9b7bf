import { alertWindowMs, type WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import type { AlertChangeRow } from '../../clickhouse/tables/alerts.ts';
import type { AlertRuleId } from '../../schemas/alerts.ts';
import { Judge } from '../../services/alerts/judge.ts';
import type { SeasonOf } from '../../services/alerts/judge-runs.ts';
import { RuleBook } from '../../services/alerts/rules.ts';
import { AlertMachine } from '../../services/alerts/state.ts';
import type { IncidentKind, TruthRecord } from '../../services/simulator/truth.ts';

/** One alert that people were told of, from its first firing to its end. */
export interface ToldAlert {
  id: string;
  ruleId: AlertRuleId;
  subjectKind: string;
  subjectId: string;
  workflowId: string;
  taskId: string;
  orchestratorId: string;
  executionId: string;
  effects: string;
  firedMs: number;
  endMs: number;
  /** The alert that explains it, and closed it; null where it stands for itself. */
  causeAlertId: string | null;
  title: string;
  description: string;
}

/** Judge and alert machine on windows in their order, as the evaluator drives them. */
export class AlertDrive {
  readonly changes: AlertChangeRow[] = [];
  /** Milliseconds that each window took. */
  readonly costs: number[] = [];
  readonly #machine = new AlertMachine();
  readonly #judge: Judge;

  constructor(seasonOf?: SeasonOf) {
    const book = new RuleBook();
    this.#judge = new Judge({ bookOf: () => book, ...(seasonOf && { seasonOf }) });
  }

  take(window: WindowInput): void {
    const startedMs = performance.now();
    this.changes.push(...this.#machine.play({ roundMs: window.endMs, judgements: this.#judge.judge(window) }));
    this.costs.push(performance.now() - startedMs);
  }
}

export function collectAlerts(changes: readonly AlertChangeRow[], endMs: number): ToldAlert[] {
  const told = new Map<string, ToldAlert>();
  for (const change of changes) {
    const known = told.get(change.alertId);
    if (change.state === 'firing' && known === undefined) {
      told.set(change.alertId, {
        id: change.alertId,
        ruleId: change.ruleId,
        subjectKind: change.subjectKind,
        subjectId: change.subjectId,
        workflowId: change.workflowId ?? '',
        taskId: change.taskId ?? '',
        orchestratorId: change.orchestratorId ?? '',
        executionId: change.executionId ?? '',
        effects: change.labels.effects ?? '0',
        firedMs: change.eventTimeMs,
        endMs,
        causeAlertId: null,
        title: change.title,
        description: change.description ?? '',
      });
    }
    if (known !== undefined) {
      known.effects = change.labels.effects ?? '0';
      if (change.state === 'resolved') {
        known.endMs = change.eventTimeMs;
        known.causeAlertId = change.causeAlertId;
      } else if (change.state === 'firing') known.endMs = endMs;
    }
  }
  return [...told.values()];
}

/** Rules that name an incident of a kind rightly, as long as the subject is the one that it struck. */
export const rulesOf: Record<IncidentKind, readonly AlertRuleId[]> = {
  slow_task: [
    'PERFORMANCE_DEGRADATION',
    'RESOURCE_CONSTRAINT',
    'EXECUTION_STUCK',
    'DEADLINE_MISS_PREDICTED',
    'EXCESSIVE_DURATION',
  ],
  failing_dependency: ['DEPENDENCY_ISSUES', 'TASK_HIGH_FAILURE_RATE'],
  stuck_run: ['EXECUTION_STUCK', 'DEADLINE_MISS_PREDICTED'],
  starved_pool: ['CAPACITY_CRITICAL'],
  retry_storm: ['DEPENDENCY_ISSUES', 'TASK_HIGH_FAILURE_RATE'],
  backlog: ['QUEUE_BACKLOG', 'CAPACITY_CRITICAL', 'ANOMALY'],
  lost_worker: ['CAPACITY_CRITICAL'],
  hot_worker: ['ANOMALY'],
  version_regression: ['PERFORMANCE_DEGRADATION', 'TASK_HIGH_FAILURE_RATE'],
  missing_run: ['MISSING_RUN'],
  memory_leak: ['RESOURCE_EXHAUSTION'],
  noisy_neighbour: ['CAPACITY_CRITICAL', 'ANOMALY', 'QUEUE_BACKLOG'],
  split_brain: ['ORCHESTRATOR_UNHEALTHY'],
  slow_scheduler: ['HIGH_SCHEDULING_LATENCY'],
  bad_input: ['TASK_HIGH_FAILURE_RATE'],
};

/** What an incident leaves behind may be told of a while after it. */
const afterMs = 30 * 60_000;

export function namesCause(alert: ToldAlert, truth: TruthRecord): boolean {
  if (!rulesOf[truth.kind].includes(alert.ruleId) || !overlaps(alert, truth)) return false;
  return isSubject(alert, truth);
}

const overlaps = (alert: ToldAlert, truth: TruthRecord) =>
  alert.firedMs <= truth.endMs + afterMs && alert.endMs >= truth.startMs;

function isSubject(alert: ToldAlert, truth: TruthRecord): boolean {
  switch (alert.subjectKind) {
    case 'task':
      return truth.workflowIds.includes(alert.workflowId) && truth.taskIds.includes(alert.taskId);
    case 'workflow':
      return truth.workflowIds.includes(alert.workflowId) && (truth.kind === 'missing_run' || truth.kind === 'backlog');
    case 'execution':
      return truth.executionIds.includes(alert.executionId);
    case 'worker':
      return truth.workerIds.includes(alert.subjectId);
    case 'worker_pool':
    case 'queue':
      return truth.poolId === alert.subjectId;
    default:
      return truth.orchestratorId === alert.orchestratorId;
  }
}

/** Whether the alert tells of something that the incident brought about, without naming what it was. */
export function isSymptom(alert: ToldAlert, truth: TruthRecord): boolean {
  if (alert.firedMs > truth.endMs + 2 * 3_600_000 || alert.endMs < truth.startMs) return false;
  if (truth.executionIds.some((id) => id === alert.executionId)) return true;
  return truth.orchestratorId === alert.orchestratorId;
}

/**
 * When an incident first showed in what is judged: a run that it touched ended, or a report of its pool, worker or
 * orchestrator covered it. What strikes fewer than three runs, and shows in no report, left no mark that anybody could find.
 */
export function firstVisibleMs(truth: TruthRecord, windows: readonly WindowInput[]): number | null {
  const from = windows.findIndex(({ endMs }) => endMs > truth.startMs);
  if (from < 0) return null;
  switch (truth.kind) {
    case 'hot_worker':
    case 'lost_worker':
    case 'memory_leak':
    case 'split_brain':
      return (windows[from] as WindowInput | undefined)?.endMs ?? null;
    case 'stuck_run':
      return truth.executionsTouched > 0 ? truth.endMs : null;
    case 'missing_run':
      return Number(truth.parameters.runs) > 0 ? truth.startMs : null;
    case 'slow_scheduler':
    case 'starved_pool':
    case 'noisy_neighbour':
    case 'backlog':
      if (truth.executionsTouched < 3) return null;
      for (let at = from; at < windows.length; at++) {
        const { reports, endMs, startMs } = windows[at] as WindowInput;
        if (startMs > truth.endMs) return null;
        const isVisible = reports.some(({ id, measures }) =>
          truth.kind === 'slow_scheduler'
            ? id === truth.orchestratorId && (measures.scheduling_latency_ms_mean ?? 0) > 1000
            : id === truth.poolId && (measures.tasks_queued ?? 0) >= 3,
        );
        if (isVisible) return endMs;
      }
      return null;
    default: {
      if (truth.executionsTouched < 3) return null;
      for (let at = from; at < windows.length; at++) {
        const { runs, endMs, startMs } = windows[at] as WindowInput;
        if (startMs > truth.endMs + 3_600_000) return null;
        const ended = runs.some(
          (run) =>
            truth.workflowIds.includes(run.workflowId) &&
            truth.taskIds.includes(run.taskId) &&
            (/slow|version/.test(truth.kind) ? run.finished > 0 : run.failures > 0),
        );
        if (ended) return endMs;
      }
      return null;
    }
  }
}

export const windowsBetween = (fromMs: number, toMs: number): number => Math.max(0, (toMs - fromMs) / alertWindowMs);
