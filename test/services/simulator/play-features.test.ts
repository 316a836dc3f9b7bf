import { describe, expect, it } from 'vitest';
import type { MockedResult } from '../../../services/simulator/play.ts';
import { TimedResultCache } from '../../../services/simulator/result-cache.ts';
import type {
  ErrorSpec,
  HumanTask,
  LoopTask,
  SwitchTask,
  TaskDefinition,
} from '../../../services/simulator/workflow-model.ts';
import { PlayStage, playToEnd, startMs, work, workflow } from './play-stage.ts';

const failing: MockedResult = { state: 'failed', durationMs: 1000, error: { type: 'Boom', message: 'it broke' } };
const secondsOf = (atMs: number | null) => ((atMs ?? Number.NaN) - startMs) / 1000;

describe('tasks wait for each other', () => {
  it('in a chain', () => {
    const listener = playToEnd(workflow([work('a'), work('b', { after: ['a'] }), work('c', { after: ['b'] })]));
    expect(['a', 'b', 'c'].map((id) => listener.startsOf(id))).toEqual([[0], [1], [2]]);
    expect(listener.last.state).toBe('completed');
  });

  it('in parallel branches that meet again when all are done', () => {
    const branches = [1, 2, 3].map((n) => work(`b${n}`, { after: ['a'], durationMs: n * 1000 }));
    const listener = playToEnd(workflow([work('a'), ...branches, work('z', { after: ['b1', 'b2', 'b3'] })]));
    expect([...listener.startsOf('b1'), ...listener.startsOf('b3'), ...listener.startsOf('z')]).toEqual([1, 1, 4]);
    expect(listener.endOf('z').dependencies.map(({ taskId }) => taskId)).toEqual(['b1', 'b2', 'b3']);
    expect(listener.endOf('a').dependents).toEqual(['b1', 'b2', 'b3']);
  });

  it('at a fan-in of any or of a number, where the rest may be cancelled', () => {
    const branches = [1, 2, 3].map((n) => work(`b${n}`, { durationMs: n * 1000 }));
    const after = ['b1', 'b2', 'b3'];
    const any = playToEnd(workflow([...branches, work('z', { after, join: 'any' })]));
    expect([any.startsOf('z'), any.endOf('b3').state, any.endOf('z').triggerRule]).toEqual([
      [1],
      'completed',
      'any_success',
    ]);
    const two = playToEnd(workflow([...branches, work('z', { after, join: 2, cancelRest: true })]));
    expect([two.startsOf('z'), two.endOf('b3').state, two.endOf('b3').cancelReason]).toEqual([
      [2],
      'cancelled',
      'z has enough',
    ]);
    expect(two.last.state).toBe('completed');
  });

  it('and are skipped, with the reason, where what they wait for can no longer come', () => {
    const tasks = [
      work('a', { when: 'false' }),
      work('b', { after: ['a'] }),
      work('c', { after: ['b'], runOn: 'not_failed' }),
    ];
    const listener = playToEnd(workflow(tasks));
    expect(listener.statesOf('b')).toEqual(['skipped']);
    expect(listener.endOf('b').skippedReason).toBe('waits for all_success: a skipped');
    expect(listener.endOf('c').state).toBe('completed');
  });

  it('also under a condition of their own, and for optional ones however they end', () => {
    const tasks = [
      work('a', { produces: { rows: { value: 3 } } }),
      work('many', { after: [{ task: 'a', when: 'tasks.a.output.rows > 5' }] }),
      work('few', { after: [{ task: 'a', when: 'tasks.a.output.rows <= 5' }] }),
      work('z', { after: ['few', { task: 'many', optional: true }] }),
    ];
    const listener = playToEnd(workflow(tasks));
    expect([listener.endOf('many').state, listener.endOf('z').state]).toEqual(['skipped', 'completed']);
  });
});

describe('loops', () => {
  const loop = (rest: Partial<LoopTask>): LoopTask => {
    return { id: 'l', name: 'L', kind: 'loop', tasks: [work('step')], maxIterations: 9, ...rest };
  };

  it('play their tasks so many times, one iteration after the other', () => {
    const listener = playToEnd(workflow([loop({ times: 'n' }), work('z', { after: ['l'] })], { variables: { n: 3 } }));
    expect(listener.endsOf('step').map(({ loopIteration }) => loopIteration)).toEqual([0, 1, 2]);
    expect([listener.startsOf('step'), listener.startsOf('z')]).toEqual([[0, 1, 2], [3]]);
    expect(listener.endOf('l').output).toEqual({ iterations: 3 });
  });

  it('go through a list, with delays between', () => {
    const step = work('step', { input: { name: "who + '!'" } });
    const forEach = loop({ forEach: 'people', as: 'who', tasks: [step], delayMs: 500 });
    const listener = playToEnd(workflow([forEach], { variables: { people: ['ann', 'bob'] } }));
    expect(listener.endsOf('step').map(({ input }) => input)).toEqual([{ name: 'ann!' }, { name: 'bob!' }]);
    expect(listener.startsOf('step')).toEqual([0, 1.5]);
  });

  it('go on while a condition holds, and fail at their bound', () => {
    const count: TaskDefinition = { id: 'count', name: 'Count', kind: 'transform', set: { n: 'n + 1' } };
    const listener = playToEnd(workflow([loop({ while: 'n < 4', tasks: [count] })], { variables: { n: 0 } }));
    expect([listener.last.variables.n, listener.last.state]).toEqual([4, 'completed']);
    const endless = playToEnd(workflow([loop({ while: 'true', tasks: [count] })], { variables: { n: 0 } }));
    expect([endless.last.variables.n, endless.last.error?.type]).toEqual([9, 'LoopBoundExceeded']);
  });

  it('keep the numbers of iterations apart where they are nested', () => {
    const inner = loop({ id: 'inner', times: '2' });
    const listener = playToEnd(workflow([loop({ times: '2', tasks: [inner] })]));
    expect(listener.endsOf('step').map(({ loopIteration, attempt }) => [loopIteration, attempt])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
  });

  it('end with the first iteration that fails', () => {
    const listener = playToEnd(workflow([loop({ times: '3' })]), { mocks: { step: failing } });
    expect([listener.endsOf('step').length, listener.endOf('l').state]).toEqual([1, 'failed']);
  });
});

describe('mapped tasks', () => {
  it('have an instance for each item, so many at once, and collect what those produce', () => {
    const map = { over: 'items', as: 'it', maxParallel: 2 };
    const tasks = [work('m', { map, produces: { double: { from: 'it * 2' } } }), work('z', { after: ['m'] })];
    const listener = playToEnd(workflow(tasks, { variables: { items: [1, 2, 3] }, output: { all: 'tasks.m.output' } }));
    expect(listener.endsOf('m').map(({ mapIndex, mapSize }) => [mapIndex, mapSize])).toEqual([
      [0, 3],
      [1, 3],
      [2, 3],
    ]);
    expect([listener.startsOf('m'), listener.startsOf('z')]).toEqual([[0, 0, 1], [2]]);
    expect(listener.last.output).toEqual({ all: [{ double: 2 }, { double: 4 }, { double: 6 }] });
  });

  it('with nothing to map over are skipped, and what waits for them goes on', () => {
    const listener = playToEnd(workflow([work('m', { map: { over: '0' } }), work('z', { after: ['m'] })]));
    expect([listener.statesOf('m'), listener.endOf('z').state]).toEqual([['skipped'], 'completed']);
  });

  it('bear as many failures as they are told to', () => {
    const failure = ({ mapIndex, taskId }: { mapIndex: number; taskId: string }) =>
      taskId === 'm' && mapIndex < 2 ? { type: 'Boom', code: '', message: '', stack: '', retryable: false } : null;
    const mapped = (toleratedFailureRatio: number) =>
      playToEnd(workflow([work('m', { map: { over: '4', toleratedFailureRatio } })]), { effects: { failure } });
    expect(mapped(0.5).last.state).toBe('completed');
    expect(mapped(0.25).last.state).toBe('failed');
    expect(
      mapped(0.25)
        .endsOf('m')
        .map(({ state }) => state),
    ).toContain('cancelled');
  });
});

describe('sub-workflows', () => {
  const child = workflow([work('inner', { input: { n: 'n' }, durationMs: 3000 })], {
    id: 'child',
    variables: { n: 0 },
    output: { n: 'n + 1' },
  });
  const parent = (wait: boolean) =>
    workflow([
      { id: 'c', name: 'C', kind: 'workflow', workflow: 'child', wait, input: { n: '41' } },
      work('z', { after: ['c'] }),
    ]);
  const childDefinition = (id: string) => (id === 'child' ? child : undefined);

  it('are executions of their own, and what they return comes back', () => {
    const listener = playToEnd(parent(true), { childDefinition });
    expect([listener.endOf('c').output, listener.startsOf('z'), listener.endOf('c').childExecutionId]).toEqual([
      { n: 42 },
      [3],
      'run-1.c',
    ]);
    const begun = listener.executions.find(({ executionId }) => executionId === 'run-1.c');
    expect(begun).toMatchObject({ parentExecutionId: 'run-1', parentTaskId: 'c', rootExecutionId: 'run-1' });
    expect(listener.last.childExecutionIds).toEqual(['run-1.c']);
  });

  it('need not be waited for', () => {
    const listener = playToEnd(parent(false), { childDefinition });
    expect([listener.startsOf('z'), secondsOf(listener.endOf('inner').atMs)]).toEqual([[0], 3]);
  });

  it('fail the task when they fail or are not there, and are cancelled with it', () => {
    const failure = () => ({ type: 'Boom', code: '', message: 'x', stack: '', retryable: false });
    const failed = playToEnd(parent(true), { childDefinition, effects: { failure } });
    expect(failed.last.error?.type).toBe('ChildFailed');
    expect(playToEnd(parent(true)).last.error?.type).toBe('UnknownWorkflow');
    const stage = new PlayStage(parent(true), { childDefinition });
    stage.play.start();
    stage.runFor(1).play.cancel('enough');
    expect(stage.listener.endOf('inner').state).toBe('cancelled');
  });
});

describe('conditions', () => {
  const choose: SwitchTask = {
    id: 's',
    name: 'S',
    kind: 'switch',
    cases: [
      { name: 'big', when: 'size > 10', leadsTo: ['x'] },
      { name: 'middle', when: 'size > 5', leadsTo: ['y'] },
    ],
    otherwise: ['z'],
  };
  const tasks = [choose, ...['x', 'y', 'z', 'always'].map((id) => work(id, { after: ['s'] }))];

  it.each([
    [20, ['x', 'always']],
    [7, ['y', 'always']],
    [1, ['z', 'always']],
  ])('take the first branch that holds, for %i', (size, expected) => {
    const listener = playToEnd(workflow(tasks, { variables: { size: 0 } }), { variables: { size } });
    const ran = ['x', 'y', 'z', 'always'].filter((id) => listener.endOf(id).state === 'completed');
    expect(ran).toEqual(expected);
    expect(listener.endOf('s').type).toBe('decision');
  });

  it('that do not fit their data fail the task, without a retry', () => {
    const definition = workflow([
      work('a', { when: "size > 'x'", retry: { attempts: 3, backoff: 'fixed', delayMs: 1 } }),
    ]);
    const listener = playToEnd({ ...definition, variables: { size: 1 } });
    expect([listener.statesOf('a'), listener.last.error?.message]).toEqual([['failed'], 'cannot compare 1 > x']);
  });
});

describe('timeouts', () => {
  it('end an attempt of a task, which may be tried again', () => {
    const retry = { attempts: 2, backoff: 'fixed', delayMs: 500 } as const;
    const listener = playToEnd(workflow([work('a', { durationMs: 9000, timeoutMs: 2000, retry })]));
    expect(listener.endsOf('a').map(({ state, atMs }) => [state, secondsOf(atMs)])).toEqual([
      ['timeout', 2],
      ['timeout', 4.5],
    ]);
    expect([listener.last.state, listener.last.error?.type]).toEqual(['failed', 'TaskTimeout']);
  });

  it('end an execution with all that it has under way', () => {
    const listener = playToEnd(
      workflow([work('a', { durationMs: 9000 }), work('b', { after: ['a'] })], { timeoutMs: 4000 }),
    );
    expect([listener.last.state, secondsOf(listener.last.atMs)]).toEqual(['timeout', 4]);
    expect([listener.endOf('a').state, listener.endOf('b').state]).toEqual(['cancelled', 'skipped']);
  });
});

describe('retries', () => {
  const delays = (backoff: 'fixed' | 'exponential', rest: object = {}) => {
    const retry = { attempts: 5, backoff, delayMs: 1000, ...rest };
    const listener = playToEnd(workflow([work('a', { retry })]), { mocks: { a: failing } });
    return listener.tasks.filter(({ state }) => state === 'retrying').map(({ retryDelayMs }) => retryDelayMs as number);
  };

  it('come after delays that stay, grow, or grow up to a cap', () => {
    expect(delays('fixed')).toEqual([1000, 1000, 1000, 1000]);
    expect(delays('exponential')).toEqual([1000, 2000, 4000, 8000]);
    expect(delays('exponential', { factor: 3, maxDelayMs: 5000 })).toEqual([1000, 3000, 5000, 5000]);
  });

  it('are spread by jitter, within its bounds', () => {
    const spread = delays('fixed', { jitterRatio: 0.5 });
    expect(new Set(spread).size).toBe(4);
    for (const delayMs of spread) expect(Math.abs(delayMs - 1000)).toBeLessThanOrEqual(500);
  });

  it('tell when the next attempt is due, and it comes then', () => {
    const listener = playToEnd(workflow([work('a', { retry: { attempts: 2, backoff: 'fixed', delayMs: 700 } })]), {
      mocks: { a: failing },
    });
    const retrying = listener.tasks.find(({ state }) => state === 'retrying');
    expect(secondsOf(retrying?.nextRetryAtMs ?? null)).toBe(1.7);
    expect(listener.startsOf('a')).toEqual([0, 1.7]);
    expect(listener.endsOf('a').map(({ attempt, maxAttempts }) => [attempt, maxAttempts])).toEqual([
      [1, 2],
      [2, 2],
    ]);
    expect(listener.endOf('a').retryReason).toBe('Boom: it broke');
  });

  it('are left out where trying again cannot help', () => {
    const play = (error: Partial<ErrorSpec>, errorTypes?: string[]) => {
      const retry = { attempts: 3, backoff: 'fixed', delayMs: 1, ...(errorTypes && { errorTypes }) } as const;
      return playToEnd(workflow([work('a', { retry })]), { mocks: { a: { ...failing, error } } }).endsOf('a').length;
    };
    expect([play({ retryable: true }), play({ retryable: false })]).toEqual([3, 1]);
    expect([play({ type: 'Rare' }, ['Often']), play({ type: 'Often' }, ['Often'])]).toEqual([1, 3]);
  });
});

describe('failures', () => {
  const mocks = { b: failing };
  const chain = (onError?: 'fail' | 'continue' | 'handle') => [
    work('a'),
    work('b', { after: ['a'], ...(onError && { onError }) }),
    work('c', { after: ['b'] }),
    work('mend', { after: ['b'], runOn: 'failure' }),
    work('tidy', { after: ['b'], runOn: 'done' }),
  ];
  const statesAfter = (onError?: 'fail' | 'continue' | 'handle') => {
    const listener = playToEnd(workflow(chain(onError)), { mocks });
    return [...['c', 'mend', 'tidy'].map((id) => listener.endOf(id).state), listener.last.state];
  };

  it('fail the execution, go unheeded, or are left to tasks that handle them', () => {
    expect(statesAfter()).toEqual(['skipped', 'completed', 'completed', 'failed']);
    expect(statesAfter('continue')).toEqual(['completed', 'completed', 'completed', 'partial']);
    expect(statesAfter('handle')).toEqual(['skipped', 'completed', 'completed', 'completed']);
  });

  it('let other branches end, or cancel them at once', () => {
    const tasks = [work('b'), work('long', { durationMs: 5000 }), work('after', { after: ['long'] })];
    const slow = playToEnd(workflow(tasks), { mocks });
    expect([slow.endOf('after').state, secondsOf(slow.last.atMs)]).toEqual(['completed', 6]);
    const fast = playToEnd(workflow(tasks, { failFast: true }), { mocks });
    expect([fast.endOf('long').state, fast.endOf('after').state, secondsOf(fast.last.atMs)]).toEqual([
      'cancelled',
      'skipped',
      1,
    ]);
  });

  it('are told to whoever handles them for the whole execution', () => {
    const listener = playToEnd(workflow(chain(), { onFailure: [work('page')] }), { mocks });
    expect(listener.endOf('page').state).toBe('completed');
    expect(listener.executions.map(({ state, phase }) => [state, phase])).toEqual([
      ['running', 'tasks'],
      ['running', 'failure_handling'],
      ['failed', 'over'],
    ]);
    expect(listener.last.errors.map(({ taskId, error }) => [taskId, error.type])).toEqual([['b', 'Boom']]);
  });

  it('undo what was done, the newest first', () => {
    const undo = (id: string) => work(`undo_${id}`, { durationMs: 500 });
    const tasks = [
      work('a', { compensation: undo('a') }),
      work('b', { after: ['a'], compensation: undo('b') }),
      work('c', { after: ['b'], compensation: undo('c') }),
    ];
    const listener = playToEnd(workflow(tasks), { mocks: { c: failing } });
    const undone = listener.tasks.filter(({ compensates, state }) => compensates !== '' && state === 'completed');
    expect(undone.map(({ taskId, compensates, atMs }) => [taskId, compensates, secondsOf(atMs)])).toEqual([
      ['undo_b', 'b', 3.5],
      ['undo_a', 'a', 4],
    ]);
    expect([listener.last.state, listener.last.substatus]).toEqual(['failed', 'undone 2 of 2']);
  });

  it('of what undoes something do not keep other things from being undone', () => {
    const tasks = [
      work('a', { compensation: work('undo_a') }),
      work('b', { after: ['a'], compensation: work('undo_b') }),
      work('c', { after: ['b'] }),
    ];
    const listener = playToEnd(workflow(tasks), { mocks: { c: failing, undo_b: failing } });
    expect([listener.endOf('undo_b').state, listener.endOf('undo_a').state]).toEqual(['failed', 'completed']);
    expect(listener.last.substatus).toBe('undone 1 of 2');
  });
});

describe('waits and people', () => {
  const approval: HumanTask = {
    id: 'ok',
    name: 'OK?',
    kind: 'human',
    assignees: ['ann'],
    durationMs: 60_000,
    answers: [{ answer: 'yes' }],
  };

  it('take no slot, and are suspended meanwhile', () => {
    const wait: TaskDefinition = { id: 'w', name: 'W', kind: 'wait', durationMs: 5000 };
    const listener = playToEnd(workflow([wait, work('a', { after: ['w'] })]), { slots: 1 });
    expect([listener.statesOf('w'), listener.startsOf('a')]).toEqual([['running', 'suspended', 'completed'], [5]]);
    expect([listener.endOf('w').pool, listener.endOf('w').type]).toEqual([null, 'wait']);
  });

  it('answer after a while, by themselves or when asked, and the first answer counts', () => {
    expect(playToEnd(workflow([approval])).endOf('ok').output).toEqual({ answer: 'yes', by: 'ann' });
    const stage = new PlayStage(workflow([approval]));
    stage.play.start();
    stage.runFor(10);
    expect([stage.play.answer('ok', 'no', 'bob'), stage.play.answer('ok', 'yes', 'cid')]).toEqual([true, false]);
    expect(stage.listener.endOf('ok').output).toEqual({ answer: 'no', by: 'bob' });
    expect([stage.runToEnd().listener.endsOf('ok').length, stage.play.state]).toEqual([1, 'completed']);
  });

  it('that do not answer in time end as a timeout, or with the answer for that', () => {
    expect(playToEnd(workflow([{ ...approval, timeoutMs: 2000 }])).endOf('ok').state).toBe('timeout');
    const silent = { ...approval, timeoutMs: 2000, answerOnTimeout: 'yes' };
    expect(playToEnd(workflow([silent])).endOf('ok').output).toEqual({ answer: 'yes', by: 'timeout' });
  });
});

describe('variables', () => {
  const set = (id: string, values: Record<string, string>, rest: object = {}): TaskDefinition => {
    return { id, name: id, kind: 'transform', set: values, ...rest };
  };

  it('begin with the values of the definition, then of the start, and are changed by transforms', () => {
    const tasks = [set('t', { sum: 'x + y', twice: 'sum * 2' })];
    const listener = playToEnd(workflow(tasks, { variables: { x: 1, y: 2, sum: 0 } }), { variables: { y: 5 } });
    expect(listener.last.variables).toEqual({ x: 1, y: 5, sum: 6, twice: 12 });
    expect(listener.endOf('t').output).toEqual({ sum: 6, twice: 12 });
  });

  it('of a loop are gone with their iteration', () => {
    const inner = [
      set('local', { x: 'x + 1' }, { scope: 'loop' }),
      set('global', { y: 'y + x' }, { after: ['local'] }),
    ];
    const loop: LoopTask = { id: 'l', name: 'L', kind: 'loop', times: '3', maxIterations: 9, tasks: inner };
    expect(playToEnd(workflow([loop], { variables: { x: 10, y: 0 } })).last.variables).toEqual({ x: 10, y: 33 });
  });
});

describe('limits', () => {
  it('go by the priority of the task, or of the execution', () => {
    const tasks = [work('plain'), work('urgent', { priority: 9 })];
    const listener = playToEnd(workflow(tasks), { priority: 4 });
    expect([listener.endOf('plain').priority, listener.endOf('urgent').priority]).toEqual([4, 9]);
  });

  it('of tasks at once hold further ones back', () => {
    const tasks = ['a', 'b', 'c', 'd', 'e'].map((id) => work(id));
    const listener = playToEnd(workflow(tasks, { maxParallelTasks: 2 }));
    expect(tasks.flatMap(({ id }) => listener.startsOf(id))).toEqual([0, 0, 1, 1, 2]);
    expect(listener.statesOf('e')).toEqual(['pending', 'queued', 'running', 'completed']);
  });

  it('of slots make tasks queue, and the times say how long', () => {
    const listener = playToEnd(workflow([work('a'), work('b', { startupMs: 250 })]), { slots: 1 });
    const { readyAtMs, queuedAtMs, dispatchedAtMs, startedAtMs, endedAtMs, worker } = listener.endOf('b');
    expect([readyAtMs, queuedAtMs, dispatchedAtMs, startedAtMs, endedAtMs].map(secondsOf)).toEqual([
      0, 0, 1, 1.25, 2.25,
    ]);
    expect(worker).toBe('default-0');
  });
});

describe('the cache', () => {
  it('ends a task at once with an earlier result of the same key, until that expires', () => {
    const task = work('a', { cache: { key: 'day', ttlMs: 10_000 }, produces: { rows: { between: [1, 1e9] } } });
    const definition = workflow([task], { variables: { day: 1 } });
    const cache = new TimedResultCache();
    const at = (seconds: number, day: number) => {
      const stage = new PlayStage(definition, { cache, variables: { day }, seed: seconds });
      stage.runFor(seconds);
      return stage.startToEnd().listener.endOf('a');
    };
    const first = at(0, 1);
    expect([at(5, 1).cacheStatus, at(5, 1).output, at(5, 1).cacheSavedMs]).toEqual(['hit', first.output, 1000]);
    expect([first.cacheStatus, at(5, 2).cacheStatus, at(12, 1).cacheStatus]).toEqual(['miss', 'miss', 'miss']);
    expect(playToEnd(definition).endOf('a').cacheStatus).toBe('bypass');
  });
});

describe('test mode', () => {
  it('takes results as mocked, without slots', () => {
    const tasks = [work('a'), work('b', { after: ['a'], when: 'tasks.a.output.rows > 5' })];
    const stage = new PlayStage(workflow(tasks), {
      mocks: { a: { output: { rows: 9 } }, b: { durationMs: 3000 } },
      slots: 0,
    });
    const { listener } = stage.startToEnd();
    expect([listener.endOf('a').output, listener.endOf('b').state, secondsOf(listener.last.atMs)]).toEqual([
      { rows: 9 },
      'completed',
      3,
    ]);
  });
});
