import { describe, expect, it } from 'vitest';
import { gatherExecutions } from '../../../services/analysis/execution-trace.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { executionEvent, taskEvent } from '../../support/canonical-events.ts';
import { makePatternCase } from '../../support/planted-scenarios.ts';
import { at } from './told-runs.ts';

describe('executions put together from events', () => {
  it('are the same in whatever order the events come, and however often', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const random = createRandom(seed);
      const events = makePatternCase(seed)
        .runs.slice(0, 10)
        .flatMap((run) => run.events);
      const shuffled = [...events, ...events.filter(() => random.chance(0.2))]
        .map((event) => ({ event, place: random.next() }))
        .sort((left, right) => left.place - right.place)
        .map(({ event }) => event);
      const sorted = (traces: ReturnType<typeof gatherExecutions>) =>
        traces.map(({ tasks, ...rest }) => ({
          ...rest,
          tasks: tasks
            .map((task) => ({ ...task, dependencies: task.dependencies.length }))
            .sort((a, b) => (`${a.taskId} ${a.mapIndex}` < `${b.taskId} ${b.mapIndex}` ? -1 : 1)),
        }));
      expect(sorted(gatherExecutions(shuffled)), `seed ${seed}`).toEqual(sorted(gatherExecutions(events)));
    }
  });

  it('take a retry for a task of several attempts, whose latest counts', () => {
    const [{ tasks }] = gatherExecutions([
      taskEvent({ attempt: 2, state: 'completed', startedAtMs: at(20), eventTimeMs: at(30), durationUs: 10_000_000 }),
      taskEvent({ attempt: 1, state: 'failed', startedAtMs: at(0), eventTimeMs: at(10) }),
    ]);
    expect(tasks).toHaveLength(1);
    expect(tasks[0].state).toBe('completed');
    expect(tasks[0].attempts.map(({ attempt, state }) => [attempt, state])).toEqual([
      [1, 'failed'],
      [2, 'completed'],
    ]);
  });

  it('take an attempt that will be retried for failed where no end is told', () => {
    const [{ tasks }] = gatherExecutions([
      taskEvent({ state: 'running', startedAtMs: at(0), eventTimeMs: at(0) }),
      taskEvent({ state: 'retrying', startedAtMs: at(0), eventTimeMs: at(10) }),
      taskEvent({ attempt: 2, state: 'completed', startedAtMs: at(20), eventTimeMs: at(30) }),
    ]);
    expect(tasks[0].attempts.map(({ state, endedAtMs }) => [state, endedAtMs])).toEqual([
      ['failed', at(10)],
      ['completed', at(30)],
    ]);
  });

  it('hold only what the latest run of an execution did', () => {
    const ended = (taskId: string, start: number, end: number) =>
      taskEvent({ taskId, state: 'completed', startedAtMs: at(start), eventTimeMs: at(end) });
    const [trace] = gatherExecutions([
      executionEvent({ state: 'failed', startedAtMs: at(0), eventTimeMs: at(50) }),
      ended('early', 0, 10),
      executionEvent({ attempt: 2, state: 'completed', startedAtMs: at(100), eventTimeMs: at(120) }),
      ended('late', 100, 120),
    ]);
    expect([trace.startedAtMs, trace.endedAtMs, trace.state]).toEqual([at(100), at(120), 'completed']);
    expect(trace.tasks.map(({ taskId }) => taskId)).toEqual(['late']);
  });
});
