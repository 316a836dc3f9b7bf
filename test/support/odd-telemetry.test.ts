import { describe, expect, it } from 'vitest';
import { createDecoder } from '../../pipelines/decode.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import { oddityDefaults } from '../../services/simulator/oddities.ts';
import { createOddTelemetry, type OddRecord, type OddTelemetryOptions } from './odd-telemetry.ts';
import { type Poison, poisonKinds } from './poison.ts';

const startMs = Date.UTC(2026, 10, 21, 6);

function take(count: number, options: Partial<OddTelemetryOptions> = {}): OddRecord[] {
  const demo = createOddTelemetry({ seed: 7, startMs, eventsPerSecond: 500, farRecords: 5_000, ...options });
  return Array.from({ length: count }, () => demo.next().value);
}

const byteImage = (events: OddRecord[]) =>
  events.map(({ topic, key, value, sendAtMs }) => `${topic} ${key} ${sendAtMs} ${value?.toString('base64')}`);

const expectedReasons: Record<Poison, string> = {
  tombstone: 'tombstone',
  empty_value: 'empty_value',
  wrong_magic: 'wrong_magic',
  unknown_schema: 'registry_missing',
  unknown_fingerprint: 'unknown_fingerprint',
  truncated_avro: 'truncated',
  trailing_bytes: 'trailing_bytes',
  invalid_json: 'invalid_json',
  invalid_utf8: 'invalid_utf8',
  year_1970: 'too_old',
  year_2200: 'future',
  eight_days_late: 'too_late',
  not_a_number: 'not_finite',
  negative_duration: 'negative',
  finish_before_start: 'finish_before_start',
  unknown_state: 'unknown_state',
  missing_id: 'missing_id',
  long_id: 'id_too_long',
};

describe('odd telemetry', () => {
  it('makes the same bytes from the same seed, and others from another', () => {
    expect(byteImage(take(3_000))).toEqual(byteImage(take(3_000)));
    expect(byteImage(take(100))).not.toEqual(byteImage(take(100, { seed: 8 })));
  });

  it('keeps to the rate and to the order of sending', () => {
    const events = take(60_000);
    expect(events.every((event, index) => index === 0 || event.sendAtMs >= events[index - 1].sendAtMs)).toBe(true);
    // The first minutes are quieter, because few runs are under way yet.
    const steady = events.filter(({ sendAtMs }) => sendAtMs > startMs + 60_000);
    const seconds = (steady[steady.length - 1].sendAtMs - steady[0].sendAtMs) / 1000;
    expect(steady.length / seconds).toBeGreaterThan(400);
    expect(steady.length / seconds).toBeLessThan(600);
  });

  it('never uses ids of an earlier start again', () => {
    const ids = new Set(take(5_000).map(({ key }) => key));
    const later = take(5_000, { startMs: startMs + 60_000 });
    expect(later.some(({ key }) => ids.has(key))).toBe(false);
  });

  it('shows every oddity and every poison', () => {
    const events = take(150_000, { poisonRatio: 0.02 });
    const oddities = new Set(events.flatMap((event) => event.oddities));
    expect([...oddities].sort()).toEqual(Object.keys(oddityDefaults).sort());
    const found = new Set(events.map(({ poison }) => poison).filter((poison) => poison !== null));
    expect([...found].sort()).toEqual([...poisonKinds].sort());
  });
});

describe('runs of odd telemetry', () => {
  const events = take(60_000);
  const records = events.flatMap(({ record }) => (record === null ? [] : [record]));
  const ends = new Set(['completed', 'failed', 'cancelled', 'timeout', 'partial']);

  it('are run again under their id, with and without a higher attempt', () => {
    const startsById = new Map<string, Set<string>>();
    for (const record of records) {
      if ('task_id' in record || record.state !== 'running') continue;
      const starts = startsById.get(record.execution_id) ?? new Set();
      startsById.set(record.execution_id, starts.add(`${record.attempt} ${Math.floor(record.event_time / 5_000)}`));
    }
    const reruns = [...startsById.values()].filter((starts) => starts.size > 1).map((starts) => [...starts]);
    expect(reruns.some((starts) => starts.some((start) => start.startsWith('2 ')))).toBe(true);
    expect(reruns.some((starts) => starts.filter((start) => start.startsWith('1 ')).length > 1)).toBe(true);
  });

  it('retry tasks, skip some, map others, and end in every way', () => {
    const tasks = records.filter((record) => 'task_id' in record);
    expect(tasks.some(({ attempt, state }) => attempt === 2 && state === 'completed')).toBe(true);
    expect(tasks.some(({ state }) => state === 'skipped')).toBe(true);
    expect(tasks.some((record) => (record.map_index ?? -1) > 10)).toBe(true);
    const runStates = new Set(records.filter((record) => !('task_id' in record)).map(({ state }) => state));
    for (const state of ends) expect(runStates).toContain(state);
    expect(records.some(({ execution_id }) => /[~:+/]/.test(execution_id))).toBe(true);
  });

  it('have ends that do not say when they began', () => {
    const silent = records.filter(
      (record) => ends.has(record.state) && record.started_at == null && record.duration_ms == null,
    );
    expect(silent.length).toBeGreaterThan(1_000);
  });
});

describe('the records of odd telemetry', () => {
  const decoders = {
    executions: createDecoder({ kind: 'executions', registry: null, maxValueBytes: 5_000_000 }),
    tasks: createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 5_000_000 }),
  };
  const decode = (event: OddRecord) =>
    decoders[event.topic].decode({
      topic: event.topic,
      partition: 0,
      offset: 0,
      timestampMs: event.sendAtMs,
      key: Buffer.from(event.key),
      value: event.value,
      headers: undefined,
    });

  it('decode in both encodings to what they say', () => {
    for (const event of take(40_000, { avroRatio: 0.5, poisonRatio: 0 })) {
      const decoded = decode(event);
      const { record } = event;
      if (decoded instanceof Rejection || record === null)
        throw new Error(`${event.encoding} ${JSON.stringify(decoded)}`);
      expect(decoded).toMatchObject({
        executionId: record.execution_id,
        eventTimeMs: record.event_time,
        state: record.state,
        attempt: record.attempt ?? 1,
      });
    }
  });

  it('are rejected for the right reason where they are poison', () => {
    for (const event of take(60_000, { poisonRatio: 0.02 })) {
      if (event.poison === null) continue;
      expect([event.poison, (decode(event) as Rejection).reason]).toEqual([
        event.poison,
        expectedReasons[event.poison],
      ]);
    }
  });
});
