import { describe, expect, it } from 'vitest';
import type { Problem } from '../../../services/simulator/schema-check.ts';
import {
  checkWorkflow,
  formatWorkflowProblems,
  type WorkflowSurroundings,
} from '../../../services/simulator/workflow-check.ts';
import { work, workflow } from './play-stage.ts';

function problemsOf(value: unknown, surroundings: WorkflowSurroundings = {}): Problem[] {
  const checked = checkWorkflow(value, surroundings);
  return 'problems' in checked ? checked.problems : [];
}

const told = (value: unknown, surroundings: WorkflowSurroundings = {}): string[] =>
  problemsOf(value, surroundings).map(({ path, message }) => `${path} ${message}`);

/** A sound definition of two tasks with something else in place of the second. */
const withTask = (task: object) => ({ ...workflow([work('a')]), tasks: [work('a'), { ...work('b'), ...task }] });
const withVariables = (task: object) => ({ ...withTask(task), variables: { mode: 'fast' } });

describe('a definition that is right', () => {
  it('is handed back as it is', () => {
    const definition = workflow([work('a'), work('b', { after: ['a'] })]);
    expect(checkWorkflow(definition)).toEqual({ definition });
  });
});

describe('a definition that is wrong', () => {
  it('gets every problem at once, each with its place', () => {
    const wrong = {
      ...workflow([work('a')]),
      name: 7,
      timeoutMs: 0,
      colour: 'red',
      trigger: { type: 'scheduled', cron: '61 * * * *' },
      tasks: [
        work('a', { after: ['c'] }),
        work('a', { after: ['nobody'] }),
        { ...work('c', { after: ['d'] }), durationMs: -1, retry: { attempts: 0, backoff: 'linear' } },
        work('d', { after: ['a'], when: 'rows >' }),
        { id: 'e', name: 'E', kind: 'loop', tasks: [work('f')], while: 'true' },
      ],
    };
    const expected = [
      'trigger.cron is "61 * * * *": the minute must be from 0 to 59, with *, lists, ranges or steps',
      'name is 7, not a string',
      'timeoutMs is 0, not above 0',
      'colour is no known field',
      'tasks[2].durationMs is -1, below 0',
      'tasks[2].retry.delayMs is missing',
      'tasks[2].retry.attempts is 0, below 1',
      'tasks[2].retry.backoff is "linear", not "fixed" or "exponential"',
      'tasks[3].when is "rows >": expected a value, but it ends',
      'tasks[4].maxIterations is missing',
      'tasks[1].id is a, which tasks[0] is called already',
      'tasks[1].after[0] waits for nobody, which is no task beside it',
    ];
    expect(told(wrong).toSorted()).toEqual(expected.toSorted());
  });

  it.each([null, 7, 'x', [], {}, { tasks: 7 }, { tasks: [null, 7, { id: 3 }] }])(
    'may be anything at all: %j',
    (value) => {
      expect(problemsOf(value).length).toBeGreaterThan(0);
    },
  );

  it('is told of each circle by the path that leads through it', () => {
    const tasks = [
      work('begin'),
      work('a', { after: ['begin', 'c'] }),
      work('b', { after: ['a'] }),
      work('c', { after: ['b'] }),
      work('selfish', { after: ['selfish'] }),
    ];
    expect(told(workflow(tasks))).toEqual([
      'tasks[1].after makes a circle: a -> b -> c -> a',
      'tasks[4].after makes a circle: selfish -> selfish',
    ]);
  });

  it('is told what would be right', () => {
    const [problem] = problemsOf({ ...workflow([work('a')]), time_out_ms: 5, timeoutMs: 9 });
    expect(problem).toEqual({ path: 'time_out_ms', message: 'is no known field', remedy: 'did you mean timeoutMs?' });
    const [unknown] = problemsOf(withTask({ kind: 'wrok' }));
    expect(unknown?.remedy).toBe('write one of work, transform, switch, wait, human, workflow, loop');
    expect(formatWorkflowProblems([problem as Problem])).toBe(
      'time_out_ms is no known field (did you mean timeoutMs?)',
    );
  });

  it.each<[what: string, value: object, problem: string]>([
    ['an id of the wrong form', withTask({ id: '1 b' }), 'tasks[1].id is "1 b", which it cannot be'],
    ['a wrong type', withTask({ priority: 'high' }), 'tasks[1].priority is "high", not an integer'],
    ['a task that is missing its kind', withTask({ kind: undefined }), 'tasks[1].kind is missing'],
    ['a timeout below zero', withTask({ timeoutMs: -5 }), 'tasks[1].timeoutMs is -5, not above 0'],
    ['a share above one', withTask({ failureRatio: 2 }), 'tasks[1].failureRatio is 2, above 1'],
    ['a join of too many', withTask({ after: ['a'], join: 3 }), 'tasks[1].join asks for 3 of 1 tasks'],
    ['a dependency twice', withTask({ after: ['a', 'a'] }), 'tasks[1].after[1] names a a second time'],
    ['a name that nothing sets', withTask({ when: 'mood > 1' }), 'tasks[1].when names mood, which nothing sets'],
    ['a task that is not there', withTask({ when: 'tasks.x.output' }), 'tasks[1].when reads tasks.x, which is no task'],
    ['an item outside of its map', withTask({ when: 'item > 1' }), 'tasks[1].when names item, which nothing sets'],
    [
      'an error that nobody handles',
      withTask({ onError: 'handle' }),
      'tasks[1].onError leaves a failure to tasks after it, and there is none',
    ],
    [
      'a range the wrong way round',
      withTask({ durationMs: { distribution: 'uniform', leastMs: 9, mostMs: 3 } }),
      'tasks[1].durationMs is from 9 to 3',
    ],
    [
      'an unknown distribution',
      withTask({ durationMs: { distribution: 'normal' } }),
      'tasks[1].durationMs.distribution is "normal", which it cannot be',
    ],
    [
      'two ways to produce one value',
      withTask({ produces: { x: { value: 1, from: '2' } } }),
      'tasks[1].produces.x has 2 fields',
    ],
    [
      'a delay above its cap',
      withTask({ retry: { attempts: 2, backoff: 'fixed', delayMs: 9, maxDelayMs: 3 } }),
      'tasks[1].retry.maxDelayMs is 3, below delayMs',
    ],
    [
      'a branch to a task that does not wait for it',
      withVariables({ kind: 'switch', cases: [{ name: 'x', when: 'mode', leadsTo: ['a'] }] }),
      'tasks[1].cases[0].leadsTo[0] leads to a, which does not wait for b',
    ],
    [
      'a loop that does not say how long',
      withTask({ kind: 'loop', tasks: [work('c')], maxIterations: 3 }),
      'tasks[1] does not say how long it goes on',
    ],
    [
      'itself as a sub-workflow',
      withTask({ kind: 'workflow', workflow: 'w' }),
      'tasks[1].workflow is this workflow itself, which would never end',
    ],
    [
      'an answer on a timeout that nobody can give',
      withTask({ kind: 'human', assignees: ['x'], answers: [{ answer: 'yes' }], answerOnTimeout: 'no', timeoutMs: 5 }),
      'tasks[1].answerOnTimeout is none of the answers',
    ],
    [
      'a variable of a loop outside of one',
      withTask({ kind: 'transform', set: { x: '1' }, scope: 'loop' }),
      'tasks[1].scope is loop, but the task is in none',
    ],
    [
      'what undoes a task with tasks to wait for',
      withTask({ compensation: work('undo', { after: ['a'] }) }),
      'tasks[1].compensation.after has no effect on what undoes a task',
    ],
    [
      'an id that what undoes a task has too',
      withTask({ compensation: work('a') }),
      'tasks[1].compensation.id is a, which tasks[0] is called already',
    ],
  ])('may have %s', (_, value, problem) => {
    expect(told(value)).toContain(problem);
  });

  it('may name pools and workflows that are not there, where one knows which are', () => {
    const value = withTask({ pool: 'gpu' });
    const chained = { ...value, trigger: { type: 'chain', workflow: 'other' } };
    expect(told(chained)).toEqual([]);
    const surroundings = { pools: new Set(['default']), workflows: new Set(['w']) };
    expect(told(chained, surroundings)).toEqual([
      'tasks[1].pool is gpu, which is no pool',
      'trigger.workflow is other, which is no workflow',
    ]);
  });

  it.each(['* * * *', '*/0 * * * *', '5-1 * * * *', 'x * * * *', '* * 0 * *', '* * * * 8'])(
    'may have a schedule that means nothing: %s',
    (cron) => {
      expect(told({ ...workflow([work('a')]), trigger: { type: 'scheduled', cron } })[0]).toContain('trigger.cron');
    },
  );
});
