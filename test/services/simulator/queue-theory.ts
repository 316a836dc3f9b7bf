import { Engine } from '../../../services/simulator/engine.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { WorkerPool } from '../../../services/simulator/resources.ts';

/** Mean waiting times that are known in closed form, to judge simulated ones by. Rates are per millisecond. */

/** Chance that a request has to wait (Erlang's C formula), by the recursion of Erlang's B formula. */
export function erlangC(servers: number, load: number): number {
  let blocked = 1;
  for (let count = 1; count <= servers; count++) blocked = (load * blocked) / (count + load * blocked);
  const busyRatio = load / servers;
  return blocked / (1 - busyRatio * (1 - blocked));
}

/** M/M/c, with M/M/1 for one server. */
export function meanWaitMs(servers: number, arrivalRate: number, serviceMs: number): number {
  const load = arrivalRate * serviceMs;
  return (erlangC(servers, load) * serviceMs) / (servers - load);
}

/** M/D/1: half of what it is with exponential service (Pollaczek and Khinchine). */
export function meanWaitFixedMs(arrivalRate: number, serviceMs: number): number {
  const load = arrivalRate * serviceMs;
  return (load * serviceMs) / (2 * (1 - load));
}

/** Mean of the longest of `count` independent exponential times: the harmonic number times their mean. */
export function meanLongestMs(count: number, meanMs: number): number {
  let harmonic = 0;
  for (let term = 1; term <= count; term++) harmonic += 1 / term;
  return harmonic * meanMs;
}

export interface QueueRun {
  servers: number;
  arrivalRate: number;
  serviceMs: number;
  isServiceFixed?: boolean;
  requests: number;
  seed: number;
}

/** Waiting times of requests that come to one pool, in the order in which they came. */
export function simulateWaits(run: QueueRun): Float64Array {
  const { servers, arrivalRate, serviceMs, isServiceFixed = false, requests, seed } = run;
  const engine = new Engine(0);
  const random = createRandom(seed);
  const workers = [{ id: 'w', slots: servers, cpuCores: 1e9, memoryBytes: 1e15, speed: 1 }];
  const pool = new WorkerPool(engine, { name: 'p', discipline: 'fifo', workers });
  const waitsMs = new Float64Array(requests);
  const needs = { cpuCores: 0, memoryBytes: 0, priority: 0, fairKey: '', expectedMs: serviceMs };
  let count = 0;
  const arrive = () => {
    const index = count++;
    const id = String(index);
    const cameMs = engine.nowMs;
    const granted = () => {
      waitsMs[index] = engine.nowMs - cameMs;
      engine.after(isServiceFixed ? serviceMs : random.exponential(serviceMs), () => pool.release(id));
    };
    pool.request({ id, ...needs, granted });
    if (count < requests) engine.after(random.exponential(1 / arrivalRate), arrive);
  };
  engine.after(0, arrive);
  engine.runUntil(Number.POSITIVE_INFINITY);
  return waitsMs;
}

export interface Estimate {
  mean: number;
  /** Half the width of the interval that holds the true mean with 99.9 % confidence. */
  halfWidth: number;
}

/**
 * Means of long batches are nearly independent and nearly normal, though neighbouring waiting times are neither: the
 * spread of the batch means says how far their mean may be off. The first tenth is left out, as the queue begins empty.
 */
export function estimateMean(values: Float64Array, batches = 30): Estimate {
  const settled = values.subarray(Math.floor(values.length / 10));
  const size = Math.floor(settled.length / batches);
  const means = Array.from({ length: batches }, (_, index) =>
    average(settled.subarray(index * size, (index + 1) * size)),
  );
  const mean = average(means);
  const variance = means.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (batches - 1);
  return { mean, halfWidth: studentT * Math.sqrt(variance / batches) };
}

// The 99.95th percentile of Student's t with 29 degrees of freedom.
const studentT = 3.659;

function average(values: ArrayLike<number>): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) sum += values[index];
  return sum / values.length;
}
