import { describe, expect, it } from 'vitest';
import { counts, distributions, quantities } from '../../clickhouse/tables/measures.ts';
import { CellTable, DimsTable } from '../../pipelines/cells.ts';

const minuteMs = 60_000;
const place = { stream: 't@1', partition: 0, chunk: 0, foldVersion: 1, ver: 1n };
const queue = distributions.indexOf('queue_us');
const cost = quantities.indexOf('cost_micros');

describe('cells', () => {
  it('add up exactly where a float would round', () => {
    const cell = new CellTable().at(new DimsTable().intern(['w']), 0);
    const large = 2 ** 52 - 1;
    let expected = 0n;
    for (let index = 0; index < 5000; index++) {
      cell.accumulate(cost, large - index, 1);
      expected += BigInt(large - index);
    }
    for (let index = 0; index < 100; index++) {
      cell.accumulate(cost, large - index, -1);
      expected -= BigInt(large - index);
    }
    expect(cell.sum(distributions.length + cost)).toBe(expected);
    expect(cell.row(place).reported(cost)).toBe(4900);
  });

  it('take a removed value out of sum and histogram, but keep it as least and greatest', () => {
    const cell = new CellTable().at(new DimsTable().intern(['w']), 0);
    cell.distribute(queue, 500, 1);
    cell.distribute(queue, 1000, 1);
    cell.distribute(queue, 1000, -1);
    const row = cell.row(place);
    expect(row.sum(queue)).toBe(500);
    expect(row.max(queue)).toBe(1000);
    expect(row.min(queue)).toBe(500);
    expect([...row.histogram(queue)].map(([, count]) => count).sort()).toEqual([0, 1]);
  });

  it('count every bucket, few or many', () => {
    const cell = new CellTable().at(new DimsTable().intern(['w']), 0);
    for (let repeat = 0; repeat < 3; repeat++)
      for (let power = 0; power < 40; power++) cell.distribute(queue, 2 ** power, 1);
    const histogram = cell.row(place).histogram(queue);
    expect(histogram.size).toBe(40);
    expect([...histogram].map(([, count]) => count)).toEqual(new Array(40).fill(3));
  });

  it('are found again by dimensions and minute, also when the shared dimensions were forgotten', () => {
    const cells = new CellTable();
    const dims = new DimsTable(1);
    const first = cells.at(dims.intern(['w', '', 's', 'flow', '', 'a']), 61_000);
    dims.intern(['w', '', 's', 'other', '', 'a']);
    dims.intern(['w', '', 's', 'third', '', 'a']);
    expect(cells.at(dims.intern(['w', '', 's', 'flow', '', 'a']), 119_999)).toBe(first);
    expect(cells.at(dims.intern(['w', '', 's', 'flow', '', 'a']), 2 * minuteMs)).not.toBe(first);
    expect(cells.at(dims.intern(['w', '', 's', 'flow', '', 'b']), 61_000)).not.toBe(first);
    expect(first.windowStartMs).toBe(minuteMs);
  });

  it('of a chunk that is durable are held by nobody, and what changed of others is counted', () => {
    const [durable, going] = [new CellTable(), new CellTable()];
    const dims = new DimsTable();
    const [one, other] = [dims.intern(['one']), dims.intern(['other'])];
    durable.at(one, 0);
    durable.at(other, 0);
    durable.at(other, minuteMs);
    expect(durable.changed).toBe(3);
    durable.takeDirty();
    const next = going.at(one, 0);
    durable.clear();
    expect(other.lastCell).toBeNull();
    expect(going.at(one, 0)).toBe(next);
    expect([durable.changed, going.changed]).toEqual([0, 1]);
  });

  it('are handed to a flush once for each time they changed', () => {
    const cells = new CellTable();
    const dims = new DimsTable().intern(['w']);
    cells.at(dims, 0);
    cells.at(dims, 1);
    expect(cells.takeDirty()).toHaveLength(1);
    expect(cells.takeDirty()).toHaveLength(0);
    cells.at(dims, 2);
    expect(cells.takeDirty()).toHaveLength(1);
    expect(counts).toContain('contributions');
  });
});
