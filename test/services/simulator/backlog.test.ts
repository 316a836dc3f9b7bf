import { expect, it } from 'vitest';
import { createDecoder } from '../../../pipelines/decode.ts';
import { createBacklog } from '../../../services/simulator/backlog.ts';

const startMs = Date.UTC(2026, 10, 21, 6);
const decoder = createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 5_000_000 });

it('makes starts and self-contained ends in both encodings, within its span', () => {
  const backlog = [...createBacklog({ records: 10_000, startMs, spanMs: 600_000, avroRatio: 0.5 })];
  expect(backlog).toHaveLength(10_000);
  const states = new Map<string, number>();
  backlog.forEach(({ key, value, timestampMs }, offset) => {
    const event = decoder.decode({
      topic: 'tasks',
      partition: 0,
      offset,
      timestampMs,
      key: Buffer.from(key),
      value,
      headers: undefined,
    });
    if (!('state' in event)) throw new Error(JSON.stringify(event));
    states.set(event.state, (states.get(event.state) ?? 0) + 1);
    expect(event).toMatchObject({ executionId: key, eventTimeMs: timestampMs });
    if (event.state === 'completed') expect(event.durationUs).toBeGreaterThan(0);
    expect(value.length).toBeGreaterThanOrEqual(200);
    expect(value.length).toBeLessThanOrEqual(450);
    expect(timestampMs).toBeLessThan(startMs + 600_000 + 10_000);
  });
  expect(Object.fromEntries(states)).toEqual({ running: 5_000, completed: 5_000 });
});

it('makes the same records from the same seed', () => {
  const make = (seed: number) =>
    [...createBacklog({ records: 500, startMs, seed })].map(({ value }) => value.toString('hex'));
  expect(make(3)).toEqual(make(3));
  expect(make(3)).not.toEqual(make(4));
});
