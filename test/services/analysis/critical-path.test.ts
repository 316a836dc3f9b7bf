import { describe, expect, it } from 'vitest';
import { findCriticalPath, findSlacks } from '../../../services/analysis/critical-path.ts';
import { gatherExecutions } from '../../../services/analysis/execution-trace.ts';
import { modelRun, resimulate } from '../../../services/analysis/resimulation.ts';
import { type TimedRun, timeRun } from '../../../services/analysis/timed-run.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { executionEvent, taskEvent } from '../../support/canonical-events.ts';
import { makePatternCase } from '../../support/planted-scenarios.ts';
import { at, drawRun, gatherOne, gatherRuns, type ToldRun } from './told-runs.ts';

const sumOf = (segments: readonly { duration_ms: number }[]) =>
  segments.reduce((sum, { duration_ms }) => sum + duration_ms, 0);

const example: ToldRun = {
  end: 20,
  tasks: [
    { id: 'a', ready: 0, start: 0, end: 10 },
    { id: 'b', ready: 0, start: 0, end: 4 },
    { id: 'c', after: ['a', 'b'], ready: 10, start: 12, end: 20 },
  ],
};

describe('the critical path of one execution', () => {
  it('is that of the worked example', () => {
    const path = findCriticalPath(timeRun(gatherOne(example)));
    expect(path.path).toEqual(['a', 'c']);
    expect(path.duration).toBe(20_000);
    expect(path.segments.map(({ task, kind, start_ms, duration_ms }) => [task, kind, start_ms, duration_ms])).toEqual([
      ['a', 'run', 0, 10_000],
      ['c', 'slot_wait', 10_000, 2000],
      ['c', 'run', 12_000, 8000],
    ]);
    expect(Object.fromEntries(path.tasks.map(({ task, slack_ms }) => [task, slack_ms]))).toEqual({
      a: 0,
      b: 6000,
      c: 0,
    });
    expect(path.by_kind).toEqual({ run: 18_000, slot_wait: 2000 });
    expect(path.work_ratio).toBe(0.9);
  });

  it('tells failed attempts, delays before retries, scheduling, slots and start-up apart', () => {
    const common = { taskId: 'a', readyAtMs: at(2), dispatchedAtMs: at(5), pool: 'gpu' };
    const trace = gatherExecutions([
      executionEvent({ state: 'running', eventTimeMs: at(0), startedAtMs: at(0) }),
      taskEvent({ ...common, state: 'failed', startedAtMs: at(6), eventTimeMs: at(10) }),
      taskEvent({ ...common, attempt: 2, state: 'completed', startedAtMs: at(15), eventTimeMs: at(25) }),
      executionEvent({ state: 'completed', eventTimeMs: at(26), startedAtMs: at(0) }),
    ])[0];
    const { by_kind } = findCriticalPath(timeRun(trace));
    expect(by_kind).toEqual({
      scheduling: 2000,
      slot_wait: 3000,
      startup: 1000,
      failed_attempt: 4000,
      retry_delay: 5000,
      run: 10_000,
      closing: 1000,
    });
  });

  it('names the task whose end freed the slot', () => {
    const pool = { fields: { pool: 'one' } };
    const trace = gatherOne({
      end: 20,
      tasks: [
        { id: 'first', ready: 0, start: 0, end: 10, ...pool },
        { id: 'second', ready: 0, start: 10, end: 20, ...pool },
      ],
    });
    // Nobody told a dependency, so the second one follows the first by its times; a told one on nothing waits for the slot.
    const [, second] = trace.tasks;
    second.dependencies = [{ taskId: 'elsewhere', type: 'control', optional: false, condition: '' }];
    const { segments } = findCriticalPath(timeRun(trace));
    expect(segments[0]).toMatchObject({ task: 'second', kind: 'slot_wait', duration_ms: 10_000, held_by: 'first' });
  });

  it('puts the clocks of workers right where the orchestrator says how long each waited', () => {
    const skewed = (id: string, ready: number, end: number, after: string[], skew: number) => ({
      id,
      after,
      ready,
      start: ready + 1 + skew,
      end: end + skew,
      fields: { workerId: id, queueUs: 1_000_000 },
    });
    const trace = gatherOne({ end: 22, tasks: [skewed('a', 0, 10, [], 7), skewed('b', 10, 21, ['a'], -4)] });
    const { segments, quality } = findCriticalPath(timeRun(trace));
    expect(segments.map(({ kind, duration_ms }) => [kind, duration_ms])).toEqual([
      ['slot_wait', 1000],
      ['run', 9000],
      ['slot_wait', 1000],
      ['run', 10_000],
      ['closing', 1000],
    ]);
    expect(quality.clock_skew_ms_max).toBe(7000);
  });

  it('goes into the workflow that a task started', () => {
    const [parent, child] = gatherRuns(
      { id: 'p', end: 30, tasks: [{ id: 'call', start: 5, end: 30, fields: { childExecutionId: 'c' } }] },
      { id: 'c', start: 6, end: 23, tasks: [{ id: 'inner', start: 2, end: 20 }] },
    );
    const children = new Map([['c', child]]);
    const { path, segments } = findCriticalPath(timeRun(parent, { children }));
    expect(path).toEqual(['call/inner', 'call']);
    expect(sumOf(segments)).toBe(30_000);
    expect(segments.find(({ task, kind }) => task === 'call/inner' && kind === 'run')?.duration_ms).toBe(18_000);
  });

  it('goes through the iterations of a loop that is told as a task of its own', () => {
    const body = (iteration: number, start: number, end: number) => {
      return { id: 'step', ready: start, start, end, fields: { loopIteration: iteration, mapIndex: iteration } };
    };
    const trace = gatherOne({
      end: 32,
      tasks: [
        { id: 'begin', start: 0, end: 2 },
        { id: 'loop', after: ['begin'], start: 2, end: 30, fields: { operator: 'loop' } },
        body(0, 2, 10),
        body(1, 12, 20),
        body(2, 22, 30),
        { id: 'end', after: ['loop'], start: 30, end: 32 },
      ],
    });
    const { path, by_kind } = findCriticalPath(timeRun(trace));
    expect(path).toEqual(['begin', 'step', 'loop', 'end']);
    expect(by_kind).toEqual({ run: 28_000, loop_delay: 4000 });
  });

  it.each([
    ['no tasks', { end: 5, tasks: [] }],
    ['a task that never ended', { end: 9, tasks: [{ id: 'a', start: 1, end: null }] }],
    ['a task outside of its execution', { end: 9, tasks: [{ id: 'a', start: -5, end: 30 }] }],
    ['a dependency on nothing', { end: 9, tasks: [{ id: 'a', after: ['nobody'], start: 1, end: 3 }] }],
    [
      'a circle',
      {
        end: 9,
        tasks: [
          { id: 'a', after: ['b'], start: 1, end: 3 },
          { id: 'b', after: ['a'], start: 3, end: 9 },
        ],
      },
    ],
    [
      'a circle of things that took no time',
      {
        end: 9,
        tasks: [
          { id: 'a', after: ['b'], start: 3, end: 3 },
          { id: 'b', after: ['a'], start: 3, end: 3 },
        ],
      },
    ],
    [
      'a start before the end of what it waited for',
      {
        end: 9,
        tasks: [
          { id: 'a', start: 0, end: 6 },
          { id: 'b', after: ['a'], start: 4, end: 9 },
        ],
      },
    ],
    [
      'an execution without an end',
      {
        end: null,
        tasks: [
          { id: 'a', start: 0, end: 6 },
          { id: 'b', after: ['a'], start: 6, end: null },
        ],
      },
    ],
  ] satisfies [string, ToldRun][])('sums up to the duration with %s', (_, told) => {
    const run = timeRun(gatherOne(told));
    const { segments, duration } = findCriticalPath(run);
    expect(sumOf(segments)).toBe(duration);
    expect(segments.every(({ duration_ms }) => duration_ms > 0)).toBe(true);
  });

  it('sums up to the duration of every execution of noisy workflows', () => {
    for (let seed = 1; seed <= 20; seed++) {
      for (const trace of gatherExecutions(makePatternCase(seed).runs.flatMap(({ events }) => events))) {
        const { segments, duration } = findCriticalPath(timeRun(trace));
        expect(Math.abs(sumOf(segments) - duration), `seed ${seed}, ${trace.executionId}`).toBeLessThan(1e-6);
      }
    }
  });
});

/** Every way through the graph, tried one by one. */
function findLongestByForce({ tasks }: ToldRun): number {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const lengthTo = (id: string): number => {
    const { after = [], start, end, ready = 0 } = byId.get(id) as ToldRun['tasks'][number];
    const own = (end as number) - start + (start - ready);
    return own + Math.max(0, ...after.map(lengthTo));
  };
  return Math.max(...tasks.map(({ id }) => lengthTo(id)));
}

/** Everything played again with one task so much longer. */
function makespanWith({ tasks, end }: ToldRun, changed: string, extra: number): number {
  const ends = new Map<string, number>();
  for (const { id, after = [], start, end: was, ready = 0 } of tasks) {
    const readyNow = Math.max(0, ...after.map((name) => ends.get(name) as number));
    ends.set(id, readyNow + (start - ready) + ((was as number) - start) + (id === changed ? extra : 0));
  }
  const last = Math.max(...tasks.map((task) => task.end as number));
  return Math.max(...ends.values()) + ((end as number) - last);
}

const forced = Array.from({ length: 300 }, (_, seed) => seed + 1);

describe('on graphs at random', () => {
  it('the path is as long as the longest of all paths', () => {
    for (const seed of forced) {
      const told = drawRun(createRandom(seed), 12);
      const { segments } = findCriticalPath(timeRun(gatherOne(told)));
      const length = sumOf(segments.filter(({ kind }) => kind !== 'closing'));
      expect(length, `seed ${seed}`).toBe(findLongestByForce(told) * 1000);
    }
  });

  it('a task may end later by its slack, and not by more', () => {
    for (const seed of forced) {
      const told = drawRun(createRandom(seed), 10);
      const run = timeRun(gatherOne(told));
      const slacks = findSlacks(run);
      run.nodes.forEach(({ taskId }, node) => {
        const slack = slacks[node] / 1000;
        expect(makespanWith(told, taskId, slack), `seed ${seed}, ${taskId}`).toBeCloseTo(told.end as number, 6);
        expect(makespanWith(told, taskId, slack + 1), `seed ${seed}, ${taskId}`).toBeGreaterThan(told.end as number);
      });
    }
  });

  it('playing again with one task shorter gives what counting by hand gives', () => {
    for (const seed of forced) {
      const told = drawRun(createRandom(seed), 10);
      const run: TimedRun = timeRun(gatherOne(told));
      const model = modelRun(run);
      expect(resimulate(model).makespanMs, `seed ${seed}`).toBe((told.end as number) * 1000);
      run.nodes.forEach(({ taskId, kind }, node) => {
        if (kind !== 'task') return;
        const durationMs = model.durationMs.slice();
        durationMs[node] /= 2;
        const expected = makespanWith(told, taskId, -model.durationMs[node] / 2000);
        expect(resimulate(model, { durationMs }).makespanMs / 1000, `seed ${seed}, ${taskId}`).toBeCloseTo(expected, 6);
      });
    }
  });
});

describe('playing an execution again', () => {
  const instance = (mapIndex: number, start: number, end: number) => {
    return { id: 'part', ready: 0, start, end, fields: { mapIndex, pool: 'small', dispatchedAtMs: at(start) } };
  };
  /** Four parts of ten seconds through two slots. */
  const crowded: ToldRun = {
    end: 20,
    tasks: [instance(0, 0, 10), instance(1, 0, 10), instance(2, 10, 20), instance(3, 10, 20)],
  };
  const withDependency = (told: ToldRun) => {
    const trace = gatherOne(told);
    for (const task of trace.tasks)
      task.dependencies = [{ taskId: 'elsewhere', type: '', optional: false, condition: '' }];
    return modelRun(timeRun(trace));
  };

  it('gives the slots of a pool that was short to one task after the other', () => {
    const model = withDependency(crowded);
    expect(model.slots).toEqual([2]);
    expect(resimulate(model).makespanMs).toBe(20_000);
    expect(resimulate(model, { slots: [4] }).makespanMs).toBe(10_000);
    expect(resimulate(model, { slots: [1] }).makespanMs).toBe(40_000);
    expect(resimulate(model, { durationMs: model.durationMs.map((ms) => ms / 2) }).makespanMs).toBe(10_000);
  });

  it('never takes longer because something takes less', () => {
    for (let seed = 1; seed <= 15; seed++) {
      const random = createRandom(seed);
      const traces = gatherExecutions(
        makePatternCase(seed)
          .runs.slice(0, 8)
          .flatMap(({ events }) => events),
      );
      for (const trace of traces) {
        const model = modelRun(timeRun(trace));
        const before = resimulate(model).makespanMs;
        expect(Math.abs(before - (model.run.endMs - model.run.startMs)), `seed ${seed}`).toBeLessThan(1e-6);
        const durationMs = model.durationMs.map((ms) => ms * random.next());
        expect(resimulate(model, { durationMs }).makespanMs, `seed ${seed}`).toBeLessThanOrEqual(before + 1e-6);
      }
    }
  });
});
