import { alertWindowMs } from '../../clickhouse/queries/alert-inputs.ts';
import {
  type AlertRuleId,
  type AlertRuleSetting,
  type AlertSeverity,
  type AlertSubjectKind,
  alertRuleIds,
  alertSeverities,
} from '../../schemas/alerts.ts';

/** What a threshold is counted in. `times` compares with what is usual for the subject, `score` with the records it set. */
export const thresholdUnits = ['ratio', 'times', 'ms', 'count', 'score'] as const;
export type ThresholdUnit = (typeof thresholdUnits)[number];

/** What is done about it: a kind of command for orchestrators, or advice for people. */
export type RemedyAction =
  | 'restart_task'
  | 'scale_resources'
  | 'circuit_break'
  | 'adjust_retry_policy'
  | 'enable_caching'
  | 'scale_up'
  | 'trigger_run'
  | 'replace_worker'
  | 'roll_back'
  | 'investigate';

export interface Rule {
  id: AlertRuleId;
  /** Its name in the family of its subject; two families call different rules alike. */
  type: string;
  subjectKind: AlertSubjectKind;
  /** In words: when it fires. */
  condition: string;
  /** What is measured, with its unit last. */
  metric: string;
  unit: ThresholdUnit;
  threshold: number;
  /** Whether values above the threshold breach it, or those below. */
  breaches: 'above' | 'below';
  /** What a threshold may be. */
  range: readonly [least: number, most: number];
  /** How long the condition has to hold before anybody is told. */
  forMs: number;
  severity: AlertSeverity;
  /** One line; words in braces are filled in. */
  message: string;
  runbook: string;
  remedy: RemedyAction;
}

const minuteMs = 60_000;

/**
 * All rules. Where a threshold alone would alarm for a single failure in five runs, the condition asks besides that
 * the window be unlikely for its subject; the threshold then says how much matters, and the statistics say what is real.
 */
export const rules: readonly Rule[] = [
  {
    id: 'EXECUTION_STUCK',
    type: 'EXECUTION_STUCK',
    subjectKind: 'execution',
    condition:
      'An execution runs for that many times the longest of its last ones, and nothing was heard of its tasks for as long as they usually take.',
    metric: 'age_ms',
    unit: 'times',
    threshold: 2,
    breaches: 'above',
    range: [1.1, 1000],
    forMs: 0,
    severity: 'warning',
    message: 'Workflow execution {subject} appears stuck',
    runbook: 'See which task it waits for, then restart that task or cancel the execution.',
    remedy: 'restart_task',
  },
  {
    id: 'EXCESSIVE_DURATION',
    type: 'EXCESSIVE_DURATION',
    subjectKind: 'workflow',
    condition:
      'Executions take that many times what is usual for the workflow, and chance does not make so many of them slow.',
    metric: 'duration_ms',
    unit: 'times',
    threshold: 1.5,
    breaches: 'above',
    range: [1.05, 1000],
    forMs: 6 * alertWindowMs,
    severity: 'warning',
    message: 'Executions of workflow {subject} exceed their expected duration',
    runbook: 'Look at the timeline of a slow execution beside a usual one: the task that grew is named there.',
    remedy: 'investigate',
  },
  {
    id: 'HIGH_FAILURE_RATE',
    type: 'HIGH_FAILURE_RATE',
    subjectKind: 'workflow',
    condition: 'More than that share of executions failed or timed out, which is unlikely for the workflow.',
    metric: 'failure_ratio',
    unit: 'ratio',
    threshold: 0.2,
    breaches: 'above',
    range: [0.001, 1],
    forMs: alertWindowMs,
    severity: 'critical',
    message: 'Workflow {subject} has {value} failed executions',
    runbook: 'Look at the errors of the failed executions; pause the schedule when all of them are alike.',
    remedy: 'circuit_break',
  },
  {
    id: 'RESOURCE_EXHAUSTION',
    type: 'RESOURCE_EXHAUSTION',
    subjectKind: 'worker_pool',
    condition:
      'More than that share of the memory of a pool is used, and more than it ever was, or workers were killed for want of it.',
    metric: 'memory_load',
    unit: 'ratio',
    threshold: 0.85,
    breaches: 'above',
    range: [0.1, 1],
    forMs: 0,
    severity: 'critical',
    message: 'Worker pool {subject} is exhausting its memory',
    runbook: 'See which tasks grew; restart workers one by one, and give the pool more memory until the leak is found.',
    remedy: 'scale_resources',
  },
  {
    id: 'PERFORMANCE_DEGRADATION',
    type: 'PERFORMANCE_DEGRADATION',
    subjectKind: 'task',
    condition: 'A task takes that many times what is usual for it, and chance does not make so many runs of it slow.',
    metric: 'duration_ms',
    unit: 'times',
    threshold: 1.3,
    breaches: 'above',
    range: [1.05, 1000],
    forMs: 0,
    severity: 'warning',
    message: 'Task {subject} is {effect} slower than usual',
    runbook:
      'Compare with the version before, with the size of the input, and with the other tasks of the same worker.',
    remedy: 'enable_caching',
  },
  {
    id: 'TASK_HIGH_FAILURE_RATE',
    type: 'HIGH_FAILURE_RATE',
    subjectKind: 'task',
    condition: 'More than that share of attempts failed or timed out, which is unlikely for the task.',
    metric: 'attempt_failure_ratio',
    unit: 'ratio',
    threshold: 0.1,
    breaches: 'above',
    range: [0.001, 1],
    forMs: 0,
    severity: 'critical',
    message: 'Task {subject} failure rate at {value}',
    runbook:
      'Read the error. Where trying again is useless, stop retries and mend the input; where it is temporary, back off.',
    remedy: 'adjust_retry_policy',
  },
  {
    id: 'RESOURCE_CONSTRAINT',
    type: 'RESOURCE_CONSTRAINT',
    subjectKind: 'task',
    condition: 'A task waits for a slot that many times as long as usual, for longer than it runs.',
    metric: 'queue_ms',
    unit: 'times',
    threshold: 3,
    breaches: 'above',
    range: [1.05, 1000],
    forMs: alertWindowMs,
    severity: 'warning',
    message: 'Task {subject} waits for resources',
    runbook: 'See what else runs in its pool; raise its priority or the slots of the pool.',
    remedy: 'scale_resources',
  },
  {
    id: 'DEPENDENCY_ISSUES',
    type: 'DEPENDENCY_ISSUES',
    subjectKind: 'task',
    condition:
      'More than that share of attempts failed because something that the task calls is away, throttles or is too slow.',
    metric: 'attempt_failure_ratio',
    unit: 'ratio',
    threshold: 0.1,
    breaches: 'above',
    range: [0.001, 1],
    forMs: 0,
    severity: 'warning',
    message: 'Task {subject} has problematic dependencies',
    runbook: 'Check the service that the error names; retries with growing pauses until it is back, and no new runs.',
    remedy: 'circuit_break',
  },
  {
    id: 'ORCHESTRATOR_UNHEALTHY',
    type: 'ORCHESTRATOR_UNHEALTHY',
    subjectKind: 'orchestrator',
    condition: 'The health score of an orchestrator is below that, critical at 0.5 and when two nodes lead at once.',
    metric: 'health_score',
    unit: 'ratio',
    threshold: 0.7,
    breaches: 'below',
    range: [0, 1],
    forMs: 0,
    severity: 'warning',
    message: 'Orchestrator {subject} health score: {value}',
    runbook: 'Look at the components that are not healthy; with two leaders, cut off the one with the lower term.',
    remedy: 'investigate',
  },
  {
    id: 'CAPACITY_CRITICAL',
    type: 'CAPACITY_CRITICAL',
    subjectKind: 'worker_pool',
    condition:
      'More than that share of the slots of a pool is in use, or slots are gone, while more tasks wait than ever.',
    metric: 'slots_load',
    unit: 'ratio',
    threshold: 0.9,
    breaches: 'above',
    range: [0.1, 1],
    forMs: 0,
    severity: 'critical',
    message: 'Worker pool {subject}: capacity utilization at {value}',
    runbook: 'Scale the pool up, or find out who holds its slots.',
    remedy: 'scale_up',
  },
  {
    id: 'HIGH_SCHEDULING_LATENCY',
    type: 'HIGH_SCHEDULING_LATENCY',
    subjectKind: 'orchestrator',
    condition: 'Decisions of a scheduler take longer than that on average.',
    metric: 'scheduling_latency_ms_mean',
    unit: 'ms',
    threshold: 1000,
    breaches: 'above',
    range: [1, 3_600_000],
    forMs: 0,
    severity: 'warning',
    message: 'Orchestrator {subject}: scheduling latency {value}',
    runbook: 'Look at the database of the scheduler and at how much it has to decide at once.',
    remedy: 'investigate',
  },
  {
    id: 'QUEUE_BACKLOG',
    type: 'QUEUE_BACKLOG',
    subjectKind: 'queue',
    condition: 'More than that waits in a queue, or far more than ever did and for longer.',
    metric: 'size',
    unit: 'count',
    threshold: 1000,
    breaches: 'above',
    range: [1, 1e9],
    forMs: 0,
    severity: 'warning',
    message: 'Queue {subject} backlog: {value} messages',
    runbook: 'See where the work comes from; add consumers, or hold back what is not urgent.',
    remedy: 'scale_up',
  },
  {
    id: 'ANOMALY',
    type: 'ANOMALY',
    subjectKind: 'worker_pool',
    condition: 'A metric of a workflow, pool or worker goes beyond all its records of the last weeks, by that much.',
    metric: 'any',
    unit: 'score',
    threshold: 0.56,
    breaches: 'above',
    range: [0.1, 20],
    forMs: 0,
    severity: 'warning',
    message: '{metric} of {subject} is unlike anything before',
    runbook: 'Look at what changed at that time; acknowledge it if this is how it is meant to be.',
    remedy: 'investigate',
  },
  {
    id: 'MISSING_RUN',
    type: 'MISSING_RUN',
    subjectKind: 'workflow',
    condition: 'A run that was due has not begun, that long after.',
    metric: 'late_ms',
    unit: 'ms',
    threshold: 4 * minuteMs,
    breaches: 'above',
    range: [minuteMs, 86_400_000],
    forMs: 0,
    severity: 'critical',
    message: 'Workflow {subject} did not run when it was due',
    runbook: 'Check that its schedule is on and its scheduler runs, then start the run that is missing.',
    remedy: 'trigger_run',
  },
  {
    id: 'DEADLINE_MISS_PREDICTED',
    type: 'DEADLINE_MISS_PREDICTED',
    subjectKind: 'execution',
    condition: 'With at least that probability an execution will still run when the next one is due.',
    metric: 'miss_probability',
    unit: 'ratio',
    threshold: 0.9,
    breaches: 'above',
    range: [0.5, 1],
    forMs: 0,
    severity: 'warning',
    message: 'Workflow execution {subject} will miss its deadline',
    runbook: 'Give its pool more slots or stop what is less urgent; tell whoever waits for it.',
    remedy: 'scale_resources',
  },
];

const byId = new Map(rules.map((rule) => [rule.id, rule]));

export function ruleOf(id: AlertRuleId): Rule {
  return byId.get(id) as Rule;
}

/** A rule as it holds for one subject. */
export interface EffectiveRule extends Rule {
  enabled: boolean;
  /** 1, or a hash of what was changed. */
  version: number;
}

const longestForMs = 7 * 86_400_000;

/** Everything that is wrong with a setting, each with what to do; empty where it can work. */
export function findSettingProblems(ruleId: string, setting: AlertRuleSetting): string[] {
  const rule = byId.get(ruleId as AlertRuleId);
  if (rule === undefined) return [`there is no rule ${ruleId}; rules are ${alertRuleIds.join(', ')}`];
  const { threshold, for_ms: forMs, severity, unit, metric } = setting;
  const problems: string[] = [];
  const [least, most] = rule.range;
  if (metric !== undefined && metric !== rule.metric && rule.metric !== 'any') {
    problems.push(`metric is ${metric}, but ${ruleId} looks at ${rule.metric}; leave it out, or choose another rule`);
  }
  if (unit !== undefined && unit !== rule.unit) {
    problems.push(`unit is ${unit}, but the threshold of ${ruleId} is a ${rule.unit}; give it as a ${rule.unit}`);
  }
  if (threshold !== undefined && !(threshold >= least && threshold <= most)) {
    problems.push(`threshold is ${threshold}, and must be from ${least} to ${most} (${rule.unit}, ${rule.metric})`);
  }
  if (forMs !== undefined && !(Number.isInteger(forMs) && forMs >= 0 && forMs <= longestForMs)) {
    problems.push(`for_ms is ${forMs}, and must be a whole number of milliseconds up to ${longestForMs}`);
  } else if (forMs !== undefined && forMs > 0 && forMs < alertWindowMs) {
    problems.push(`for_ms is ${forMs}, less than the ${alertWindowMs} of a window; give 0 or at least a window`);
  }
  if (severity !== undefined && !alertSeverities.includes(severity)) {
    problems.push(`severity is ${String(severity)}; severities are ${alertSeverities.join(', ')}`);
  }
  return problems;
}

/** Settings of one workspace by their key: rule, or rule, slash, `workflow` or `orchestrator`, slash, id. */
export type RuleSettings = ReadonlyMap<string, AlertRuleSetting>;

/** Answers which rule holds for a subject. */
export type Rules = Pick<RuleBook, 'rule'>;

/** Rules of a workspace, with what it changed of them; those nearer to the subject win. */
export class RuleBook {
  readonly #byWorkspace: ReadonlyMap<string, RuleSettings>;
  readonly #known = new Map<string, EffectiveRule>();

  constructor(byWorkspace: ReadonlyMap<string, RuleSettings> = new Map()) {
    this.#byWorkspace = byWorkspace;
  }

  rule(id: AlertRuleId, workspace: string, workflowId: string, orchestratorId: string): EffectiveRule {
    const settings = this.#byWorkspace.get(workspace);
    const key = settings === undefined ? id : JSON.stringify([id, workspace, workflowId, orchestratorId]);
    let known = this.#known.get(key);
    if (known === undefined) {
      known = applySettings(ruleOf(id), [
        settings?.get(id),
        orchestratorId === '' ? undefined : settings?.get(`${id}/orchestrator/${orchestratorId}`),
        workflowId === '' ? undefined : settings?.get(`${id}/workflow/${workflowId}`),
      ]);
      this.#known.set(key, known);
    }
    return known;
  }
}

function applySettings(rule: Rule, settings: readonly (AlertRuleSetting | undefined)[]): EffectiveRule {
  const given = settings.filter(
    (setting) => setting !== undefined && findSettingProblems(rule.id, setting).length === 0,
  );
  const setting: AlertRuleSetting = Object.assign({}, ...given);
  return {
    ...rule,
    threshold: setting.threshold ?? rule.threshold,
    forMs: setting.for_ms ?? rule.forMs,
    severity: setting.severity ?? rule.severity,
    runbook: setting.runbook ?? rule.runbook,
    enabled: setting.enabled ?? true,
    version: given.length === 0 ? 1 : hashText(JSON.stringify(setting)),
  };
}

/** FNV-1a; tells versions apart, nothing more. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
