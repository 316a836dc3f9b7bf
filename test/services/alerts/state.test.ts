import { describe, expect, it } from 'vitest';
import type { AlertChangeRow } from '../../../clickhouse/tables/alerts.ts';
import { AlertMachine, type PeopleActs } from '../../../services/alerts/state.ts';
import { judgement, rounds, startMs, windowMs } from './judgements.ts';

const quiet = (window: number) => judgement(window, { verdict: 'quiet', value: 0, effect: 0 });
const play = (log: ReturnType<typeof judgement>[], count: number, acts?: PeopleActs): AlertChangeRow[] => {
  const machine = new AlertMachine(acts === undefined ? undefined : () => acts);
  return rounds(log, count).flatMap((round) => machine.play(round));
};
const states = (changes: readonly AlertChangeRow[]) => changes.map(({ state }) => state);

describe('an alert', () => {
  it('fires with the first breach and ends after two quiet windows', () => {
    const changes = play([judgement(0), judgement(1), quiet(2), quiet(3)], 6);
    expect(states(changes)).toEqual(['firing', 'resolved']);
    expect(changes[1]).toMatchObject({
      previousState: 'firing',
      eventTimeMs: startMs + 4 * windowMs,
      firedAtMs: startMs + windowMs,
    });
    expect(changes.map(({ ver }) => ver)).toEqual([1, 2]);
    expect(changes[0]?.alertId).toBe(changes[1]?.alertId);
  });

  it('lives through one quiet window, and goes on with its id when it comes back soon after its end', () => {
    expect(states(play([judgement(0), quiet(1), judgement(2), quiet(3), judgement(4)], 6))).toEqual(['firing']);
    const again = play([judgement(0), quiet(1), quiet(2), judgement(4)], 6);
    expect(states(again)).toEqual(['firing', 'resolved', 'firing']);
    expect(new Set(again.map(({ alertId }) => alertId)).size).toBe(1);
    expect(new Set(again.map(({ notificationId }) => notificationId)).size).toBe(3);
    const later = play([judgement(0), quiet(1), quiet(2), judgement(30)], 32);
    expect(new Set(later.map(({ alertId }) => alertId)).size).toBe(2);
  });

  it('waits as long as its rule says, and is given up where the breach does not last', () => {
    const slow = (window: number) => judgement(window, { forMs: windowMs });
    expect(states(play([slow(0), slow(1)], 2))).toEqual(['pending', 'firing']);
    expect(states(play([slow(0), quiet(1), quiet(2)], 4))).toEqual(['pending', 'resolved']);
  });

  it('ends where nothing is heard any more of what it is about', () => {
    const changes = play([judgement(0)], 30);
    expect(states(changes)).toEqual(['firing', 'resolved']);
    expect(changes[1]?.eventTimeMs).toBe(startMs + windowMs + 2 * 3_600_000);
  });

  it('tells suspicions to nobody', () => {
    expect(play([judgement(0, { verdict: 'suspect' })], 3)).toEqual([]);
  });

  it('is told again when it grows worse', () => {
    const changes = play([judgement(0), judgement(1, { effect: 60 }), judgement(2, { effect: 110 })], 3);
    expect(states(changes)).toEqual(['firing', 'firing']);
    expect(changes[1]?.eventTimeMs).toBe(startMs + 3 * windowMs);
  });
});

describe('what another alert explains', () => {
  const pool = (window: number) =>
    judgement(window, {
      ruleId: 'CAPACITY_CRITICAL',
      series: 'worker_pool:airflow/p',
      subjectKind: 'worker_pool',
      subjectId: 'p',
      workflowId: '',
      taskId: '',
    });
  const cause = 'CAPACITY_CRITICAL worker_pool:airflow/p';

  it('is one alert, with as many effects as there are', () => {
    const tasks = Array.from({ length: 40 }, (_, task) =>
      judgement(1, { series: `task:airflow/orders/${task}`, cause }),
    );
    const changes = play([pool(0), ...tasks, pool(1), { ...pool(2), effect: 200 }], 4);
    expect(new Set(changes.map(({ alertId }) => alertId)).size).toBe(1);
    expect(changes.at(-1)?.labels.effects).toBe('40');
    expect(changes.at(-1)?.description).toContain('It explains 40 other findings');
  });

  it('closes an alert that had been faster than its cause, and names it', () => {
    const changes = play([judgement(0), pool(1), judgement(1, { cause })], 3);
    const closed = changes.find(({ state }) => state === 'resolved');
    const opened = changes.find(({ ruleId }) => ruleId === 'CAPACITY_CRITICAL');
    expect(closed).toMatchObject({ ruleId: 'TASK_HIGH_FAILURE_RATE', causeAlertId: opened?.alertId });
  });
});

describe('people', () => {
  const [{ alertId }] = play([judgement(0)], 1) as [AlertChangeRow];

  it('acknowledge an alert, which ends as any other', () => {
    const at = startMs + windowMs + 1;
    const acts = { acknowledgements: new Map([[alertId, { at, comment: 'mine', by: 'ann' }]]), silences: new Map() };
    const changes = play([judgement(0), judgement(1), quiet(2), quiet(3)], 5, acts);
    expect(states(changes)).toEqual(['firing', 'acknowledged', 'resolved']);
    expect(changes[1]).toMatchObject({ acknowledgedBy: 'ann', acknowledgedAtMs: at });
  });

  it('silence what matches; it is told when the silence is over and it still fires', () => {
    const silence = {
      match: { workflow_id: 'orders' },
      starts_at: startMs,
      ends_at: startMs + 3 * windowMs,
      comment: 'release',
    };
    const acts = { acknowledgements: new Map(), silences: new Map([['s1', silence]]) };
    const changes = play([judgement(0), judgement(1), judgement(2), judgement(3)], 4, acts);
    expect(changes.map(({ silencedBy }) => silencedBy)).toEqual(['s1', null]);
    const others = { ...acts, silences: new Map([['s2', { ...silence, match: { workflow_id: 'billing' } }]]) };
    expect(play([judgement(0)], 1, others)[0]?.silencedBy).toBeNull();
  });
});

it('the same judgements give the same alerts and ids, in whatever order a round holds them', () => {
  const log = [0, 1, 2, 5, 6].flatMap((window) =>
    ['a', 'b', 'c'].map((task) => judgement(window, { series: `task:airflow/orders/${task}`, taskId: task })),
  );
  expect(play(log.toReversed(), 12)).toEqual(play(log, 12));
});
