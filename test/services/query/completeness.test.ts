import { beforeAll, describe, expect, it } from 'vitest';
import type { ExecutionRecord, TaskRecord } from '../../../schemas/records.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { toMessages } from './sample-runs.ts';

/** Records are counted where a range begins and ends within an hour, and where things ended more than once. */
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const stand = await QueryStand.create('completeness');
const { telemetry } = stand;
const nowMs = Date.now();
const thisHourMs = Math.floor(nowMs / hourMs) * hourMs;
/** The hour in which ranges begin, and a minute in it. */
const firstHourMs = thisHourMs - 5 * hourMs;
const cutMs = firstHourMs + 17 * minuteMs;

/** When records came that have to be refused: on both sides of the minute, and an hour later. */
const refusedMs = [cutMs - 1, cutMs, cutMs + hourMs];

const outcomes = ['cancelled', 'completed', 'failed', 'partial', 'timeout'] as const;
type Kind = 'executions' | 'tasks';
type Told = ExecutionRecord | TaskRecord;

/** Some end once, some again in the same attempt or the next, minutes or hours later; some tasks are skipped. */
function* playThings(): Generator<Told> {
  const random = createRandom(5);
  for (let thing = 0; thing < 300; thing++) {
    let atMs = firstHourMs - hourMs + random.below(Math.floor((nowMs - firstHourMs + hourMs) * 0.95));
    const execution_id = `run-${thing}`;
    const isTask = thing % 3 > 0;
    const named = { workspace: 'default', workflow_id: `workflow-${thing % 4}`, execution_id };
    const about = isTask ? { ...named, task_id: `task-${thing % 5}`, task_type: 'io' } : named;
    const ends = random.chance(0.3) ? 2 + random.below(2) : 1;
    for (let end = 0, attempt = 1; end < ends && atMs < nowMs - minuteMs; end++) {
      yield { ...about, state: 'running', attempt, event_time: atMs - 500 } as Told;
      const state = isTask && random.chance(0.1) ? 'skipped' : (outcomes[random.below(outcomes.length)] as string);
      yield { ...about, state, attempt, event_time: atMs } as Told;
      if (random.chance(0.5)) attempt++;
      atMs += random.chance(0.5) ? random.below(5 * minuteMs) + 1000 : random.below(2 * hourMs) + 1000;
    }
  }
  // On both sides of a minute, and of an hour.
  for (const [at, atMs] of [cutMs - 1, cutMs, firstHourMs + hourMs - 1, firstHourMs + hourMs].entries()) {
    const named = { workspace: 'default', workflow_id: 'edges', execution_id: `edge-${at}` };
    yield { ...named, state: 'timeout', attempt: 1, event_time: atMs } as Told;
  }
}

const records = [...playThings()];
const kindOf = (record: Told): Kind => ('task_id' in record ? 'tasks' : 'executions');
const timeOf = (record: Told) => Number(record.event_time);
const isEnd = ({ state }: Told) => ([...outcomes, 'skipped'] as readonly string[]).includes(state);

interface Range {
  fromMs: number;
  toMs: number;
}

/** Straight from what was sent: of each thing the end of the latest attempt, and of those the last one. */
function countNaively(kind: Kind, { fromMs, toMs }: Range): Record<string, number> {
  const things = Map.groupBy(
    records.filter((record) => kindOf(record) === kind && isEnd(record)),
    nameOf,
  );
  const latest = [...things.values()].map(
    (ends) =>
      ends.toSorted(
        (one, other) => Number(other.attempt) - Number(one.attempt) || timeOf(other) - timeOf(one),
      )[0] as Told,
  );
  const inRange = latest.filter((end) => timeOf(end) >= fromMs && timeOf(end) < toMs);
  return Object.fromEntries(outcomes.map((name) => [name, inRange.filter(({ state }) => state === name).length]));
}

const nameOf = (record: Told) => JSON.stringify([record.execution_id, (record as TaskRecord).task_id]);

function countHours(kind: Kind, { fromMs, toMs }: Range): Map<string, number> {
  const own = records.filter((record) => kindOf(record) === kind && timeOf(record) >= fromMs && timeOf(record) < toMs);
  const byHour = Map.groupBy(own, (record) => Math.floor(timeOf(record) / hourMs) * hourMs);
  return new Map([...byHour].map(([atMs, inHour]) => [new Date(atMs).toISOString(), inHour.length]));
}

interface Completeness {
  range: { from: string; to: string };
  is_complete: boolean;
  hours: { kind: Kind; hour: string; stored: number; dropped: number; dead_letters: number }[];
  rollups: { kind: Kind; state: string; from_rows: number; from_rollups: number; different: number }[];
}

const ask = (query: string) => stand.get<Completeness>(`/api/v1/completeness${query}`);
const between = (fromMs: number, toMs: number) =>
  `?from=${new Date(fromMs).toISOString()}&to=${new Date(toMs).toISOString()}`;

beforeAll(async () => {
  for (const kind of ['executions', 'tasks'] as const) {
    await telemetry.send(kind, toMessages(records.filter((record) => kindOf(record) === kind)));
  }
  const refused = { key: '', value: JSON.stringify({ workspace: 'default', workflow_id: 'without-a-time' }) };
  await telemetry.send(
    'executions',
    refusedMs.map((timestampMs) => ({ ...refused, timestampMs })),
  );
  await telemetry.startReady();
  await stand.startService();
  await telemetry.waitStored(60_000);
});

describe('what ended is counted from rows and from rollups', () => {
  it.each([
    ['in the last day', '?time_range=24h'],
    ['since a minute of an hour', `?from=${new Date(cutMs).toISOString()}`],
    ['in the last half hour', '?time_range=30m'],
    ['in the last ninety minutes', '?time_range=90m'],
    ['between two minutes that are over', between(cutMs, cutMs + 2 * hourMs)],
    ['between two minutes of one hour', between(cutMs, cutMs + 20 * minuteMs)],
    ['in a minute', between(cutMs, cutMs + minuteMs)],
    ['up to a minute that is not over', between(firstHourMs, nowMs + hourMs)],
  ])('%s', async (_what, query) => {
    const { range, is_complete, hours, rollups } = await ask(query);
    const rangeMs = { fromMs: Date.parse(range.from), toMs: Date.parse(range.to) };
    for (const kind of ['executions', 'tasks'] as const) {
      const own = rollups.filter((one) => one.kind === kind);
      const expected = countNaively(kind, rangeMs);
      expect(Object.fromEntries(own.map(({ state, from_rows }) => [state, from_rows])), kind).toEqual(expected);
      expect(Object.fromEntries(own.map(({ state, from_rollups }) => [state, from_rollups])), kind).toEqual(expected);
      const stored = hours.filter((one) => one.kind === kind).map(({ hour, stored }) => [hour, stored] as const);
      expect(new Map(stored), kind).toEqual(countHours(kind, rangeMs));
    }
    const refused = refusedMs.filter((ms) => ms >= rangeMs.fromMs && ms < rangeMs.toMs).length;
    expect(hours.reduce((sum, { dead_letters }) => sum + dead_letters, 0)).toBe(refused);
    expect(is_complete).toBe(true);
  });

  it('some of all that there is, at each end of a range', () => {
    expect(countNaively('executions', { fromMs: cutMs, toMs: cutMs + minuteMs }).timeout).toBeGreaterThan(0);
    expect(countNaively('tasks', { fromMs: firstHourMs, toMs: nowMs }).completed).toBeGreaterThan(5);
  });
});

it('is not counted anew for each minute in which somebody asks', async () => {
  const counted = () => stand.service.metric('weir_question_duration_seconds_count', { question: 'recount' });
  await ask('?time_range=24h');
  const before = await counted();
  for (const minutes of [1439, 1440, 1441]) {
    const fromMs = Date.now() - minutes * minuteMs;
    // Two of three begin in the same hour at least.
    await ask(`?from=${new Date(fromMs).toISOString()}`);
  }
  expect((await counted()) - before).toBeLessThanOrEqual(2);
});

it('tells what rows and rollups say differently', async () => {
  const gone = records.find((record) => record.execution_id === 'edge-1') as Told;
  await telemetry.database.query(`DELETE FROM execution_events WHERE execution_id = '${gone.execution_id}'`);
  const query = between(cutMs, cutMs + 3 * minuteMs);
  const { is_complete, rollups } = await ask(query);
  const before = countNaively('executions', { fromMs: cutMs, toMs: cutMs + 3 * minuteMs }).timeout ?? Number.NaN;
  expect(rollups).toContainEqual({
    kind: 'executions',
    state: 'timeout',
    from_rows: before - 1,
    from_rollups: before,
    different: 1,
  });
  expect(is_complete).toBe(false);
});
