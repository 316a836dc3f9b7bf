import { describe, expect, it } from 'vitest';
import type { ChunkRow } from '../../clickhouse/tables/bookkeeping.ts';
import { PartitionFold } from '../../pipelines/partition.ts';
import { PartitionRefused } from '../../pipelines/partition-refused.ts';
import { ModelStore } from './machine/model-store.ts';

const settings = {
  topic: 'executions',
  epoch: 1,
  kind: 'executions' as const,
  partition: 0,
  chunkRecords: 64,
  latenessBoundMs: 30_000,
  historyRecords: () => 100,
};

const chunk = (number: number, fields: Partial<ChunkRow> = {}): ChunkRow => ({
  stream: 'executions@1',
  partition: 0,
  chunk: number,
  chunkRecords: 64,
  foldVersion: 1,
  firstOffset: number * 64,
  lastOffset: number * 64 + 63,
  complete: true,
  stored: 64,
  dropped: 0,
  dead: 0,
  duplicate: 0,
  lostRetention: 0,
  maxEventTimeMs: 1000 * (number + 1),
  watermarkMs: 0,
  maxRecordTimeMs: 1000 * (number + 1),
  lastRecordOffset: number * 64 + 63,
  lastRecordHash: Int32Array.of(1, 2),
  ...fields,
});

async function open(rows: ChunkRow[], committed: number | null, low = 0, high = 1000): Promise<PartitionFold> {
  const store = new ModelStore();
  for (const row of rows) store.chunks.set(row.chunk, row);
  const fold = new PartitionFold(
    settings,
    store.connect(() => true),
  );
  await fold.open(committed, low, high);
  return fold;
}

describe('a partition starts', () => {
  it('at the end of the ledger when all of it is complete', async () => {
    expect((await open([chunk(0), chunk(1)], 128)).position).toBe(128);
  });

  it('at the first offset of an unfinished chunk, never inside it', async () => {
    const unfinished = chunk(1, { complete: false, lastOffset: 90, lastRecordOffset: 90 });
    expect((await open([chunk(0), unfinished], 64)).position).toBe(64);
  });

  it('where the group committed when that is lower, and never where it is higher', async () => {
    expect((await open([chunk(0), chunk(1)], 64)).position).toBe(64);
    expect((await open([chunk(0), chunk(1)], 999)).position).toBe(128);
    expect((await open([chunk(0), chunk(1)], null)).position).toBe(128);
  });

  it('at the beginning of the log when nothing was ever folded, whatever the group once committed', async () => {
    expect((await open([], 640, 17)).position).toBe(17);
  });

  it('with the watermark of what came before', async () => {
    expect((await open([chunk(0), chunk(1)], 128)).watermarkMs).toBe(2000 - 30_000);
  });
});

describe('a partition refuses', () => {
  const reasonOf = (rows: ChunkRow[], high?: number) =>
    open(rows, null, 0, high).then(
      () => 'opened',
      (error: PartitionRefused) =>
        error instanceof PartitionRefused ? `${error.reason}: ${error.message}` : String(error),
    );

  it('a ledger of newer code, of another chunk size, or of a longer log, and says what to do', async () => {
    expect(await reasonOf([chunk(0, { foldVersion: 2 })])).toMatch(/^newer_fold_version: .*run the newer release/);
    expect(await reasonOf([chunk(0, { chunkRecords: 128 })])).toMatch(/^chunk_size_changed: .*set it back/);
    expect(await reasonOf([chunk(0)], 10)).toMatch(/^topic_made_again: .*raise its stream epoch to 2/);
  });

  it('a log whose record at the last durable offset is another one', async () => {
    const fold = await open([chunk(0)], null);
    const record = {
      topic: 'executions',
      partition: 0,
      offset: 63,
      timestampMs: 5,
      key: null,
      value: null,
      headers: undefined,
    };
    expect(() => fold.passLandmark(record)).toThrow(/another record stands there/);
  });
});

describe('a partition that goes on', () => {
  it('starts again when newer code left a chunk behind it unfinished, or has gone further than it may follow', async () => {
    const fold = await open([chunk(0), chunk(1)], null);
    const { lowestUnfinished } = fold;
    expect(fold.isContradictedBy([chunk(0), chunk(1)], lowestUnfinished)).toBe(false);
    expect(fold.isContradictedBy([chunk(0, { complete: false }), chunk(1)], lowestUnfinished)).toBe(true);
    expect(fold.isContradictedBy([chunk(0), chunk(1), chunk(2, { complete: false })], lowestUnfinished)).toBe(false);
    expect(fold.isContradictedBy([chunk(0), chunk(1, { foldVersion: 2 })], lowestUnfinished)).toBe(true);
  });
});
