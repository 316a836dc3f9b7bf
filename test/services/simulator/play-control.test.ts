import { describe, expect, it } from 'vitest';
import type { AttemptMoment, PlayEffects } from '../../../services/simulator/play.ts';
import { Recorder } from '../../../services/simulator/recording.ts';
import { TimedResultCache } from '../../../services/simulator/result-cache.ts';
import { allWorkflows } from '../../../services/simulator/workflow-catalogue.ts';
import { findProblems } from './play-laws.ts';
import { PlayStage, playToEnd, startMs, work, workflow } from './play-stage.ts';

const chain = workflow([work('a'), work('b', { after: ['a'] }), work('c', { after: ['b'] })]);
const boom = { type: 'Boom', code: '', message: 'it broke', stack: '', retryable: false };

/** Fails attempts of one task up to a number of them. */
const failUntil = (taskId: string, attempt: number): PlayEffects => ({
  failure: (moment: AttemptMoment) => (moment.taskId === taskId && moment.attempt <= attempt ? boom : undefined),
});

function begin(...given: ConstructorParameters<typeof PlayStage>): PlayStage {
  const stage = new PlayStage(...given);
  stage.play.start();
  return stage;
}

describe('an execution', () => {
  it('can be cancelled, once, with all that is under way', () => {
    const stage = begin(chain).runFor(1.5);
    expect([stage.play.cancel('enough'), stage.play.cancel('again')]).toEqual([true, false]);
    const { listener } = stage.runToEnd();
    expect(['a', 'b', 'c'].map((id) => listener.endOf(id).state)).toEqual(['completed', 'cancelled', 'skipped']);
    expect([listener.last.state, listener.last.cancelReason, stage.seconds]).toEqual(['cancelled', 'enough', 1.5]);
    expect(findProblems(listener, [...stage.pools.values()])).toEqual([]);
  });

  it('can be cancelled while its tasks queue, start up, or wait for a retry', () => {
    const retry = { attempts: 3, backoff: 'fixed', delayMs: 5000 } as const;
    const tasks = [work('starting', { startupMs: 9000 }), work('queued'), work('retrying', { pool: 'other', retry })];
    const effects: PlayEffects = {
      failure: ({ taskId }) => (taskId === 'retrying' ? { ...boom, retryable: true } : undefined),
    };
    const stage = begin(workflow(tasks), { slots: 1, effects }).runFor(2);
    stage.play.cancel('enough');
    expect(tasks.map(({ id }) => stage.listener.endOf(id).state)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    expect(findProblems(stage.runToEnd().listener, [...stage.pools.values()])).toEqual([]);
  });

  it('takes back what it asked for when it is cancelled, where somebody else has the slot', () => {
    const stage = new PlayStage(workflow([work('a')]), { slots: 1 });
    const pool = stage.pool('default');
    const needs = { cpuCores: 1, memoryBytes: 1, priority: 0, fairKey: '', expectedMs: 1 };
    pool.request({ id: 'other', ...needs, granted: () => {} });
    stage.play.start();
    expect([pool.waitingCount, stage.play.cancel('enough'), pool.waitingCount]).toEqual([1, true, 0]);
    pool.release('other');
    expect(findProblems(stage.runToEnd().listener, [pool])).toEqual([]);
  });

  it('can wait before it is started', () => {
    const stage = new PlayStage(chain);
    stage.play.announce();
    stage.runFor(5).startToEnd();
    const [pending, running] = stage.listener.executions;
    expect([pending?.state, running?.state, (running?.queuedAtMs ?? 0) - startMs]).toEqual(['pending', 'running', 0]);
    expect(() => stage.play.start()).toThrow('was started before');
  });

  it('can be retried after a failure: what completed stays, the rest is played as a further attempt', () => {
    const stage = begin(chain, { effects: failUntil('b', 1) }).runToEnd();
    expect([stage.play.state, stage.play.retry('try again'), stage.play.retry()]).toEqual(['failed', true, false]);
    const { listener } = stage.runToEnd();
    expect(listener.endsOf('a').length).toBe(1);
    expect(
      listener.endsOf('b').map(({ state, attempt, executionAttempt }) => [state, attempt, executionAttempt]),
    ).toEqual([
      ['failed', 1, 1],
      ['completed', 2, 2],
    ]);
    expect(listener.endsOf('c').map(({ state }) => state)).toEqual(['skipped', 'completed']);
    expect([listener.last.state, listener.last.attempt, listener.last.retryReason]).toEqual([
      'completed',
      2,
      'try again',
    ]);
    expect(stage.play.retry()).toBe(false);
  });

  it('plays again also what was undone', () => {
    const tasks = [work('a', { compensation: work('undo_a') }), work('b', { after: ['a'] })];
    const stage = begin(workflow(tasks), { effects: failUntil('b', 1) }).runToEnd();
    stage.play.retry();
    const { listener } = stage.runToEnd();
    expect([listener.endsOf('a').length, listener.endsOf('undo_a').length, stage.play.state]).toEqual([
      2,
      1,
      'completed',
    ]);
  });

  it('can have a task restarted with all that comes after it, while it runs or when it is over', () => {
    const stage = begin(chain).runFor(2.5);
    expect([stage.play.restartTask('nobody'), stage.play.restartTask('b', 'bad data')]).toEqual([false, true]);
    stage.runToEnd();
    const { listener } = stage;
    expect(listener.endsOf('c').map(({ state }) => state)).toEqual(['cancelled', 'completed']);
    expect([listener.endsOf('a').length, listener.startsOf('b'), listener.startsOf('c')]).toEqual([
      1,
      [1, 2.5],
      [2, 3.5],
    ]);
    expect(listener.endOf('b').retryReason).toBe('bad data');
    expect([stage.play.restartTask('c'), stage.play.state]).toEqual([true, 'running']);
    expect([stage.runToEnd().listener.endsOf('c').length, listener.last.attempt, stage.play.state]).toEqual([
      3,
      2,
      'completed',
    ]);
    expect(findProblems(listener, [...stage.pools.values()])).toEqual([]);
  });

  it('can be paused: what runs, runs on, and nothing begins until it is resumed', () => {
    const stage = begin(chain).runFor(0.5);
    expect([stage.play.pause(), stage.play.pause(), stage.play.state]).toEqual([true, false, 'suspended']);
    stage.runFor(9.5);
    expect([stage.listener.endOf('a').state, stage.listener.statesOf('b')]).toEqual(['completed', ['pending']]);
    expect([stage.play.resume(), stage.play.resume(), stage.play.state]).toEqual([true, false, 'running']);
    expect(stage.runToEnd().listener.startsOf('b')).toEqual([10]);
    expect(stage.play.state).toBe('completed');
  });

  it('can be cancelled or time out while it is paused', () => {
    const paused = begin(chain).runFor(0.5);
    paused.play.pause();
    paused.runFor(5).play.cancel('enough');
    expect([paused.play.state, paused.listener.statesOf('b').at(-1)]).toEqual(['cancelled', 'cancelled']);
    const late = begin({ ...chain, timeoutMs: 3000 }).runFor(0.5);
    late.play.pause();
    expect([late.runToEnd().play.state, late.listener.startsOf('b')]).toEqual(['timeout', []]);
  });
});

describe('a task ends exactly once', () => {
  it('also when its worker is lost: another one takes it over, and the first is heard of no more', () => {
    const task = work('a', { retry: { attempts: 3, backoff: 'fixed', delayMs: 1000 }, durationMs: 5000 });
    const stage = begin(workflow([task])).runFor(2);
    const pool = stage.pool('default');
    pool.removeWorker('default-0', 'kill');
    pool.addWorker({ id: 'second', slots: 1, cpuCores: 8, memoryBytes: 2 ** 40, speed: 1 });
    const { listener } = stage.runToEnd();
    expect(listener.endsOf('a').map(({ state, worker, error }) => [state, worker, error?.type])).toEqual([
      ['failed', 'default-0', 'WorkerLost'],
      ['completed', 'second', undefined],
    ]);
    expect([stage.seconds, stage.play.state]).toEqual([8, 'completed']);
    expect(findProblems(listener, [pool])).toEqual([]);
  });
});

describe('incidents', () => {
  it('change durations, and an attempt may never end by itself', () => {
    const effects: PlayEffects = {
      durationMs: ({ taskId }, ms) => (taskId === 'b' ? Number.POSITIVE_INFINITY : ms * 3),
    };
    const stage = begin(chain, { effects }).runToEnd();
    expect([stage.seconds, stage.play.state, stage.listener.statesOf('b')]).toEqual([
      3,
      'running',
      ['queued', 'running'],
    ]);
    expect(stage.play.cancel('stuck')).toBe(true);
    expect(stage.play.isOver).toBe(true);
  });

  it('fail or spare attempts, and show in usage and output', () => {
    const task = work('a', { failureRatio: 1, produces: { rows: { value: 5 } } });
    const effects: PlayEffects = {
      failure: () => null,
      usage: (_, usage) => ({ ...usage, memoryPeakBytes: 7 }),
      output: () => ({ rows: -1 }),
    };
    const end = playToEnd(workflow([task]), { effects }).endOf('a');
    expect([end.state, end.usage?.memoryPeakBytes, end.output]).toEqual(['completed', 7, { rows: -1 }]);
    expect(playToEnd(workflow([task])).endOf('a').state).toBe('failed');
  });

  it('leave everything else as it would have been', () => {
    const durationMs = { distribution: 'log_normal', medianMs: 5000, sigma: 1 } as const;
    const tasks = ['a', 'b', 'c'].map((id) => work(id, { durationMs }));
    const without = playToEnd(workflow(tasks), { seed: 4 });
    const withOne = playToEnd(workflow(tasks), { seed: 4, effects: failUntil('a', 1) });
    for (const id of ['b', 'c']) expect(withOne.endOf(id).usage).toEqual(without.endOf(id).usage);
    expect(withOne.endOf('a').state).toBe('failed');
  });

  it('of a slow worker show in what it runs', () => {
    const stage = new PlayStage(workflow([work('a')]));
    for (const worker of stage.pool('default').workers.values()) worker.speed = 0.25;
    expect(stage.startToEnd().seconds).toBe(4);
  });
});

describe('chance', () => {
  const definitions = allWorkflows.filter(({ id }) =>
    ['order_saga', 'count_words', 'train_ranker', 'ci_build'].includes(id),
  );
  const digestOf = (index: number, seed: number) =>
    playToEnd(definitions[index], { seed, slots: 3, cache: new TimedResultCache() }).digest();

  it.each(definitions.map(({ id }, index) => [id, index] as const))('is the seed: %s', (_, index) => {
    expect(digestOf(index, 1)).toBe(digestOf(index, 1));
    expect(new Set([1, 2, 3, 4, 5].map((seed) => digestOf(index, seed))).size).toBe(5);
  });

  it.each(definitions.map(({ id }, index) => [id, index] as const))('does not matter to a replay: %s', (_, index) => {
    for (let seed = 1; seed <= 10; seed++) {
      const recorder = new Recorder();
      const stage = new PlayStage(definitions[index], { seed, slots: 3, observer: recorder });
      stage.startToEnd();
      const told = playToEnd(definitions[index], { seed, slots: 3 });
      const { recording } = recorder;
      const replayed = playToEnd(definitions[index], { seed: seed + 1000, slots: 3, recording });
      expect(replayed.tasks, `seed ${seed}`).toEqual(told.tasks);
      expect(replayed.digest(), `seed ${seed}`).toBe(told.digest());
    }
  });
});
