import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import { encodeExecutionEvent, encodeTaskEvent } from '../../schemas/wire.ts';
import type { Random } from '../../services/simulator/random.ts';

/** A record from which poison is made, and the kind of its topic. */
export type GoodRecord = { topic: 'executions'; record: ExecutionRecord } | { topic: 'tasks'; record: TaskRecord };

const avroOf = (good: GoodRecord): Buffer =>
  good.topic === 'tasks' ? encodeTaskEvent(good.record) : encodeExecutionEvent(good.record);
const jsonOf = ({ record }: GoodRecord, changes: Record<string, unknown> = {}): Buffer =>
  Buffer.from(JSON.stringify({ ...record, ...changes }));
const avroWith = (good: GoodRecord, changes: Partial<TaskRecord>): Buffer =>
  avroOf({ ...good, record: { ...good.record, ...changes } } as GoodRecord);
const dayMs = 86_400_000;

/**
 * Every way in which records are broken or unbelievable, with the bytes that show it. What a pipeline must make of
 * each is said in the tests, not here: this file knows only how to break things.
 */
export const poisons = {
  tombstone: () => null,
  empty_value: () => Buffer.alloc(0),
  wrong_magic: (good) => Buffer.concat([Buffer.from([0x7f]), avroOf(good)]),
  unknown_schema: (good) => Buffer.concat([Buffer.from([0, 0, 0x0f, 0x42, 0x3f]), avroOf(good).subarray(10)]),
  unknown_fingerprint: (good) => {
    const value = avroOf(good);
    value.fill(0xa5, 2, 10);
    return value;
  },
  truncated_avro: (good) => {
    const value = avroOf(good);
    return value.subarray(0, Math.floor(value.length / 2));
  },
  trailing_bytes: (good) => Buffer.concat([avroOf(good), Buffer.from('more')]),
  invalid_json: (good) => jsonOf(good).subarray(0, -2),
  invalid_utf8: (good) => {
    const value = jsonOf(good, { workflow_name: 'caf_' });
    value[value.indexOf('caf_') + 3] = 0xe9;
    return value;
  },
  year_1970: (good) => jsonOf(good, { event_time: 86_400_000 }),
  year_2200: (good) => avroWith(good, { event_time: Date.UTC(2200, 0) }),
  eight_days_late: (good) => avroWith(good, { event_time: good.record.event_time - 8 * dayMs, started_at: null }),
  not_a_number: (good) => avroWith(good, { duration_ms: Number.NaN }),
  negative_duration: (good) => jsonOf(good, { duration_ms: -5 }),
  finish_before_start: (good) =>
    jsonOf(good, { state: 'completed', started_at: good.record.event_time + 60_000, duration_ms: null }),
  unknown_state: (good) => jsonOf(good, { state: 'exploded' }),
  missing_id: (good) => jsonOf(good, { execution_id: undefined }),
  long_id: (good) => avroWith(good, { execution_id: 'x'.repeat(10_240) }),
} as const satisfies Record<string, (good: GoodRecord) => Buffer | null>;

export type Poison = keyof typeof poisons;
export const poisonKinds = Object.keys(poisons) as Poison[];

export function pickPoison(good: GoodRecord, random: Random): { poison: Poison; value: Buffer | null } {
  const poison = random.pick(poisonKinds);
  const make: (good: GoodRecord) => Buffer | null = poisons[poison];
  return { poison, value: make(good) };
}
