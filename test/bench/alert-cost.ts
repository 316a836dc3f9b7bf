import { setTimeout as sleep } from 'node:timers/promises';
import { alertWindowMs, type RunWindow, type WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import { bucketOf } from '../../pipelines/histogram.ts';
import { Judge } from '../../services/alerts/judge.ts';
import { RuleBook } from '../../services/alerts/rules.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { finishBench, median, round } from './report.ts';

/** What judging costs: a window of 20 000 series on one core, and the memory that a series takes once everything is known of it. */
const workflows = 400;
const tasksOfWorkflow = 16;
/** A task is judged by how long it takes, how long it waits and how often it fails: three series; a workflow by two. */
const series = workflows * (2 + 3 * tasksOfWorkflow);
const known = 240;
const random = createRandom(1);
const book = new RuleBook();
const judge = new Judge({ bookOf: () => book });
const startMs = Date.UTC(2026, 5, 1);

const makeBuckets = (n: number, medianMs: number): Record<string, number> => {
  const buckets: Record<string, number> = {};
  for (let value = 0; value < n; value++) {
    const bucket = bucketOf(random.logNormal(medianMs, 0.3) * 1000);
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }
  return buckets;
};

function makeRun(workflowId: string, taskId: string): RunWindow {
  const n = 1 + random.below(4);
  return {
    workspace: 'default',
    source: 'bench',
    workflowId,
    taskId,
    taskType: 'compute',
    pool: taskId === '' ? '' : `pool-${workflowId}`,
    version: '1',
    started: n,
    finished: n,
    failures: random.chance(0.02) ? 1 : 0,
    durations: makeBuckets(n, 10_000),
    queues: makeBuckets(n, 500),
    error: '',
    contributions: 2 * n,
  };
}

function makeWindow(at: number): WindowInput {
  const runs = Array.from({ length: workflows }, (_, workflow) => [
    makeRun(`w${workflow}`, ''),
    ...Array.from({ length: tasksOfWorkflow }, (__, task) => makeRun(`w${workflow}`, `t${task}`)),
  ]).flat();
  const windowMs = startMs + at * alertWindowMs;
  return { startMs: windowMs, endMs: windowMs + alertWindowMs, runs, reports: [], open: [], scheduled: [] };
}

/** In a function of its own, or the last window would be held, and counted as memory of the judge. */
function judgeWindow(at: number): number {
  const window = makeWindow(at);
  const startedMs = performance.now();
  judge.judge(window);
  return performance.now() - startedMs;
}

const collect = globalThis.gc;
if (collect === undefined) throw new Error('run with --expose-gc');
/** Buffers of arrays are freed in the background, some time after what held them. */
const bytesInUse = async (): Promise<number> => {
  for (let turn = 0; turn < 4; turn++) {
    collect();
    await sleep(250);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

const before = await bytesInUse();
const costs: number[] = [];
for (let at = 0; at < known; at++) {
  const costMs = judgeWindow(at);
  if (at >= known / 2) costs.push(costMs);
}
const bytes = ((await bytesInUse()) - before) / series;
const seconds = (median(costs) / 1000) * (20_000 / series);

finishBench(
  'alert-cost',
  [
    { what: 'series', value: series },
    { what: 'windows that were judged', value: known },
    { what: 'ms for a window, median', value: round(median(costs)) },
    { what: 'ms for a window, most', value: round(Math.max(...costs)) },
    { what: 'bytes of memory a series', value: round(bytes) },
  ],
  [
    { name: 'judge-20000-series', value: seconds, unit: 's', direction: 'at most', bound: 5 },
    { name: 'judge-memory', value: bytes, unit: 'bytes a series', direction: 'at most', bound: 2000 },
  ],
);
