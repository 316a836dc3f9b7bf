import { expect } from 'vitest';
import { at, attempts, baseMs, dayMs, hourMs, lateMs, minuteMs, nowMs, outgoing, runs } from './question-records.ts';

/** What the questions of the page have to answer about the telemetry of `question-records.ts`, worked out by hand. */

export type Answer = Record<string, unknown>;

/** Instants as ClickHouse writes them: windows to the second, events to the millisecond. */
const second = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
const instant = (ms: number) => new Date(ms).toISOString().slice(0, 23).replace('T', ' ');
const millisecondsOf = (text: unknown) => Date.parse(`${String(text).replace(' ', 'T')}Z`);

/** Percentiles of histograms are within one per cent, and rounded to `digits`. */
function near(exact: number, digits = 0, share = 0.01): unknown {
  const most = exact * share + 0.5 * 10 ** -digits + 1e-9;
  return expect.toSatisfy((value) => typeof value === 'number' && Math.abs(value - exact) <= most, `near ${exact}`);
}

/** Whole minutes from an instant until the question was asked. */
function minutesSince(sinceMs: number): unknown {
  const isSo = (value: unknown) =>
    typeof value === 'number' &&
    value >= Math.floor((nowMs - sinceMs) / minuteMs) &&
    value <= Math.ceil((Date.now() - sinceMs) / minuteMs);
  return expect.toSatisfy(isSo, `minutes since ${instant(sinceMs)}`);
}

/** Minutes from the first whole one of six hours until an instant. */
function minutesOfRange(untilMs: number): unknown {
  const count = (askedMs: number) => (untilMs - Math.floor(askedMs / minuteMs) * minuteMs) / minuteMs + 6 * 60 - 1;
  const isSo = (value: unknown) => typeof value === 'number' && value <= count(nowMs) && value >= count(Date.now());
  return expect.toSatisfy(isSo, 'minutes of the range');
}

/** The minute in which the question was asked, or one so long before or after it. */
function thisMinute(offsetMs = 0): unknown {
  const isSo = (value: unknown) => {
    const askedMs = millisecondsOf(value) - offsetMs;
    return askedMs > nowMs - minuteMs && askedMs <= Date.now();
  };
  return expect.toSatisfy(isSo, 'this minute');
}

/** Baselines are published every six hours from midnight on, and valid an hour later; these stand on hours up to `baseMs`. */
function newestGeneration(): unknown {
  const isSo = (value: unknown) => {
    const validMs = millisecondsOf(value);
    return validMs % (6 * hourMs) === hourMs && validMs > baseMs - 5 * hourMs && validMs <= Date.now();
  };
  return expect.toSatisfy(isSo, 'the newest generation');
}

const etl = { workspace: 'default', workflow_id: 'orders_etl' };
const saga = { workspace: 'default', workflow_id: 'order_saga' };
const video = { workspace: 'media', workflow_id: 'encode_video' };
const airflow = { workspace: 'default', orchestrator_id: 'airflow-1' };
const temporal = { workspace: 'default', orchestrator_id: 'temporal-1' };

const runTimes: Record<string, Answer[]> = {
  // Of the 21 runs of orders_etl the 11th, the 20th and the last; those of a week ago lie before.
  'How long do runs of each workflow take?': [
    { ...etl, runs: 21, p50_ms: near(70_000), p95_ms: near(180_000), p99_ms: near(200_000) },
    { ...saga, runs: 24, p50_ms: near(12_000), p95_ms: near(23_000), p99_ms: near(24_000) },
    { ...video, runs: 6, p50_ms: near(3000), p95_ms: near(6000), p99_ms: near(6000) },
  ],
  'Which tasks are the slowest?': [
    { ...etl, task_id: 'load', ends: 10, p95_ms: near(40_000), total_minutes: 3.7 },
    { ...etl, task_id: 'extract', ends: 20, p95_ms: near(18_000), total_minutes: 2.8 },
  ],
  'Did a new version make a workflow slower, or fail more often?': [
    version(saga, '7', 24, 0, 23_000),
    version(etl, '1.4', 14, 0, 100_000),
    { ...version(etl, '1.5', 11, 18.2, 160_000), against_version_before: near(1.6, 2, 0.02) },
    version(video, 'a', 6, 16.7, 6000),
  ],
  // The second, the twelfth and the 23rd of 24 runs.
  'What is usual for a workflow now?': [
    {
      ...saga,
      source: 'airflow',
      valid_from: newestGeneration(),
      computed_from: 24,
      p05_ms: near(2000),
      p50_ms: near(12_000),
      p95_ms: near(23_000),
    },
  ],
};

function version(workflow: Answer, name: string, count: number, failurePct: number, p95Ms: number): Answer {
  const numbers = { runs: count, failure_pct: failurePct, completed_p95_ms: near(p95Ms) };
  return { ...workflow, workflow_version: name, ...numbers, against_version_before: null };
}

function failedAttempts(errorType: string, count: number, run: string, lastMs: number): Answer {
  const numbers = { failed_attempts: count, tasks: 1, runs: 1 };
  return { error_type: errorType, ...numbers, newest_message: `${errorType} in ${run}`, last_at: instant(lastMs) };
}

const failures: Record<string, Answer[]> = {
  'Which errors make tasks fail?': [
    failedAttempts('ValueError', 2, 'new-9', at(16, 50)),
    failedAttempts('ConnectionError', 1, 'new-8', at(14, 1)),
    failedAttempts('MemoryError', 1, 'new-10', at(18, 1)),
  ],
  'Which runs of a workflow failed last?': [
    failedRun('new-10', at(21, 20), 'MemoryError'),
    failedRun('new-9', at(19), 'ValueError'),
  ],
  // Twelve attempts, of which three failed and one took too long.
  'Which tasks are tried again, and how often in vain?': [
    { ...etl, task_id: 'load', ends: 10, retries: 2, failed_attempts: 4, failed_attempts_pct: 33.3 },
  ],
  'Which tasks fail and then succeed?': [{ ...etl, task_id: 'load', recovered: 1, gave_up: 2 }],
  'On which workers do attempts fail?': [
    { workspace: 'default', pool: 'default', worker_id: 'w-3', attempts: 2, failed_attempts: 2, failed_pct: 100 },
    { workspace: 'default', pool: 'default', worker_id: 'w-2', attempts: 10, failed_attempts: 2, failed_pct: 20 },
  ],
};

function failedRun(id: string, endedMs: number, errorType: string): Answer {
  const end = { last_end_state: 'failed', last_ended_at: instant(endedMs), last_end_error_type: errorType };
  return { execution_id: id, ...end, attempts: 1 };
}

function running(workflow: Answer, id: string, startedMs: number): Answer {
  const state = { execution_id: id, state: 'running', started_at: instant(startedMs) };
  return { ...workflow, ...state, running_minutes: minutesSince(startedMs) };
}

function backlog(windowMs: number, mean: number, greatest: number, last: number, growth: number | null): Answer {
  const place = { ...airflow, instance_id: '', window_start: second(windowMs) };
  return { ...place, backlog_mean: mean, backlog_greatest: greatest, backlog_last: last, growth };
}

const load: Record<string, Answer[]> = {
  'What runs now, and for how long?': [running(etl, 'open-etl', at(50)), running(video, 'open-video', at(55))],
  'Does less get done than a week ago?': [
    { ...etl, runs_last_day: 11, runs_a_week_ago: 4, change_pct: 175 },
    { ...video, runs_last_day: 6, runs_a_week_ago: 0, change_pct: null },
  ],
  'In which minutes did a workflow not start?': [
    { idle_from: thisMinute(minuteMs - 6 * hourMs), idle_until: second(at(0)), missing_minutes: minutesOfRange(at(0)) },
    { idle_from: second(at(19)), idle_until: second(at(40)), missing_minutes: 21 },
    { idle_from: second(at(51)), idle_until: thisMinute(), missing_minutes: minutesSince(at(51)) },
  ],
  'Does the backlog grow?': [backlog(baseMs, 20, 30, 30, null), backlog(baseMs + hourMs, 55, 60, 50, 20)],
  'How old do messages in queues become?': [
    { ...airflow, queue_id: 'orders', worst_age_s: 120, latest_age_s: 60, waiting: 5 },
    { ...airflow, queue_id: 'mail', worst_age_s: 30, latest_age_s: 30, waiting: 7 },
  ],
  'How many slots are in use?': [
    { ...temporal, instance_id: '', slots_used: 8, slots_total: 8, used_pct: 100 },
    { ...airflow, instance_id: '', slots_used: 12, slots_total: 16, used_pct: 75 },
  ],
};

/** Monday is 1 and Sunday 7. */
function heat(windowMs: number, tasks: number, p95Ms: number) {
  const date = new Date(windowMs);
  return { weekday: date.getUTCDay() || 7, hour: date.getUTCHours(), tasks, queue_p95_ms: near(p95Ms) };
}

const waiting: Record<string, Answer[]> = {
  // Waits of last week fall on the same hour of the same weekday: 24 in all, of which the 23rd is nine seconds.
  'When do tasks wait?': [heat(baseMs, 24, 9000), heat(baseMs - 2 * dayMs, 10, 40_000)].sort(
    (one, other) => one.weekday - other.weekday,
  ),
  'How much time is lost waiting for each pool?': [
    { workspace: 'default', pool: 'database', waited_s: 275, worked_s: 165, wait_pct: 62.5 },
    { workspace: 'default', pool: 'default', waited_s: 5, worked_s: 221, wait_pct: 2.2 },
  ],
  'How quickly are tasks scheduled?': [
    { ...airflow, decisions: 10, p50_ms: near(50, 1), p95_ms: near(100, 1) },
    { ...temporal, decisions: 1, p50_ms: near(5, 1), p95_ms: near(5, 1) },
  ],
};

const fleet: Record<string, Answer[]> = {
  'What does each workflow cost?': [
    { ...etl, runs: 25, cost: 17, all_attempts: 17, share_pct: 48.6 },
    { ...video, runs: 6, cost: 12, all_attempts: 14, share_pct: 34.3 },
    { ...saga, runs: 24, cost: 6, all_attempts: 6, share_pct: 17.1 },
  ],
  'Are workers loaded evenly?': [
    {
      ...airflow,
      pool_id: 'default',
      workers: 3,
      least: 0.3,
      mean: 0.5,
      greatest: 0.9,
      busiest: 'w-2',
      imbalance: 1.8,
    },
  ],
  'Which scaling actions failed?': [
    {
      ...airflow,
      pool_id: 'default',
      action: 'scale_up',
      actions: 3,
      failures: 2,
      last_failed_at: instant(at(12)),
      last_reason: 'queue age',
    },
  ],
  'How often does the leader change?': [{ ...airflow, changes: 3, split_brains: 0, slowest_agreement_ms: 1200 }],
  'Who waits for locks?': [{ ...airflow, waits: 3, given_up: 1, given_up_pct: 33.3, longest_wait_ms: 400 }],
};

interface Topics {
  executions: string;
  tasks: string;
  orchestrators: string;
}

function accounts(topic: string, stored: number, duplicate: number, dead: number, newestMs: number): Answer {
  return { stream: `${topic}@1`, stored, duplicate, dropped: 0, dead, newest_event: instant(newestMs) };
}

/** A start and an end; what runs still has told its start only. */
const countRecords = (places: readonly { seconds?: number }[]) =>
  places.reduce((sum, { seconds }) => sum + (seconds === undefined ? 1 : 2), 0);

const telemetry = ({ executions, tasks, orchestrators }: Topics): Record<string, Answer[]> => ({
  'Which records could not be stored, and why?': [
    {
      topic: tasks,
      reason: 'wrong_magic',
      records: 2,
      last_at: instant(lateMs),
      newest_detail: 'the value begins with 6d6f7265',
    },
    {
      topic: executions,
      reason: 'invalid_json',
      records: 1,
      last_at: instant(lateMs),
      newest_detail: 'the JSON text is broken at position 1',
    },
  ],
  'What became of everything that was sent?': [
    accounts(executions, countRecords(runs), 1, 1, at(55)),
    accounts(orchestrators, outgoing.orchestrators.length, 0, 0, lateMs),
    accounts(tasks, countRecords(attempts), 0, 2, at(51)),
  ],
});

/** What the page says of a workflow that has not run at all. */
export const standstill: Answer[] = [
  { idle_from: thisMinute(minuteMs - 6 * hourMs), idle_until: thisMinute(), missing_minutes: 6 * 60 - 1 },
];

/** The rows of each question, by its heading. */
export function expectedAnswers(topics: Topics): Record<string, Answer[]> {
  return { ...runTimes, ...failures, ...load, ...waiting, ...fleet, ...telemetry(topics) };
}
