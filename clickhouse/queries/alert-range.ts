import type { InputRange } from './alert-inputs.ts';

/** What questions after windows of a range have in common. */

export type InWindow<Row> = Row & { windowMs: number };

export const bounded = { max_threads: 2, max_memory_usage: 2_000_000_000, max_execution_time: 120 } as const;

export const inRange =
  'window_start >= fromUnixTimestamp({from: UInt32}) AND window_start < fromUnixTimestamp({to: UInt32})';
/** What runs together is judged together, or no cause could be found: the shard is that of the source. */
export const inShard = 'cityHash64(workspace, source) % {shards: UInt32} = {shard: UInt32}';
export const windowOf = 'toUnixTimestamp(toStartOfInterval(window_start, toIntervalMinute(5))) * 1000';

export const paramsOf = ({ fromMs, toMs, shard, shards }: InputRange) => ({
  from: fromMs / 1000,
  to: toMs / 1000,
  shard,
  shards,
});
