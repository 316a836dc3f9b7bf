import { describe, expect, it } from 'vitest';
import { type AcceptedRecord, cellKey, recompute } from '../../../pipelines/verify/recompute.ts';

const minuteMs = 60_000;
const dayMs = 86_400_000;
const noonMs = Date.UTC(2026, 0, 10, 12);
const dims = '["default","","airflow","etl","1","scheduled"]';

/** A log of records, written down as what differs from a plain record; offsets count from 0. */
function log(...records: Partial<AcceptedRecord>[]): AcceptedRecord[] {
  return records.map((record, offset) => ({
    offset,
    thing: 'run-1',
    dims,
    attempt: 1,
    state: 'running',
    eventTimeMs: noonMs,
    startedAtMs: null,
    durationUs: null,
    queueUs: null,
    costMicros: null,
    cpuUs: null,
    memoryPeakBytes: null,
    origin: null,
    ...record,
  }));
}

const at = (minutes: number) => noonMs + minutes * minuteMs;
const fold = (records: AcceptedRecord[], chunkRecords = 1024) =>
  recompute(records, { chunkRecords, limitOf: () => Number.POSITIVE_INFINITY });

/** The values of one minute that are not zero. */
function minute(records: AcceptedRecord[], minutes: number): Record<string, number> {
  const cell = fold(records).cells.get(cellKey(dims, at(minutes), 0)) ?? new Map<string, bigint>();
  return Object.fromEntries(
    [...cell].filter(([, value]) => value !== 0n).map(([field, value]) => [field, Number(value)]),
  );
}

const completed = { state: 'completed', durationUs: 1_000_000 } as const;
/** What one completed end of a second adds. */
const oneCompleted = {
  completed: 1,
  completed_duration_us_sum: 1_000_000,
  completed_duration_us_min: 1_000_000,
  completed_duration_us_max: 1_000_000,
  'completed_duration_us_hist[691]': 1,
  attempt_completed: 1,
  attempt_duration_us_sum: 1_000_000,
  attempt_duration_us_min: 1_000_000,
  attempt_duration_us_max: 1_000_000,
  'attempt_duration_us_hist[691]': 1,
};

describe('duplicates', () => {
  it('are later records of the same attempt, state and event time', () => {
    const records = log({ state: 'pending' }, { state: 'pending' }, { state: 'pending', eventTimeMs: noonMs + 1 });
    expect([...fold(records).duplicates]).toEqual([1]);
    expect(minute(records, 0)).toEqual({ contributions: 2, pending: 2 });
  });

  it('are told by their origin where there is one, and by nothing else', () => {
    const origin = '["airflow",0,7,0]';
    const records = log(
      { state: 'pending' },
      { state: 'pending', origin },
      { state: 'queued', origin, eventTimeMs: at(1) },
      { state: 'pending', origin: '["airflow",0,8,0]' },
    );
    expect([...fold(records).duplicates]).toEqual([2]);
  });

  it('are looked for within one thing only', () => {
    expect(fold(log({}, { thing: 'run-2' })).duplicates.size).toBe(0);
  });
});

describe('starts', () => {
  it('count once for the thing and once for each attempt', () => {
    const records = log({}, { eventTimeMs: at(1) }, { attempt: 2, eventTimeMs: at(2) });
    expect(minute(records, 0)).toEqual({ contributions: 1, started: 1, attempt_started: 1 });
    expect(minute(records, 1)).toEqual({ contributions: 1 });
    expect(minute(records, 2)).toEqual({ contributions: 1, attempt_started: 1 });
  });
});

describe('ends', () => {
  it('count with what they say themselves', () => {
    const end = { ...completed, queueUs: 0, costMicros: 5, cpuUs: 7, memoryPeakBytes: 9, startedAtMs: noonMs };
    expect(minute(log(end), 0)).toEqual({
      contributions: 1,
      ...oneCompleted,
      'queue_us_hist[-32768]': 1,
      cost_micros_n: 1,
      cost_micros_sum: 5,
      cost_micros_max: 5,
      cpu_us_n: 1,
      cpu_us_sum: 7,
      cpu_us_max: 7,
      memory_peak_bytes_n: 1,
      memory_peak_bytes_sum: 9,
      memory_peak_bytes_max: 9,
      attempt_cost_micros_n: 1,
      attempt_cost_micros_sum: 5,
      attempt_cost_micros_max: 5,
      attempt_cpu_us_n: 1,
      attempt_cpu_us_sum: 7,
      attempt_cpu_us_max: 7,
    });
  });

  it('that were skipped have a duration only if they report one', () => {
    expect(minute(log({ state: 'skipped', startedAtMs: noonMs }), 0)).toEqual({
      contributions: 1,
      skipped: 1,
      attempt_skipped: 1,
    });
  });
});

describe('joins', () => {
  it('take the start with the greatest smaller offset, whatever its event time', () => {
    const records = log(
      { eventTimeMs: at(0) - 1_000, queueUs: 3 },
      { eventTimeMs: at(0) - 2_000, queueUs: 4 },
      { state: 'completed', eventTimeMs: at(0) },
    );
    expect(minute(records, 0)).toMatchObject({
      ends_to_join: 1,
      joined: 1,
      contributions: 1,
      completed_duration_us_sum: 2_000_000,
      queue_us_sum: 4,
    });
  });

  it('happen when the first start comes after its end, in the window of the end', () => {
    const records = log(
      { state: 'completed', eventTimeMs: at(5) },
      { eventTimeMs: at(5) - 1_000, queueUs: 4 },
      { eventTimeMs: at(5) - 3_000 },
    );
    expect(minute(records, 5)).toMatchObject({
      contributions: 2,
      ends_to_join: 1,
      joined: 1,
      ...oneCompleted,
      queue_us_sum: 4,
    });
  });

  it('need the same attempt and a start at most 7 days before the end', () => {
    const end = { state: 'completed', eventTimeMs: at(0) };
    expect(minute(log({ attempt: 2, eventTimeMs: at(-1) }, end), 0).joined).toBeUndefined();
    expect(minute(log({ eventTimeMs: at(0) - 7 * dayMs - 1 }, end), 0).joined).toBeUndefined();
    expect(minute(log({ eventTimeMs: at(0) - 7 * dayMs }, end), 0).joined).toBe(1);
    expect(minute(log({ eventTimeMs: at(1) }, end), 0).joined).toBeUndefined();
  });

  it('may give one start to several ends', () => {
    const records = log(
      { state: 'failed', eventTimeMs: at(0) },
      { state: 'completed', eventTimeMs: at(0) + 1 },
      { eventTimeMs: at(-1) },
    );
    expect(minute(records, 0)).toMatchObject({ ends_to_join: 2, joined: 2, contributions: 6 });
  });

  it('add no duration for an end that no longer counts', () => {
    const records = log(
      { state: 'failed', eventTimeMs: at(0) },
      { ...completed, attempt: 2, eventTimeMs: at(3) },
      { eventTimeMs: at(0) - 1_000 },
    );
    const cell = minute(records, 0);
    expect(cell).toMatchObject({ joined: 1, attempt_failed: 1, attempt_duration_us_sum: 1_000_000 });
    expect(cell).not.toHaveProperty('failed');
    expect(cell).not.toHaveProperty('other_duration_us_sum');
  });
});

describe('revisions', () => {
  it('take a superseded end out at both levels and keep least and greatest', () => {
    const records = log({ ...completed, state: 'failed' }, { ...completed, eventTimeMs: at(2) });
    expect(minute(records, 0)).toEqual({
      contributions: 3,
      other_duration_us_min: 1_000_000,
      other_duration_us_max: 1_000_000,
      attempt_duration_us_min: 1_000_000,
      attempt_duration_us_max: 1_000_000,
    });
    expect(minute(records, 2)).toEqual({ contributions: 1, ...oneCompleted });
  });

  it('by a later attempt leave the attempts as they are', () => {
    const records = log({ ...completed, state: 'failed' }, { ...completed, attempt: 3, eventTimeMs: at(2) });
    expect(minute(records, 0)).toMatchObject({ contributions: 2, attempt_failed: 1 });
    expect(minute(records, 2)).toEqual({ contributions: 1, retries: 2, ...oneCompleted });
  });

  it('are not made by an end that is older or of an earlier attempt', () => {
    const records = log(
      { ...completed, attempt: 2 },
      { ...completed, attempt: 1, state: 'failed', eventTimeMs: at(2) },
    );
    expect(minute(records, 0)).toMatchObject({ contributions: 1, completed: 1 });
    const late = minute(records, 2);
    expect(late).toMatchObject({ contributions: 1, attempt_failed: 1 });
    expect(late).not.toHaveProperty('failed');
  });

  it('go by offset where attempt and event time are equal', () => {
    const records = log({ ...completed, state: 'failed' }, completed);
    expect(minute(records, 0)).toMatchObject({ contributions: 4, ...oneCompleted });
    expect(minute(records, 0)).not.toHaveProperty('failed');
  });

  it('leave an end that is more than 7 days older, and count the thing as reopened', () => {
    const weekMinutes = (7 * dayMs) / minuteMs;
    const within = log({ ...completed }, { ...completed, eventTimeMs: at(weekMinutes) });
    expect(minute(within, 0)).not.toHaveProperty('completed');
    const beyond = log({ ...completed }, { ...completed, eventTimeMs: at(weekMinutes) + 1 });
    expect(minute(beyond, 0)).toMatchObject({ contributions: 1, completed: 1, attempt_completed: 1 });
    expect(minute(beyond, weekMinutes)).toMatchObject({
      contributions: 1,
      completed: 1,
      reopened: 1,
      attempt_completed: 1,
    });
  });

  it('take out a duration that a late start had added', () => {
    const records = log(
      { state: 'failed', eventTimeMs: at(0) },
      { eventTimeMs: at(0) - 1_000 },
      { ...completed, eventTimeMs: at(2) },
    );
    const cell = minute(records, 0);
    expect(cell).toMatchObject({ contributions: 4, ends_to_join: 1, joined: 1, other_duration_us_max: 1_000_000 });
    expect(cell).not.toHaveProperty('other_duration_us_sum');
    expect(cell).not.toHaveProperty('attempt_duration_us_sum');
  });

  it('land in the chunk of the record that made them, in the dimensions of the end they take out', () => {
    const other = '["default","","airflow","etl","2","scheduled"]';
    const records = log({ ...completed }, { ...completed, dims: other, eventTimeMs: at(1) });
    const { cells } = fold(records, 1);
    expect(cells.get(cellKey(dims, at(0), 0))?.get('completed')).toBe(1n);
    expect(cells.get(cellKey(dims, at(0), 1))?.get('completed')).toBe(-1n);
    expect(cells.get(cellKey(other, at(1), 1))?.get('completed')).toBe(1n);
  });
});

it('counts records for a cell only up to the limit of that cell', () => {
  const records = log({ state: 'pending' }, { state: 'queued' });
  const { cells } = recompute(records, { chunkRecords: 1024, limitOf: () => 0 });
  expect(cells.get(cellKey(dims, noonMs, 0))).toEqual(
    new Map([
      ['contributions', 1n],
      ['pending', 1n],
    ]),
  );
});
