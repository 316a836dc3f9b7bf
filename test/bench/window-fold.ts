import type {
  OpenRun,
  ReportWindow,
  RunWindow,
  ScheduledWorkflow,
  WindowInput,
} from '../../clickhouse/queries/alert-inputs.ts';
import { alertWindowMs } from '../../clickhouse/queries/alert-inputs.ts';
import { bucketOf } from '../../pipelines/histogram.ts';
import { endStates } from '../../schemas/events.ts';
import type { OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import type { WorldEvent } from '../../services/simulator/world.ts';

const openFromMs = 600_000;
const minuteMs = 60_000;
const longestError = 200;

/** An attempt of a task, as far as it was heard of. */
interface AttemptSpan {
  taskId: string;
  mapIndex: number;
  attempt: number;
  taskType: string;
  startedAtMs: number | null;
  endedAtMs: number | null;
}

interface OpenState {
  run: Omit<OpenRun, 'lastEventAtMs' | 'taskId' | 'taskType'>;
  endMs: number;
  attempts: Map<string, AttemptSpan>;
}

class Counters {
  readonly #last = new Map<string, number>();

  /** What a counter grew by since its last reading; a reading below the one before is a restart. */
  growth(name: string, reading: number): number {
    const before = this.#last.get(name);
    this.#last.set(name, reading);
    if (before === undefined) return 0;
    return reading >= before ? reading - before : reading;
  }
}

interface Sums {
  window: ReportWindow;
  /** How many reports of each kind told of it. */
  reports: Record<string, number>;
  n: Record<string, number>;
  sum: Record<string, number>;
}

interface RunDraft extends RunWindow {
  /** When something was last said by a version. */
  versionMinute: number;
  errors: Map<string, number>;
}

interface Draft {
  runs: Map<string, RunDraft>;
  reports: Map<string, Sums>;
}

/** What is known of an execution or task until it has come to an end that nothing follows. */
interface Thing {
  hasStarted: boolean;
  /** Takes the outcome that counts out of its window again, once a later attempt has another one. */
  takeBack: (() => void) | null;
}

const ends: ReadonlySet<string> = new Set(endStates);
const failed: ReadonlySet<string> = new Set(['failed', 'timeout']);
/** Ends of attempts that are counted; what was cancelled or skipped says nothing of how well things go. */
const countedAttempts: ReadonlySet<string> = new Set(['completed', 'failed', 'timeout']);

/** Folds events into windows as the product's rollups do, for what the judge looks at. */
export class WindowFold {
  readonly #drafts = new Map<number, Draft>();
  readonly #open = new Map<string, OpenState>();
  readonly #things = new Map<string, Thing>();
  readonly #counters = new Map<string, Counters>();
  readonly #starts = new Map<string, { scheduled: ScheduledWorkflow; atMs: number[] }>();

  add(event: WorldEvent): void {
    if (event.topic === 'orchestrators') this.#addReport(event.record);
    else if (event.topic === 'executions') this.#addExecution(event.record);
    else this.#addTask(event.record);
  }

  #draft(atMs: number): Draft {
    const index = Math.floor(atMs / alertWindowMs);
    const draft = this.#drafts.get(index) ?? { runs: new Map(), reports: new Map() };
    this.#drafts.set(index, draft);
    return draft;
  }

  /** Whatever is said of a workflow or task makes it known in its window. */
  #run(record: ExecutionRecord | TaskRecord, task: { taskId: string; taskType: string; pool: string }): RunDraft {
    const { runs } = this.#draft(record.event_time);
    const names = namesOf(record);
    const key = [names.workspace, names.source, names.workflowId, task.taskId].join('\n');
    const known = runs.get(key);
    const run: RunDraft = known ?? {
      ...names,
      ...task,
      ...{ version: '', versionMinute: -1, started: 0, finished: 0, failures: 0, durations: {}, queues: {}, error: '' },
      contributions: 0,
      errors: new Map(),
    };
    if (known === undefined) runs.set(key, run);
    run.contributions++;
    if (task.pool !== '') run.pool = task.pool;
    const minute = Math.floor(record.event_time / minuteMs);
    const version = record.workflow_version ?? '';
    if (minute > run.versionMinute || (minute === run.versionMinute && version > run.version)) {
      run.version = version;
      run.versionMinute = minute;
    }
    return run;
  }

  #thing(key: string): Thing {
    const thing = this.#things.get(key) ?? { hasStarted: false, takeBack: null };
    this.#things.set(key, thing);
    return thing;
  }

  /** Of a failure another attempt may come; nothing follows any other end. */
  #conclude(key: string, state: string): void {
    if (!failed.has(state)) this.#things.delete(key);
  }

  #addExecution(record: ExecutionRecord): void {
    const id = executionKey(record);
    const run = this.#run(record, { taskId: '', taskType: '', pool: '' });
    if (record.state === 'running') {
      const thing = this.#thing(id);
      if (!thing.hasStarted) run.started++;
      thing.hasStarted = true;
      this.#begin(id, record);
    }
    if (!ends.has(record.state)) return;
    const thing = this.#thing(id);
    thing.takeBack?.();
    const isFailure = failed.has(record.state);
    run.finished++;
    if (isFailure) run.failures++;
    const takeOut = addOutcome(run, record);
    thing.takeBack = () => {
      takeOut();
      run.finished--;
      if (isFailure) run.failures--;
    };
    this.#conclude(id, record.state);
    const open = this.#open.get(id);
    if (open !== undefined) open.endMs = record.event_time;
  }

  #begin(id: string, record: ExecutionRecord): void {
    const names = namesOf(record);
    const startedAtMs = record.event_time;
    if (!this.#open.has(id)) {
      const run = { ...names, executionId: record.execution_id, startedAtMs };
      this.#open.set(id, { run, endMs: Number.POSITIVE_INFINITY, attempts: new Map() });
    }
    if (!record.schedule_cron) return;
    const key = [names.workspace, names.source, names.workflowId].join('\n');
    const known = this.#starts.get(key);
    const timeZone = record.schedule_timezone ?? '';
    const scheduled = { ...names, cron: record.schedule_cron, timeZone, lastStartMs: startedAtMs };
    if (known === undefined) this.#starts.set(key, { scheduled, atMs: [startedAtMs] });
    else known.atMs.push(startedAtMs);
  }

  #addTask(record: TaskRecord): void {
    const isEnd = ends.has(record.state);
    const mapIndex = record.map_index ?? -1;
    const key = [executionKey(record), record.task_id, mapIndex].join('\n');
    const taskType = record.task_type ?? '';
    const run = this.#run(record, { taskId: record.task_id, taskType, pool: record.pool ?? '' });
    if (record.state === 'running') {
      const thing = this.#thing(key);
      if (!thing.hasStarted) run.started++;
      thing.hasStarted = true;
    }
    if (record.state === 'running' || isEnd) this.#noteAttempt(record, mapIndex);
    if (!isEnd) return;
    const thing = this.#thing(key);
    thing.takeBack?.();
    thing.takeBack = addOutcome(run, record);
    this.#conclude(key, record.state);
    if (!countedAttempts.has(record.state)) return;
    run.finished++;
    if (!failed.has(record.state)) return;
    run.failures++;
    const error = errorOf(record);
    run.errors.set(error, (run.errors.get(error) ?? 0) + 1);
  }

  #noteAttempt(record: TaskRecord, mapIndex: number): void {
    const open = this.#open.get(executionKey(record));
    if (open === undefined) return;
    const { task_id: taskId, attempt = 1 } = record;
    const key = [taskId, mapIndex, attempt].join('\n');
    const known = open.attempts.get(key);
    const span = known ?? {
      ...{ taskId, mapIndex, attempt, taskType: record.task_type ?? '', startedAtMs: null, endedAtMs: null },
    };
    if (known === undefined) open.attempts.set(key, span);
    if (record.state === 'running') span.startedAtMs ??= record.event_time;
    else span.endedAtMs = record.event_time;
  }

  #addReport(record: OrchestratorRecord): void {
    const measures = measuresOf(record);
    if (measures === null) return;
    const { kind, id, pool, gauges, counters } = measures;
    const orchestratorId = record.orchestrator_id;
    const { reports } = this.#draft(record.event_time);
    const key = `${kind}|${id}`;
    let sums = reports.get(key);
    if (sums === undefined) {
      const names = { workspace: record.workspace ?? 'default', source: record.source ?? '', kind, id, pool };
      sums = { window: { ...names, orchestratorId, measures: {}, contributions: 0 }, reports: {}, n: {}, sum: {} };
      reports.set(key, sums);
    }
    sums.reports[record.kind] = (sums.reports[record.kind] ?? 0) + 1;
    for (const [name, value] of Object.entries(gauges)) {
      if (value === null || value === undefined) continue;
      sums.n[name] = (sums.n[name] ?? 0) + 1;
      sums.sum[name] = (sums.sum[name] ?? 0) + value;
    }
    const memory = this.#counters.get(key) ?? new Counters();
    this.#counters.set(key, memory);
    for (const [name, value] of Object.entries(counters)) {
      sums.n[name] = 1;
      sums.sum[name] =
        (sums.sum[name] ?? 0) + (name === 'split_brains' ? (value ?? 0) : memory.growth(name, value ?? 0));
    }
  }

  /** In the order in which they are read from the rollups: which of several causes is named may depend on it. */
  take(index: number): WindowInput {
    const startMs = index * alertWindowMs;
    const endMs = startMs + alertWindowMs;
    const draft = this.#drafts.get(index);
    this.#drafts.delete(index);
    const runs = [...(draft?.runs.values() ?? [])].map(({ errors, versionMinute: _, ...run }) => ({
      ...run,
      error: commonest(errors),
    }));
    const reports = [...(draft?.reports.values() ?? [])].map(toReport);
    const scheduled = [...this.#starts.values()].flatMap(({ scheduled: workflow, atMs }) => {
      const lastStartMs = atMs.findLast((at) => at < endMs);
      return lastStartMs === undefined ? [] : [{ ...workflow, lastStartMs }];
    });
    return {
      startMs,
      endMs,
      runs: runs.toSorted(
        (one, other) =>
          Number(one.taskId !== '') - Number(other.taskId !== '') || compareTexts(runNames(one), runNames(other)),
      ),
      reports: reports.toSorted((one, other) => compareTexts(reportNames(one), reportNames(other))),
      open: this.#takeOpen(endMs),
      scheduled: scheduled.toSorted((one, other) => compareTexts(runNames(one), runNames(other))),
    };
  }

  #takeOpen(endMs: number): OpenRun[] {
    const found: OpenRun[] = [];
    for (const [id, { run, endMs: endedMs, attempts }] of this.#open) {
      if (endedMs < endMs) this.#open.delete(id);
      if (endedMs < endMs || run.startedAtMs > endMs - openFromMs) continue;
      found.push({ ...run, ...describeAttempts([...attempts.values()], run.startedAtMs, endMs) });
    }
    return found.toSorted(
      (one, other) =>
        other.startedAtMs - one.startedAtMs ||
        compareTexts([one.workspace, one.source, one.executionId], [other.workspace, other.source, other.executionId]),
    );
  }
}

const namesOf = ({ workspace, source, workflow_id: workflowId }: ExecutionRecord | TaskRecord) => ({
  workspace: workspace ?? 'default',
  source: source ?? '',
  workflowId,
});

const executionKey = ({ workspace, source, execution_id }: ExecutionRecord | TaskRecord): string =>
  [workspace, source, execution_id].join('\n');

const runNames = (run: Pick<RunWindow, 'workspace' | 'source' | 'workflowId'> & { taskId?: string }): string[] => [
  run.workspace,
  run.source,
  run.workflowId,
  run.taskId ?? '',
];
const reportNames = ({ workspace, source, kind, orchestratorId, pool, id }: ReportWindow): string[] => [
  ...[workspace, source, kind, orchestratorId, pool, id],
];

function compareTexts(ones: readonly string[], others: readonly string[]): number {
  for (const [at, one] of ones.entries()) {
    const other = others[at] as string;
    if (one !== other) return one < other ? -1 : 1;
  }
  return 0;
}

/** Adds how long it took and waited; gives how to take that out again, which is told of the window as a change too. */
function addOutcome(run: RunDraft, record: ExecutionRecord | TaskRecord): () => void {
  const duration = record.state === 'completed' ? bucketFor(record.duration_ms) : null;
  const queue = bucketFor(record.queue_ms);
  addToBucket(run.durations, duration, 1);
  addToBucket(run.queues, queue, 1);
  return () => {
    addToBucket(run.durations, duration, -1);
    addToBucket(run.queues, queue, -1);
    run.contributions++;
  };
}

const bucketFor = (ms: number | null | undefined): number | null =>
  ms === null || ms === undefined ? null : bucketOf(ms * 1000);

function addToBucket(buckets: Readonly<Record<string, number>>, bucket: number | null, by: number): void {
  if (bucket === null) return;
  const counts = buckets as Record<string, number>;
  counts[bucket] = (counts[bucket] ?? 0) + by;
  if (counts[bucket] === 0) delete counts[bucket];
}

const errorOf = ({ error_type, error_code, error_message }: TaskRecord): string =>
  [error_type, error_code, error_message?.replace(/\d+/g, '#')].filter(Boolean).join(' ').slice(0, longestError);

function commonest(errors: ReadonlyMap<string, number>): string {
  const [first] = [...errors].toSorted(([one, n], [other, otherN]) => otherN - n || (one > other ? -1 : 1));
  return first?.[0] ?? '';
}

function describeAttempts(attempts: readonly AttemptSpan[], startedAtMs: number, atMs: number) {
  const isBefore = (instantMs: number | null): instantMs is number => instantMs !== null && instantMs < atMs;
  const heard = attempts.flatMap((attempt) => [attempt.startedAtMs, attempt.endedAtMs]).filter(isBefore);
  const [running] = attempts
    .filter((attempt) => isBefore(attempt.startedAtMs) && !isBefore(attempt.endedAtMs))
    .toSorted(
      (one, other) =>
        Number(one.startedAtMs) - Number(other.startedAtMs) ||
        compareTexts([one.taskId], [other.taskId]) ||
        one.mapIndex - other.mapIndex ||
        one.attempt - other.attempt,
    );
  const { taskId = '', taskType = '' } = running ?? {};
  return { lastEventAtMs: Math.max(startedAtMs, ...heard), taskId, taskType };
}

function toReport({ window, reports, n, sum }: Sums): ReportWindow {
  const measures = Object.fromEntries(Object.entries(sum).map(([name, value]) => [name, value / (n[name] as number)]));
  const { slots_total: total, slots_used: used } = measures;
  if (total !== undefined && used !== undefined && total > 0) measures.slots_load = used / total;
  return { ...window, measures, contributions: Math.max(...Object.values(reports)) };
}

function measuresOf(record: OrchestratorRecord) {
  const orchestratorId = record.orchestrator_id;
  switch (record.kind) {
    case 'orchestrator_metrics': {
      const { health_score, capacity_load, scheduling_latency_ms_mean, slots_total } = record.body;
      const gauges = { health_score, capacity_load, scheduling_latency_ms_mean, slots_total };
      return { kind: 'orchestrator' as const, id: orchestratorId, pool: '', gauges, counters: {} };
    }
    case 'worker_pool': {
      const { pool_id, slots_total, slots_used, tasks_queued, workers_failed, memory_load, cpu_load } = record.body;
      const { health_mean, workers_total, resource_exhaustions } = record.body;
      const gauges = { slots_total, slots_used, tasks_queued, workers_failed, workers_total, memory_load, cpu_load };
      const counters = { resource_exhaustions };
      return { kind: 'worker_pool' as const, id: pool_id, pool: pool_id, gauges: { ...gauges, health_mean }, counters };
    }
    case 'queue_metrics': {
      const { queue_id, size, wait_ms_mean, oldest_message_at } = record.body;
      const oldest_age_ms = oldest_message_at == null ? null : Math.max(0, record.event_time - oldest_message_at);
      const gauges = { size, wait_ms_mean, oldest_age_ms };
      return { kind: 'queue' as const, id: queue_id, pool: queue_id, gauges, counters: {} };
    }
    case 'worker': {
      const { worker_id, pool_id, health_score, cpu_load, memory_load } = record.body;
      const gauges = { health_score, cpu_load, memory_load };
      return { kind: 'worker' as const, id: worker_id, pool: pool_id ?? '', gauges, counters: {} };
    }
    case 'coordination_event': {
      if (record.body.event_type !== 'split_brain') return null;
      const counters = { split_brains: 1 };
      return { kind: 'orchestrator' as const, id: orchestratorId, pool: '', gauges: {}, counters };
    }
    default:
      return null;
  }
}
