import { expect, it } from 'vitest';
import type { Letter } from '../../../pipelines/dead-letters/letters.ts';
import { readCommand } from '../../../pipelines/dead-letters/options.ts';
import { createPlan, oldestReplayable, type PlanOptions } from '../../../pipelines/dead-letters/replay-plan.ts';
import { replayedRecord } from '../../../pipelines/dead-letters/replayed-record.ts';
import { defaultSettings } from '../../clickhouse/default-settings.ts';

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 6, 15);

const options: PlanOptions = {
  topics: [
    { topic: 'telemetry.executions', kind: 'executions', stream: 'telemetry.executions@2', partitions: 4 },
    { topic: 'telemetry.tasks', kind: 'tasks', stream: 'telemetry.tasks@1', partitions: 4 },
    { topic: 'telemetry.orchestrators', kind: 'orchestrators', stream: 'telemetry.orchestrators@1', partitions: 0 },
  ],
  stateTopic: 'weir.state',
  toTopic: null,
  again: false,
  oldestMs: nowMs - 14 * dayMs,
};

const letter = (changes: Partial<Letter> = {}): Letter => ({
  stream: 'telemetry.tasks@1',
  topic: 'telemetry.tasks',
  partition: 3,
  offset: 5,
  recordTimeMs: nowMs,
  reason: 'wrong_magic',
  keyBytes: 4,
  valueBytes: 10,
  origin: { topic: 'telemetry.tasks', partition: 3, offset: 5, item: 0 },
  originTimeMs: nowMs,
  replays: 0,
  isStored: false,
  ...changes,
});

it('a record goes back to its own partition, and by its key into another topic', () => {
  expect(createPlan(options)(letter())).toMatchObject({ partition: 3, target: { topic: 'telemetry.tasks' } });
  const elsewhere = createPlan({ ...options, toTopic: 'telemetry.executions' });
  expect(elsewhere(letter())).toMatchObject({ partition: null, target: { topic: 'telemetry.executions' } });
  expect(elsewhere(letter({ keyBytes: 0, partition: 6 }))).toMatchObject({ partition: 2 });
  expect(() => createPlan({ ...options, toTopic: 'telemetry.orchestrators' })).toThrow(/none of the telemetry topics/);
});

it('a letter stays where it is for a reason that can be said', () => {
  const plan = createPlan(options);
  expect(plan(letter({ isStored: true, replays: 1 }))).toBe('stored');
  expect(plan(letter({ replays: 1 }))).toBe('rejected_again');
  expect(plan(letter({ originTimeMs: nowMs - 15 * dayMs }))).toBe('too_old');
  expect(plan(letter({ stream: 'telemetry.executions@1', topic: 'telemetry.executions' }))).toBe('older_epoch');
  expect(plan(letter({ stream: 'gone@1', topic: 'gone' }))).toBe('no_topic');
  expect(plan(letter({ stream: 'telemetry.orchestrators@1', topic: 'telemetry.orchestrators' }))).toBe('no_topic');
  const elsewhere = createPlan({ ...options, toTopic: 'telemetry.executions' });
  expect(elsewhere(letter({ stream: 'weir.state@1', topic: 'weir.state' }))).toBe('state');
  const again = createPlan({ ...options, again: true });
  expect(again(letter({ isStored: true }))).toMatchObject({ partition: 3 });
  expect(again(letter({ originTimeMs: nowMs - 15 * dayMs }))).toBe('too_old');
});

it('a record is too old once its stored row could go before its replay has left the topic', () => {
  expect(oldestReplayable(defaultSettings(), nowMs)).toBe(nowMs - 14 * dayMs);
});

it('a replayed record says where and when it first stood, and keeps all else', () => {
  const text = (value: string) => Buffer.from(value);
  const bytes = {
    key: text('k'),
    value: text('v'),
    headers: [
      { name: 'a', value: text('1') },
      { name: 'weir-origin-offset', value: text('not one') },
      { name: 'a', value: text('2') },
    ],
  };
  const { headers, ...rest } = replayedRecord(letter(), bytes);
  expect(rest).toEqual({ key: text('k'), value: text('v') });
  expect(headers.a).toEqual([text('1'), text('2')]);
  const own = Object.entries(headers).filter(([name]) => name.startsWith('weir-origin-'));
  expect(Object.fromEntries(own.map(([name, value]) => [name, String(value)]))).toEqual({
    'weir-origin-topic': 'telemetry.tasks',
    'weir-origin-partition': '3',
    'weir-origin-offset': '5',
    'weir-origin-item': '0',
    'weir-origin-timestamp': String(nowMs),
  });
  // Sent again from where it stands now, it is the same record still.
  const entries = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => ({ name, value })),
  );
  const later = letter({ partition: 1, offset: 99, recordTimeMs: nowMs + dayMs });
  expect(replayedRecord(later, { ...bytes, headers: entries }).headers).toEqual(headers);
});

it('the command says what is wrong with its arguments', () => {
  const read = (...args: string[]) => readCommand(args, nowMs);
  expect(read('list', '--from', '24h', '--to', '2026-07-14')).toMatchObject({
    filter: { fromMs: nowMs - dayMs, toMs: nowMs - dayMs },
    limit: 10,
  });
  expect(read('show', 'telemetry.tasks/0/12')).toMatchObject({ place: { partition: 0, offset: 12 } });
  expect(read('replay', '--help')).toBeNull();
  expect(() => read('repay')).toThrow(/no repay/);
  expect(() => read('list', '--reason', 'bad')).toThrow(/the reasons are .*empty_value/);
  expect(() => read('list', '--from', 'noon')).toThrow(/is no time/);
  expect(() => read('list', '--limit', '0')).toThrow(/whole number/);
  expect(() => read('list', '--again')).toThrow(/again/);
  expect(() => read('show', 'telemetry.tasks')).toThrow(/TOPIC\/PARTITION\/OFFSET/);
});
