import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type {
  OpenRun,
  ReportWindow,
  RunWindow,
  ScheduledWorkflow,
  WindowInput,
} from '../../clickhouse/queries/alert-inputs.ts';
import { alertWindowMs } from '../../clickhouse/queries/alert-inputs.ts';
import { bucketOf } from '../../pipelines/histogram.ts';
import type { OrchestratorRecord } from '../../schemas/records.ts';
import { planIncidents } from '../../services/simulator/incident-plan.ts';
import { scenarios } from '../../services/simulator/scenarios.ts';
import type { TruthRecord } from '../../services/simulator/truth.ts';
import { World, type WorldEvent } from '../../services/simulator/world.ts';
import { firstVisibleMs } from './alert-matching.ts';

/** A stretch of simulated days: some with incidents, some quiet, with the windows that the evaluator would be given. */
export interface SimulatedStretch {
  windows: Iterable<WindowInput>;
  endMs: number;
  workflows: number;
  incidents: Incident[];
}

/** What was planted, and when it first showed; null where it left no mark. */
export interface Incident {
  truth: TruthRecord;
  visibleMs: number | null;
}

export interface StretchSpec {
  seed: number;
  days: number;
  /** Incidents on a day, counted from the first. */
  incidentsPerDay(day: number): number;
}

export const dayMs = 86_400_000;
/** A Monday. */
export const stretchStartMs = Date.UTC(2026, 5, 1);
const rhythm = { poolsEveryMs: 100_000, workersEveryMs: 150_000, decisionsEvery: 100 } as const;
const openFromMs = 600_000;

interface OpenState {
  run: Omit<OpenRun, 'lastEventAtMs' | 'taskId' | 'taskType'>;
  endMs: number;
  /** When what of its tasks was heard, in order. */
  heard: { atMs: number; taskId: string; taskType: string; isEnd: boolean }[];
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

interface RunNames {
  workspace?: string;
  source?: string;
  workflow_id: string;
  task_type?: string | null;
}

interface Sums {
  window: ReportWindow;
  n: Record<string, number>;
  sum: Record<string, number>;
}

interface Draft {
  runs: Map<string, RunWindow & { errors: Map<string, number> }>;
  reports: Map<string, Sums>;
}

const ends = new Set(['completed', 'failed', 'timeout', 'cancelled', 'partial']);
const failed = new Set(['failed', 'timeout']);

/** Folds events into windows as the product's rollups do, for what the judge looks at. */
export class WindowFold {
  readonly drafts = new Map<number, Draft>();
  readonly open = new Map<string, OpenState>();
  readonly #counters = new Map<string, Counters>();
  readonly starts = new Map<string, { scheduled: ScheduledWorkflow; atMs: number[] }>();

  add(event: WorldEvent): void {
    if (event.topic === 'orchestrators') this.#addReport(event.record);
    else if (event.topic === 'executions') this.#addExecution(event);
    else this.#addTask(event);
  }

  #draft(atMs: number): Draft {
    const index = Math.floor(atMs / alertWindowMs);
    const draft = this.drafts.get(index) ?? { runs: new Map(), reports: new Map() };
    this.drafts.set(index, draft);
    return draft;
  }

  #run(atMs: number, record: RunNames, taskId: string, pool: string) {
    const { runs } = this.#draft(atMs);
    const key = `${record.workspace}|${record.source}|${record.workflow_id}|${taskId}`;
    let run = runs.get(key);
    if (run === undefined) {
      run = {
        workspace: record.workspace ?? 'default',
        source: record.source ?? '',
        workflowId: record.workflow_id,
        taskId,
        taskType: record.task_type ?? '',
        pool,
        version: '',
        started: 0,
        finished: 0,
        failures: 0,
        durations: {},
        queues: {},
        error: '',
        contributions: 0,
        errors: new Map(),
      };
      runs.set(key, run);
    }
    run.contributions++;
    if (pool !== '') run.pool = pool;
    return run;
  }

  #addExecution({ record, atMs }: WorldEvent & { topic: 'executions' }): void {
    const id = `${record.workspace}|${record.source}|${record.execution_id}`;
    if (record.state === 'running') {
      const run = this.#run(record.event_time, record, '', '');
      run.started++;
      run.version = record.workflow_version ?? '';
      const names = { workspace: record.workspace ?? '', source: record.source ?? '', workflowId: record.workflow_id };
      if (!this.open.has(id)) {
        const startedAtMs = record.event_time;
        this.open.set(id, {
          run: { ...names, executionId: record.execution_id, startedAtMs },
          endMs: Number.POSITIVE_INFINITY,
          heard: [],
        });
      }
      if (record.schedule_cron) this.#noteStart(names, record.schedule_cron, record.event_time);
    }
    if (!ends.has(record.state)) return;
    const run = this.#run(record.event_time, record, '', '');
    run.finished++;
    run.version = record.workflow_version ?? '';
    if (failed.has(record.state)) run.failures++;
    if (record.state === 'completed') addBucket(run.durations, record.duration_ms);
    addBucket(run.queues, record.queue_ms);
    const open = this.open.get(id);
    if (open !== undefined) open.endMs = atMs;
  }

  #noteStart(names: Pick<ScheduledWorkflow, 'workspace' | 'source' | 'workflowId'>, cron: string, atMs: number): void {
    const key = `${names.workspace}|${names.workflowId}`;
    const known = this.starts.get(key);
    if (known === undefined)
      this.starts.set(key, { scheduled: { ...names, cron, timeZone: '', lastStartMs: atMs }, atMs: [atMs] });
    else known.atMs.push(atMs);
  }

  #addTask({ record, atMs }: WorldEvent & { topic: 'tasks' }): void {
    const isEnd = ends.has(record.state);
    const open = this.open.get(`${record.workspace}|${record.source}|${record.execution_id}`);
    if (record.state !== 'skipped')
      open?.heard.push({ atMs, taskId: record.task_id, taskType: record.task_type ?? '', isEnd });
    if (record.state === 'running') this.#run(record.event_time, record, record.task_id, record.pool ?? '').started++;
    if (!isEnd || record.state === 'cancelled') return;
    const run = this.#run(record.event_time, record, record.task_id, record.pool ?? '');
    run.finished++;
    run.version = record.workflow_version ?? '';
    if (failed.has(record.state)) {
      run.failures++;
      const error = [record.error_type, record.error_code, record.error_message].filter(Boolean).join(' ');
      run.errors.set(error.replace(/\d+/g, '#'), (run.errors.get(error) ?? 0) + 1);
    }
    if (record.state === 'completed') addBucket(run.durations, record.duration_ms);
    addBucket(run.queues, record.queue_ms);
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
      sums = { window: { ...names, orchestratorId, measures: {}, contributions: 0 }, n: {}, sum: {} };
      reports.set(key, sums);
    }
    sums.window.contributions++;
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

  take(index: number): WindowInput {
    const startMs = index * alertWindowMs;
    const endMs = startMs + alertWindowMs;
    const draft = this.drafts.get(index);
    this.drafts.delete(index);
    const runs = [...(draft?.runs.values() ?? [])].map(({ errors, ...run }) => {
      const [error = ''] = [...errors].toSorted((one, other) => other[1] - one[1]).map(([text]) => text);
      return { ...run, error };
    });
    const reports = [...(draft?.reports.values() ?? [])].map(({ window, n, sum }) => ({
      ...window,
      measures: Object.fromEntries(Object.entries(sum).map(([name, value]) => [name, value / (n[name] as number)])),
    }));
    const scheduled = [...this.starts.values()].flatMap(({ scheduled: workflow, atMs }) => {
      const lastStartMs = atMs.findLast((at) => at < endMs);
      return lastStartMs === undefined ? [] : [{ ...workflow, lastStartMs }];
    });
    return { startMs, endMs, runs, reports, open: this.#takeOpen(endMs), scheduled };
  }

  #takeOpen(endMs: number): OpenRun[] {
    const found: OpenRun[] = [];
    for (const [id, { run, endMs: endedMs, heard }] of this.open) {
      if (endedMs < endMs) this.open.delete(id);
      if (endedMs < endMs || run.startedAtMs > endMs - openFromMs) continue;
      const known = heard.filter(({ atMs }) => atMs < endMs);
      const begun = new Map<string, string>();
      for (const { taskId, taskType, isEnd } of known) {
        if (isEnd) begun.delete(taskId);
        else begun.set(taskId, taskType);
      }
      const [taskId = '', taskType = ''] = [...begun][0] ?? [];
      const lastEventAtMs = known.at(-1)?.atMs ?? run.startedAtMs;
      found.push({ ...run, lastEventAtMs, taskId, taskType });
    }
    return found;
  }
}

function addBucket(buckets: Readonly<Record<string, number>>, ms: number | null | undefined): void {
  if (ms === null || ms === undefined) return;
  const bucket = bucketOf(ms * 1000);
  const counts = buckets as Record<string, number>;
  counts[bucket] = (counts[bucket] ?? 0) + 1;
}

function measuresOf(record: OrchestratorRecord) {
  switch (record.kind) {
    case 'orchestrator_metrics': {
      const { health_score, capacity_load, scheduling_latency_ms_mean, task_backlog, slots_total } = record.body;
      const gauges = { health_score, capacity_load, scheduling_latency_ms_mean, task_backlog, slots_total };
      return { kind: 'orchestrator' as const, id: record.orchestrator_id, pool: '', gauges, counters: {} };
    }
    case 'worker_pool': {
      const { pool_id, slots_total, slots_used, tasks_queued, workers_failed, memory_load, cpu_load } = record.body;
      const { health_mean, task_ms_mean, queue_ms_mean, workers_total, resource_exhaustions } = record.body;
      const load = slots_total ? (slots_used ?? 0) / slots_total : null;
      const gauges = { slots_total, slots_used, slots_load: load, tasks_queued, workers_failed, workers_total };
      const more = { memory_load, cpu_load, health_mean, task_ms_mean, queue_ms_mean };
      const counters = { resource_exhaustions };
      return { kind: 'worker_pool' as const, id: pool_id, pool: pool_id, gauges: { ...gauges, ...more }, counters };
    }
    case 'queue_metrics': {
      const { queue_id, size, wait_ms_mean, oldest_message_at } = record.body;
      const oldest_age_ms = oldest_message_at ? record.event_time - oldest_message_at : 0;
      return {
        kind: 'queue' as const,
        id: queue_id,
        pool: queue_id,
        gauges: { size, wait_ms_mean, oldest_age_ms },
        counters: {},
      };
    }
    case 'worker': {
      const { worker_id, pool_id, health_score, cpu_load, memory_load } = record.body;
      return {
        kind: 'worker' as const,
        id: worker_id,
        pool: pool_id ?? '',
        gauges: { health_score, cpu_load, memory_load },
        counters: {},
      };
    }
    case 'coordination_event': {
      const isSplit = record.body.event_type === 'split_brain' ? 1 : 0;
      if (isSplit === 0) return null;
      return {
        kind: 'orchestrator' as const,
        id: record.orchestrator_id,
        pool: '',
        gauges: {},
        counters: { split_brains: isSplit },
      };
    }
    default:
      return null;
  }
}

/** What the evaluator would have been given, and what was planted. */
export function simulateStretch({ seed, days, incidentsPerDay }: StretchSpec): SimulatedStretch {
  const fold = new WindowFold();
  const truths: TruthRecord[] = [];
  const windows: WindowInput[] = [];
  const perDay = dayMs / alertWindowMs;
  const first = stretchStartMs / alertWindowMs;
  for (let day = 0; day < days; day++) {
    const startMs = stretchStartMs + day * dayMs;
    const scenario = { ...scenarios.demo, incidentsPerDay: incidentsPerDay(day) };
    const catalogue = scenario.catalogue(0, 1);
    const world = new World({
      seed,
      startMs,
      endMs: startMs + dayMs,
      catalogue,
      load: scenario.load,
      incidents: planIncidents({ ...scenario, catalogue, seed, startMs, endMs: startMs + dayMs }),
      rhythm: { coarse: rhythm, detailed: rhythm, detailFromMs: Number.POSITIVE_INFINITY },
      sink: { event: (event) => fold.add(event), truth: (record) => void truths.push(record) },
    });
    world.runUntil(startMs + 4 * dayMs);
    // Runs of a day may end on the next.
    if (day > 0)
      for (let index = 0; index < perDay; index++) windows.push(fold.take(first + (day - 1) * perDay + index));
  }
  return {
    windows,
    endMs: windows.at(-1)?.endMs ?? stretchStartMs,
    workflows: new Set(windows.flatMap(({ runs }) => runs.map(({ workflowId }) => workflowId))).size,
    incidents: truths.map((truth) => ({ truth, visibleMs: firstVisibleMs(truth, windows) })),
  };
}

/** Windows as they are kept: one that is looked at is unpacked, and forgotten. */
class PackedWindows implements Iterable<WindowInput> {
  readonly #packed: readonly Uint8Array[];

  constructor(packed: readonly Uint8Array[]) {
    this.#packed = packed;
  }

  *[Symbol.iterator](): Iterator<WindowInput> {
    for (const window of this.#packed) yield deserialize(window) as WindowInput;
  }
}

/** Kept in a folder, where one is given: simulating takes ten times as long as judging. */
export function keepStretch(spec: StretchSpec, folder: string | undefined): SimulatedStretch {
  if (folder === undefined) return simulateStretch(spec);
  const file = path.join(folder, `stretch-${spec.seed}.bin`);
  if (!existsSync(file)) {
    const { windows, ...stretch } = simulateStretch(spec);
    mkdirSync(folder, { recursive: true });
    const packed = Array.from(windows, (window) => serialize(window));
    writeFileSync(`${file}.part`, serialize({ ...stretch, packed }));
    renameSync(`${file}.part`, file);
  }
  const { packed, ...stretch } = deserialize(readFileSync(file));
  return { ...stretch, windows: new PackedWindows(packed) };
}
