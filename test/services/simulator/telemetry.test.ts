import { expect, it } from 'vitest';
import { createDecoder } from '../../../pipelines/decode.ts';
import { Rejection } from '../../../pipelines/rejections.ts';
import { encodeOutgoing } from '../../../services/simulator/delivery.ts';
import { scenarioNames } from '../../../services/simulator/scenarios.ts';
import type { WorldEvent } from '../../../services/simulator/world.ts';
import { bytesOf, dayStartMs, hourMs, playWorld, sendSegment } from './simulated-days.ts';

const morning = { startMs: dayStartMs + 8 * hourMs, endMs: dayStartMs + 10 * hourMs };

const decoders = {
  executions: createDecoder({ kind: 'executions', registry: null, maxValueBytes: 5_000_000 }),
  tasks: createDecoder({ kind: 'tasks', registry: null, maxValueBytes: 5_000_000 }),
  orchestrators: createDecoder({ kind: 'orchestrators', registry: null, maxValueBytes: 5_000_000 }),
};

it.each(scenarioNames)('sends nothing in scenario %s that the pipeline would refuse', (scenario) => {
  const refused: string[] = [];
  let records = 0;
  for (const outgoing of sendSegment(
    scenario,
    scenario === 'big-fleet' ? { ...morning, endMs: morning.startMs + hourMs } : morning,
  )) {
    const { topic, key, sendAtMs } = outgoing;
    const place = { topic, partition: 0, offset: records++, timestampMs: sendAtMs, headers: undefined };
    const event = decoders[topic].decode({ ...place, key: Buffer.from(key), value: encodeOutgoing(outgoing) });
    if (event instanceof Rejection) refused.push(`${topic} ${event.reason}`);
  }
  expect(refused).toEqual([]);
  expect(records).toBeGreaterThan(1_000);
});

it('sends the same bytes in the same order for the same seed, and others for another', () => {
  const first = bytesOf(sendSegment('demo', morning));
  expect(bytesOf(sendSegment('demo', morning))).toEqual(first);
  expect(bytesOf(sendSegment('demo', { ...morning, seed: 2 }))).not.toEqual(first);
});

it('sends nothing before it happened', () => {
  for (const { sendAtMs, eventTimeMs } of sendSegment('quiet-fleet', morning)) {
    expect(sendAtMs).toBeGreaterThanOrEqual(eventTimeMs);
  }
});

it('never uses an id twice, in whichever segment a run begins', () => {
  const idsOf = (startMs: number) => {
    const ids = new Set<string>();
    for (const { topic, key } of sendSegment('demo', { startMs, endMs: startMs + hourMs })) {
      if (topic === 'executions') ids.add(key);
    }
    return ids;
  };
  const [first, second] = [idsOf(morning.startMs), idsOf(morning.startMs + hourMs)];
  expect([...first].filter((id) => second.has(id))).toEqual([]);
});

it('tells of attempts before a moment only how they ended, with their times, and seldom of the fleet', () => {
  const midMs = morning.startMs + hourMs;
  const { events: all } = playWorld(morning);
  const { events: late } = playWorld({ ...morning, beginningsFromMs: midMs });
  const before = (events: WorldEvent[], isSought: (event: WorldEvent) => boolean) =>
    events.filter((event) => event.atMs < midMs && isSought(event));
  const isBeginning = ({ topic, record }: WorldEvent) =>
    topic === 'tasks' && (record.state === 'queued' || record.state === 'running');
  const isEnd = ({ topic, record }: WorldEvent) => topic === 'tasks' && record.state === 'completed';
  const isReport = ({ topic }: WorldEvent) => topic === 'orchestrators';
  expect(before(late, isBeginning)).toEqual([]);
  expect(late.some((event) => event.atMs >= midMs && isBeginning(event))).toBe(true);
  const ends = before(late, isEnd);
  expect(ends.length).toBeGreaterThan(0.95 * before(all, isEnd).length);
  for (const { record } of ends as Extract<WorldEvent, { topic: 'tasks' }>[])
    expect(record).toMatchObject({ queued_at: expect.any(Number), started_at: expect.any(Number) });
  expect(before(late, isReport).length).toBeLessThan(before(all, isReport).length / 2);
});
