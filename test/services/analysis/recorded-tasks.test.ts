import { describe, expect, it } from 'vitest';
import {
  recordTasks,
  stretchesOf,
  type TaskReport,
  traceCriticalPath,
} from '../../../services/analysis/recorded-tasks.ts';
import { splitWallClock } from '../../../services/analysis/wall-clock.ts';

let offset = 0;
const report = (task_id: string, state: string, event_time_ms: number, more: Partial<TaskReport> = {}): TaskReport => ({
  task_id,
  map_index: -1,
  attempt: 1,
  state,
  event_time_ms,
  partition: 0,
  offset: offset++,
  ready_at_ms: null,
  queued_at_ms: null,
  dispatched_at_ms: null,
  started_at_ms: null,
  duration_us: null,
  dependency_ids: [],
  dependents: [],
  step_order: null,
  ...more,
});

describe('tasks', () => {
  it('are the same in whatever order they were told of', () => {
    const reports = [
      report('a', 'queued', 10),
      report('a', 'running', 20),
      report('a', 'completed', 50, { started_at_ms: 20 }),
      report('b', 'running', 60, { attempt: 1 }),
      report('b', 'failed', 70, { attempt: 1 }),
      report('b', 'completed', 95, { attempt: 2, started_at_ms: 90 }),
    ];
    expect(recordTasks(reports.toReversed())).toEqual(recordTasks(reports));
    expect(recordTasks(reports)).toMatchObject([
      { taskId: 'a', state: 'completed', endedMs: 50, counted: { durationMs: 30, queuedMs: 10 } },
      { taskId: 'b', state: 'completed', startedMs: 60, endedMs: 95, counted: { attempt: 2, durationMs: 5 } },
    ]);
  });

  it('count an end although a slow clock says something later', () => {
    const [task] = recordTasks([report('a', 'completed', 50, { started_at_ms: 20 }), report('a', 'running', 60)]);
    expect(task).toMatchObject({ state: 'completed', endedMs: 50, startedMs: 20 });
  });

  it('are told apart by the instance of a mapped task', () => {
    const tasks = recordTasks([
      report('a', 'running', 1, { map_index: 0 }),
      report('a', 'running', 2, { map_index: 1 }),
    ]);
    expect(tasks.map(({ mapIndex }) => mapIndex)).toEqual([0, 1]);
  });

  it('know their dependencies from either side', () => {
    const told = recordTasks([report('a', 'running', 1, { dependents: ['b'] }), report('b', 'running', 2)]);
    expect(told).toMatchObject([{ dependentIds: ['b'] }, { dependencyIds: ['a'] }]);
  });
});

describe('where the time of a task went', () => {
  const split = (reports: TaskReport[], toMs: number) => {
    const [task] = recordTasks(reports);
    return splitWallClock(stretchesOf(task, 0, toMs), 0, toMs);
  };

  it('is told by the instants of its attempts', () => {
    const instants = { ready_at_ms: 10, queued_at_ms: 15, dispatched_at_ms: 40, started_at_ms: 42 };
    expect(split([report('a', 'completed', 100, instants)], 100)).toMatchObject({
      dependencyWaitMs: 10,
      schedulingDelayMs: 5,
      queueWaitMs: 25,
      startUpMs: 2,
      runMs: 58,
      idleMs: 0,
    });
  });

  it('is a back-off between attempts, also when the source repeats when the first was queued', () => {
    for (const queued_at_ms of [0, 70]) {
      const parts = split(
        [
          report('a', 'failed', 50, { ready_at_ms: 0, queued_at_ms: 0, started_at_ms: 20 }),
          report('a', 'completed', 100, { attempt: 2, ready_at_ms: 0, queued_at_ms, started_at_ms: 80 }),
        ],
        100,
      );
      expect(parts.runMs).toBe(50);
      expect(parts.queueWaitMs + parts.retryBackoffMs).toBe(50);
      expect(parts.retryBackoffMs).toBe(queued_at_ms === 0 ? 0 : 20);
    }
  });

  it('is a back-off as long as the next attempt is only promised', () => {
    const reports = [report('a', 'failed', 50, { started_at_ms: 0 }), report('a', 'retrying', 50)];
    expect(recordTasks(reports)[0].state).toBe('retrying');
    expect(split(reports, 80)).toMatchObject({ runMs: 50, retryBackoffMs: 30 });
  });

  it('is nothing that anybody knows before a task of which nobody says what it waits for', () => {
    expect(split([report('a', 'completed', 30, { started_at_ms: 20 })], 30)).toMatchObject({ idleMs: 20, runMs: 10 });
  });
});

describe('the path that held up the end', () => {
  const done = (id: string, startMs: number, endMs: number, dependency_ids: string[] = []) =>
    report(id, 'completed', endMs, { started_at_ms: startMs, dependency_ids });

  it('goes back over the last to end of what each task waited for', () => {
    const reports = [
      done('a', 0, 10),
      done('b', 10, 50, ['a']),
      done('c', 10, 30, ['a']),
      done('d', 50, 60, ['b', 'c']),
    ];
    expect(traceCriticalPath(recordTasks(reports)).map(({ taskId }) => taskId)).toEqual(['a', 'b', 'd']);
  });

  it('ends although two tasks say that they wait for each other', () => {
    const reports = [done('a', 0, 10, ['b']), done('b', 0, 10, ['a'])];
    expect(traceCriticalPath(recordTasks(reports))).toHaveLength(2);
  });
});
