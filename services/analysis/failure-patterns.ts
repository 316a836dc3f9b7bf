import { roundMs, roundRatio } from './basis.ts';
import { type ExecutionTrace, isFailure } from './execution-trace.ts';
import { groupBy, medianOf } from './robust-statistics.ts';

/** Failures that are of one kind: the same task, the same error once numbers and ids are masked. */
export interface FailurePattern {
  task: string;
  error_type: string;
  template: string;
  count: number;
  /** Of all failed attempts. */
  share: number;
  executions: number;
  /** Share of these attempts that another attempt made good. */
  recovered_ratio: number;
  attempt_ms_median: number;
  /** Attributes that these attempts have more often than attempts of the task that did not fail so. */
  related: { attribute: 'worker' | 'version'; value: string; lift: number; p_value: number }[];
  first_seen: string;
  last_seen: string;
}

/** @public */
export const failureDefaults = {
  countLeast: 2,
  listedMost: 20,
  /** Share of false findings that is accepted among what is told to be related. */
  falseDiscoveryMost: 0.05,
  liftLeast: 2,
  relatedCountLeast: 5,
};

interface AttemptFact {
  task: string;
  worker: string;
  version: string;
  execution: string;
  error: string | null;
  template: string;
  isRecovered: boolean;
  durationMs: number;
  atMs: number;
}

export function findFailurePatterns(executions: readonly ExecutionTrace[]): FailurePattern[] {
  const facts = executions.flatMap(listAttempts);
  const failed = facts.filter(({ error }) => error !== null);
  const groups = [...groupBy(failed, ({ task, error, template }) => `${task}\0${error}\0${template}`).values()]
    .filter((group) => group.length >= failureDefaults.countLeast)
    .sort((left, right) => right.length - left.length)
    .slice(0, failureDefaults.listedMost);
  const byTask = groupBy(facts, ({ task }) => task);
  const tested = groups.map((group) => contrast(group, byTask.get(group[0].task) ?? []));
  const bound = findBound(tested.flat().map(({ p_value }) => p_value));
  return groups.map((group, place) => ({
    ...describeGroup(group, failed.length),
    related: tested[place].filter(({ p_value, lift }) => p_value <= bound && lift >= failureDefaults.liftLeast),
  }));
}

function listAttempts({ tasks, executionId, workflowVersion, firstSeenMs }: ExecutionTrace): AttemptFact[] {
  return tasks.flatMap(({ taskId, attempts, state }) =>
    attempts.map(({ state: own, errorType, errorMessage, workerId, startedAtMs, endedAtMs }) => ({
      task: taskId,
      worker: workerId,
      version: workflowVersion,
      execution: executionId,
      error: isFailure(own) ? errorType || own : null,
      template: isFailure(own) ? maskMessage(errorMessage) : '',
      isRecovered: state === 'completed',
      durationMs: startedAtMs === null || endedAtMs === null ? 0 : endedAtMs - startedAtMs,
      atMs: endedAtMs ?? firstSeenMs,
    })),
  );
}

/** What differs between messages of one kind: addresses, ids and numbers. */
export function maskMessage(message: string): string {
  return message
    .replace(/[a-z][a-z0-9+.-]*:\/\/\S+/gi, '<address>')
    .replace(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b/gi, '<id>')
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b/gi, '<id>')
    .replace(/\d+(\.\d+)*/g, '<n>')
    .slice(0, 200);
}

function describeGroup(group: readonly AttemptFact[], allFailed: number): Omit<FailurePattern, 'related'> {
  const [{ task, error, template }] = group;
  const instants = group.map(({ atMs }) => atMs);
  return {
    task,
    error_type: error ?? '',
    template,
    count: group.length,
    share: roundRatio(group.length / allFailed),
    executions: new Set(group.map(({ execution }) => execution)).size,
    recovered_ratio: roundRatio(group.filter(({ isRecovered }) => isRecovered).length / group.length),
    attempt_ms_median: roundMs(medianOf(group.map(({ durationMs }) => durationMs))),
    first_seen: new Date(instants.reduce((least, ms) => Math.min(least, ms))).toISOString(),
    last_seen: new Date(instants.reduce((most, ms) => Math.max(most, ms))).toISOString(),
  };
}

/** Each worker and version of the failures against the other attempts of the same task (Fisher's exact test). */
function contrast(group: readonly AttemptFact[], all: readonly AttemptFact[]): FailurePattern['related'] {
  const isIn = new Set(group);
  const others = all.filter((fact) => !isIn.has(fact));
  if (group.length < failureDefaults.relatedCountLeast || others.length === 0) return [];
  return (['worker', 'version'] as const).flatMap((attribute) => {
    return [...groupBy(group, (fact) => fact[attribute])].flatMap(([value, own]) => {
      if (value === '' || own.length < failureDefaults.relatedCountLeast) return [];
      const elsewhere = others.filter((fact) => fact[attribute] === value).length;
      const lift = own.length / group.length / Math.max(1e-9, (own.length + elsewhere) / all.length);
      const p_value = testMore(own.length, group.length, own.length + elsewhere, all.length);
      return [{ attribute, value, lift: roundRatio(lift), p_value }];
    });
  });
}

/** Chance that of `drawn` out of `all`, of which `marked` have the mark, at least `hits` have it. */
export function testMore(hits: number, drawn: number, marked: number, all: number): number {
  let sum = 0;
  for (let count = hits; count <= Math.min(drawn, marked); count++) {
    sum += Math.exp(logChoose(marked, count) + logChoose(all - marked, drawn - count) - logChoose(all, drawn));
  }
  return Math.min(1, sum);
}

const logFactorials = [0];
function logChoose(n: number, k: number): number {
  if (k < 0 || k > n) return Number.NEGATIVE_INFINITY;
  for (let next = logFactorials.length; next <= n; next++) logFactorials.push(logFactorials[next - 1] + Math.log(next));
  return logFactorials[n] - logFactorials[k] - logFactorials[n - k];
}

/** The largest p value that is still believed among so many (Benjamini and Hochberg). */
function findBound(pValues: readonly number[]): number {
  const sorted = [...pValues].sort((left, right) => left - right);
  let bound = -1;
  sorted.forEach((p, index) => {
    if (p <= (failureDefaults.falseDiscoveryMost * (index + 1)) / sorted.length) bound = p;
  });
  return bound;
}
