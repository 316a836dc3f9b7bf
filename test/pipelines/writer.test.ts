import { expect, it } from 'vitest';
import { Block } from '../../clickhouse/block.ts';
import type { PartitionFold } from '../../pipelines/partition.ts';
import type { Store } from '../../pipelines/store.ts';
import { Writer } from '../../pipelines/writer.ts';

const place = { stream: 't@0', kind: 'tasks', partition: 0, recordTimeMs: 0, foldVersion: 1 } as const;

function openWriter() {
  const inserted: number[] = [];
  const waiting: (() => void)[] = [];
  const store = {
    createBatch: (table) => new Block(table),
    insert: (batch) => {
      inserted.push(batch.rows);
      return new Promise<void>((resolve) => waiting.push(resolve));
    },
  } as Pick<Store, 'createBatch' | 'insert'> as Store;
  let nowMs = 0;
  const writer = new Writer(
    store,
    { flushRows: 100 },
    { sleep: async () => undefined, nowMs: () => nowMs, commit: async () => undefined },
  );
  const add = (offset: number) => writer.duplicate({ ...place, offset }, 'acme');
  const acknowledge = () => waiting.shift()?.();
  return { writer, inserted, add, acknowledge, pass: (ms: number) => (nowMs += ms) };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

it('all who ask for a flush during one share the next, and it takes what came until then', async () => {
  const { writer, inserted, add, acknowledge } = openWriter();
  add(1);
  const first = writer.flush();
  await settled();
  add(2);
  const second = writer.flush();
  add(3);
  const third = writer.flush();
  await settled();
  expect(inserted).toEqual([1]);
  acknowledge();
  await first;
  await settled();
  expect(inserted).toEqual([1, 2]);
  acknowledge();
  await Promise.all([second, third]);
  await settled();
  expect(inserted).toEqual([1, 2]);
  add(4);
  const fourth = writer.flush();
  await settled();
  acknowledge();
  await fourth;
  expect(inserted).toEqual([1, 2, 1]);
});

it('knows since when rows may wait', async () => {
  const { writer, add, acknowledge, pass } = openWriter();
  pass(5_000);
  add(1);
  const flush = writer.flush();
  pass(300);
  await settled();
  acknowledge();
  await flush;
  expect(writer.waitedMs).toBe(300);
});

it('cells make a flush due only where they are as many as no usual load makes', () => {
  const { writer, add } = openWriter();
  const fold = { changedCells: 0 } as PartitionFold;
  writer.own(fold);
  add(1);
  expect(writer.waitingRows).toBe(1);
  Object.assign(fold, { changedCells: 40 });
  expect([writer.waitingRows, writer.wantsFlush, writer.isFull]).toEqual([81, false, false]);
  Object.assign(fold, { changedCells: 100 });
  expect([writer.waitingRows, writer.wantsFlush, writer.isFull]).toEqual([201, true, true]);
  writer.disown(fold);
  expect(writer.waitingRows).toBe(1);
});
