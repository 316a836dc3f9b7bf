import { describe, expect, it } from 'vitest';
import { Engine } from '../../../services/simulator/engine.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import {
  type QueueDiscipline,
  type SlotRequest,
  WorkerPool,
  type WorkerPoolOptions,
} from '../../../services/simulator/resources.ts';

const worker = (id: string, slots: number) => ({ id, slots, cpuCores: 4, memoryBytes: 1000, speed: 1 });

function poolOf(engine: Engine, rest: Partial<WorkerPoolOptions> = {}): WorkerPool {
  return new WorkerPool(engine, { name: 'p', discipline: 'fifo', workers: [worker('w1', 1)], ...rest });
}

function ask(id: string, granted: (workerId: string) => void, rest: Partial<SlotRequest> = {}): SlotRequest {
  const needs = { cpuCores: 1, memoryBytes: 100, priority: 0, fairKey: '', expectedMs: 1 };
  return { id, ...needs, granted: ({ workerId }) => granted(workerId), ...rest };
}

/** Lets requests come while the only slot is taken, and answers in which order they got it. */
function orderOf(discipline: QueueDiscipline, requests: (Partial<SlotRequest> & { id: string })[]): string[] {
  const engine = new Engine(0);
  const pool = poolOf(engine, { discipline });
  const order: string[] = [];
  pool.request(ask('holder', () => engine.after(10, () => pool.release('holder'))));
  for (const { id, ...rest } of requests) {
    const granted = () => {
      order.push(id);
      engine.after(10, () => pool.release(id));
    };
    pool.request(ask(id, granted, rest));
  }
  engine.runUntil(Number.POSITIVE_INFINITY);
  pool.assertConserved();
  return order;
}

describe('who is next', () => {
  it('is whoever came first, for fifo', () => {
    const given = [{ id: 'a', priority: 1, expectedMs: 9 }, { id: 'b', priority: 9 }, { id: 'c' }];
    expect(orderOf('fifo', given)).toEqual(['a', 'b', 'c']);
  });

  it('is the highest priority, and of equals who came first', () => {
    const given = [
      { id: 'low', priority: 1 },
      { id: 'high', priority: 5 },
      { id: 'also-high', priority: 5 },
      { id: 'middle', priority: 3 },
    ];
    expect(orderOf('priority', given)).toEqual(['high', 'also-high', 'middle', 'low']);
  });

  it('is the shortest', () => {
    const given = [
      { id: 'long', expectedMs: 90 },
      { id: 'short', expectedMs: 5 },
      { id: 'middle', expectedMs: 40 },
    ];
    expect(orderOf('shortest_first', given)).toEqual(['short', 'middle', 'long']);
  });

  it('is one of whoever has least running, so that a crowd of one does not push others aside', () => {
    const engine = new Engine(0);
    const pool = poolOf(engine, { discipline: 'fair', workers: [worker('w1', 3)] });
    const order: string[] = [];
    const come = (id: string, fairKey: string) => pool.request(ask(id, () => order.push(id), { fairKey }));
    for (const id of ['a1', 'a2', 'a3', 'a4', 'a5']) come(id, 'a');
    for (const id of ['b1', 'b2']) come(id, 'b');
    come('c1', 'c');
    pool.release('a1');
    pool.release('a2');
    pool.release('a3');
    expect(order).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'a4']);
  });
});

describe('a pool', () => {
  it('gives work to the worker with most free slots', () => {
    const engine = new Engine(0);
    const pool = poolOf(engine, { workers: [worker('w1', 1), worker('w2', 3)] });
    const given: string[] = [];
    for (const id of ['a', 'b', 'c', 'd', 'e']) pool.request(ask(id, (workerId) => given.push(workerId)));
    expect(given).toEqual(['w2', 'w2', 'w1', 'w2']);
    expect(pool.waiting.map(({ id }) => id)).toEqual(['e']);
  });

  it('lets nobody overtake what waits for room, but what no worker could ever hold steps aside', () => {
    const engine = new Engine(0);
    const pool = poolOf(engine, { workers: [worker('w1', 9)] });
    const given: string[] = [];
    const come = (id: string, cpuCores: number) => pool.request(ask(id, () => given.push(id), { cpuCores }));
    come('three', 3);
    come('two', 2);
    come('one', 1);
    expect(given).toEqual(['three']);
    come('monster', 64);
    pool.release('three');
    come('another', 1);
    expect(given).toEqual(['three', 'two', 'one', 'another']);
    pool.addWorker({ ...worker('big', 1), cpuCores: 64 });
    expect(given.at(-1)).toBe('monster');
  });

  it('occupies a slot while the scheduler takes its time to hand it out', () => {
    const engine = new Engine(0);
    const pool = poolOf(engine, { dispatchMs: () => 7 });
    const times: number[] = [];
    for (const id of ['a', 'b']) {
      pool.request(
        ask(id, () => {
          times.push(engine.nowMs);
          engine.after(10, () => pool.release(id));
        }),
      );
    }
    expect(pool.slotsUsed).toBe(1);
    engine.runUntil(100);
    expect(times).toEqual([7, 24]);
  });

  it('takes back requests that wait or are being handed out, and none that was granted', () => {
    const engine = new Engine(0);
    const pool = poolOf(engine, { dispatchMs: () => 7 });
    for (const id of ['a', 'b', 'c']) pool.request(ask(id, () => {}));
    expect([pool.withdraw('b'), pool.withdraw('a'), pool.withdraw('nobody')]).toEqual([true, true, false]);
    engine.runUntil(100);
    expect(pool.withdraw('c')).toBe(false);
    expect(() => pool.release('a')).toThrow('has not granted');
    pool.release('c');
    expect(() => pool.release('c')).toThrow('released before');
    pool.assertConserved();
    expect(pool.counts).toEqual({ made: 3, granted: 1, withdrawn: 2, released: 1, lost: 0 });
  });

  it('drains a worker: it takes nothing new and leaves when it is empty', () => {
    const pool = poolOf(new Engine(0), { workers: [worker('w1', 2), worker('w2', 1)] });
    const given: string[] = [];
    for (const id of ['a', 'b']) pool.request(ask(id, (workerId) => given.push(workerId)));
    expect(pool.removeWorker('w1', 'drain')).toEqual([]);
    pool.request(ask('c', (workerId) => given.push(workerId)));
    expect([given, pool.slotsTotal]).toEqual([['w1', 'w1', 'w2'], 1]);
    pool.request(ask('d', (workerId) => given.push(workerId)));
    pool.release('a');
    expect([given.length, pool.waitingCount, pool.workers.size]).toEqual([3, 1, 2]);
    pool.release('b');
    expect([...pool.workers.keys()]).toEqual(['w2']);
    pool.assertConserved();
  });

  it('tells what is killed with a worker, once, and gives its place to others', () => {
    const engine = new Engine(0);
    const pool = poolOf(engine, { workers: [worker('w1', 2)] });
    const lost: string[] = [];
    const come = (id: string) =>
      pool.request(ask(id, () => {}, { lost: ({ workerId }) => lost.push(`${id} on ${workerId}`) }));
    for (const id of ['a', 'b', 'c']) come(id);
    expect(pool.removeWorker('w1', 'kill')).toEqual(['a', 'b']);
    expect(lost).toEqual(['a on w1', 'b on w1']);
    expect([pool.workers.size, pool.waitingCount, pool.removeWorker('w1', 'kill')]).toEqual([0, 1, []]);
    pool.addWorker(worker('w2', 1));
    expect(pool.running.get('c')?.worker.id).toBe('w2');
    pool.assertConserved();
  });

  it('does not hand out a slot of a worker that was killed meanwhile', () => {
    const engine = new Engine(0);
    const pool = poolOf(engine, { dispatchMs: () => 7 });
    const lost: string[] = [];
    pool.request(ask('a', () => expect.unreachable(), { lost: ({ workerId }) => lost.push(workerId) }));
    engine.runUntil(3);
    expect(pool.removeWorker('w1', 'kill')).toEqual(['a']);
    engine.runUntil(100);
    expect([lost, pool.counts.granted]).toEqual([['w1'], 0]);
    pool.assertConserved();
  });

  it('can be given fewer slots than its workers have, down to none', () => {
    const pool = poolOf(new Engine(0), { workers: [worker('w1', 4)] });
    pool.setSlots(2);
    for (const id of ['a', 'b', 'c']) pool.request(ask(id, () => {}));
    expect([pool.slotsUsed, pool.slotsTotal]).toEqual([2, 2]);
    pool.setSlots(0);
    pool.release('a');
    expect([pool.slotsUsed, pool.waitingCount]).toEqual([1, 1]);
    pool.setSlots(9);
    expect([pool.slotsUsed, pool.slotsTotal]).toEqual([2, 4]);
  });

  it('refuses a request whose id it knows', () => {
    const pool = poolOf(new Engine(0));
    pool.request(ask('a', () => {}));
    expect(() => pool.request(ask('a', () => {}))).toThrow('already');
  });
});

describe('whatever happens to a pool', () => {
  const disciplines: QueueDiscipline[] = ['fifo', 'priority', 'fair', 'shortest_first'];

  it.each(disciplines)('nothing is lost, made or over-committed: %s', (discipline) => {
    for (let seed = 1; seed <= 20; seed++) {
      const end = disturb(discipline, seed);
      expect(end.waitingCount + end.slotsUsed, `seed ${seed}`).toBe(0);
      expect(end.counts.made, `seed ${seed}`).toBe(1500);
    }
  });
});

/** Requests, withdrawals, dying and new workers, and changes of size, all by chance; checked after every one. */
function disturb(discipline: QueueDiscipline, seed: number): WorkerPool {
  const engine = new Engine(0);
  const random = createRandom(seed);
  const workers = [worker('w1', 3), worker('w2', 2)];
  const pool = poolOf(engine, { discipline, workers, dispatchMs: () => (random.chance(0.5) ? random.below(5) : 0) });
  const peaks = { cpuCores: 0, memoryBytes: 0 };
  const come = (id: string) => {
    const granted = () => {
      engine.after(random.exponential(20), () => {
        if (pool.running.has(id)) pool.release(id);
      });
    };
    const needs = { cpuCores: random.between(0.1, 4), memoryBytes: random.below(1000) };
    const rank = { priority: random.below(3), fairKey: `k${random.below(4)}`, expectedMs: random.below(100) };
    pool.request(ask(id, granted, { ...needs, ...rank }));
  };
  for (let index = 0; index < 1500; index++) {
    engine.after(random.between(0, 9000), () => {
      come(`r${index}`);
      if (random.chance(0.1)) pool.withdraw(`r${random.below(index + 1)}`);
      if (random.chance(0.02)) pool.removeWorker(`w${random.below(9)}`, random.pick(['drain', 'kill']));
      if (random.chance(0.05) || pool.workers.size < 2) pool.addWorker(worker(`x${index}`, 1 + random.below(3)));
      if (random.chance(0.02)) pool.setSlots(1 + random.below(6));
      pool.assertConserved();
      for (const { cpuCoresUsed, memoryBytesUsed } of pool.workers.values()) {
        peaks.cpuCores = Math.max(peaks.cpuCores, cpuCoresUsed);
        peaks.memoryBytes = Math.max(peaks.memoryBytes, memoryBytesUsed);
      }
    });
  }
  engine.runUntil(9000);
  pool.setSlots(100);
  engine.runUntil(Number.POSITIVE_INFINITY);
  expect(peaks.cpuCores).toBeLessThan(4.000001);
  expect(peaks.memoryBytes).toBeLessThanOrEqual(1000);
  pool.assertConserved();
  return pool;
}
