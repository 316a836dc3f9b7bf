import { Engine } from '../../services/simulator/engine.ts';
import { Play } from '../../services/simulator/play.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { WorkerPool } from '../../services/simulator/resources.ts';
import { TimedResultCache } from '../../services/simulator/result-cache.ts';
import { allWorkflows } from '../../services/simulator/workflow-catalogue.ts';
import { playToEnd, startMs, work, workflow } from '../services/simulator/play-stage.ts';
import {
  type Estimate,
  estimateMean,
  meanLongestMs,
  meanWaitFixedMs,
  meanWaitMs,
  type QueueRun,
  simulateWaits,
} from '../services/simulator/queue-theory.ts';
import { type Bar, finishBench, median, round } from './report.ts';

/**
 * How long a million task events take, played whole: arrivals, queues, workers, retries and every change told. Counted
 * is the time that this process had a core, with its garbage collection, so that neighbours on the machine do not
 * matter. Then how far simulated waiting times and makespans are from what theory says they are.
 */
const taskEvents = 1_000_000;
const repeats = 3;
const rows: Record<string, string | number>[] = [];
const bars: Bar[] = [];

const definitions = new Map(allWorkflows.map((definition) => [definition.id, definition]));

/** All workflows of the catalogue in turn, a new execution every four seconds, until enough changes were told. */
function playFleet(seed: number): { seconds: number; engineEvents: number; told: number; executions: number } {
  const engine = new Engine(startMs);
  const random = createRandom(seed);
  const cache = new TimedResultCache();
  const pools = new Map<string, WorkerPool>();
  let told = 0;
  let executions = 0;
  const observer = { execution: () => {}, task: () => void told++ };
  const poolOf = (name: string) => {
    const known = pools.get(name) ?? createPool(engine, name);
    pools.set(name, known);
    return known;
  };
  const childDefinition = (id: string) => definitions.get(id);
  const arrive = () => {
    const definition = allWorkflows[executions % allWorkflows.length];
    const executionId = `run-${executions++}`;
    new Play({ engine, definition, executionId, random, pools: poolOf, childDefinition, cache, observer }).start();
    engine.after(random.exponential(4000), arrive);
  };
  arrive();
  const seconds = cpuSecondsOf(() => {
    while (told < taskEvents) engine.step();
  });
  for (const pool of pools.values()) pool.assertConserved();
  return { seconds, engineEvents: engine.processed, told, executions };
}

function cpuSecondsOf(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function createPool(engine: Engine, name: string): WorkerPool {
  const workers = Array.from({ length: 12 }, (_, index) => {
    return { id: `${name}-${index}`, slots: 12, cpuCores: 64, memoryBytes: 256 * 2 ** 30, speed: 1 };
  });
  return new WorkerPool(engine, { name, discipline: 'priority', workers });
}

const runs = Array.from({ length: repeats }, (_, index) => playFleet(index + 1));
const secondsPerMillion = median(runs.map(({ seconds, told }) => (seconds / told) * 1e6));
for (const { seconds, engineEvents, told, executions } of runs) {
  const rates = { 'task events/s': Math.round(told / seconds), 'engine events/s': Math.round(engineEvents / seconds) };
  rows.push({ what: `${executions} executions`, 'CPU s': round(seconds), ...rates });
}
rows.push({ what: 'engine alone', ...runEngineAlone() });
bars.push({
  name: 'simulator-million-task-events',
  value: secondsPerMillion,
  unit: 'CPU s',
  direction: 'at most',
  bound: 10,
});

/** Ten thousand timers that set themselves again: what the heap itself costs. */
function runEngineAlone(): Record<string, number> {
  const engine = new Engine(0);
  const random = createRandom(1);
  const count = 2_000_000;
  const tick = () => {
    engine.after(random.exponential(1000), tick);
  };
  for (let index = 0; index < 10_000; index++) tick();
  const seconds = cpuSecondsOf(() => {
    while (engine.processed < count) engine.step();
  });
  return { 'CPU s': round(seconds), 'engine events/s': Math.round(count / seconds) };
}

/** A simulated mean beside the true one; the distance is in half widths of its 99.9 % interval. */
function compare(what: string, { mean, halfWidth }: Estimate, truth: number): void {
  const distance = Math.abs(mean - truth) / halfWidth;
  const ratios = { 'error %': round((100 * (mean - truth)) / truth), '+- %': round((100 * halfWidth) / truth) };
  rows.push({ what, simulated: round(mean), theory: round(truth), ...ratios, distance: round(distance) });
  bars.push({ name: what, value: distance, unit: 'half widths', direction: 'at most', bound: 1 });
}

const requests = 1_000_000;
function compareQueue(what: string, queue: Omit<QueueRun, 'requests' | 'seed'>, truth: number): void {
  compare(what, estimateMean(simulateWaits({ ...queue, requests, seed: 2 })), truth);
}

compareQueue('wait-mm1-load-0.5', { servers: 1, arrivalRate: 0.05, serviceMs: 10 }, meanWaitMs(1, 0.05, 10));
compareQueue('wait-mm1-load-0.8', { servers: 1, arrivalRate: 0.08, serviceMs: 10 }, meanWaitMs(1, 0.08, 10));
compareQueue('wait-mm5-load-0.8', { servers: 5, arrivalRate: 0.4, serviceMs: 10 }, meanWaitMs(5, 0.4, 10));
compareQueue('wait-mm20-load-0.8', { servers: 20, arrivalRate: 1.6, serviceMs: 10 }, meanWaitMs(20, 1.6, 10));
const fixed = { servers: 1, arrivalRate: 0.08, serviceMs: 10, isServiceFixed: true };
compareQueue('wait-md1-load-0.8', fixed, meanWaitFixedMs(0.08, 10));

function compareMakespan(what: string, definition: ReturnType<typeof workflow>, truth: number): void {
  const play = (_: unknown, seed: number) => playToEnd(definition, { seed }).last.atMs - startMs;
  compare(what, estimateMean(Float64Array.from({ length: 10_000 }, play)), truth);
}

const durationMs = { distribution: 'exponential', meanMs: 60_000 } as const;
const ids = ['a', 'b', 'c', 'd', 'e'];
const chain = ids.map((id, index) => work(id, { durationMs, ...(index === 0 ? {} : { after: [ids[index - 1]] }) }));
compareMakespan('makespan-chain-5', workflow(chain), 5 * 60_000);
const fork = Array.from({ length: 8 }, (_, index) => work(`fork${index}`, { durationMs }));
compareMakespan('makespan-fork-8', workflow(fork), meanLongestMs(8, 60_000));

finishBench('simulator', rows, bars);
