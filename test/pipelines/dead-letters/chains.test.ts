import { expect, it } from 'vitest';
import { Block } from '../../../clickhouse/block.ts';
import { Database } from '../../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../../clickhouse/migrate.ts';
import { deadLetterBytesTable, deadLettersTable } from '../../../clickhouse/tables/bookkeeping.ts';
import { DeadLetters } from '../../../pipelines/dead-letters/letters.ts';
import { replayedRecord } from '../../../pipelines/dead-letters/replayed-record.ts';
import { defaultSettings } from '../../clickhouse/default-settings.ts';
import { createTestDatabase } from '../../support/stack.ts';

const recordTimeMs = Date.now() - 3_600_000;
const names = ['topic', 'partition', 'offset', 'item', 'timestamp'] as const;

/** Values of the origin headers in this order; undefined leaves one out, a list repeats it. */
const cases: (string | string[] | undefined)[][] = [
  [],
  ['airflow.events', '3', '42', '2', '1700000000000'],
  ['airflow.events', '3', '43'],
  ['airflow.events', '3', ['1', '44'], 'x', 'y'],
  ['airflow.events', '3', '45', '99999999999', '-1'],
  ['airflow events', '3', '46'],
  ['airflow.events\n', '3', '47'],
  ['airflow.événements', '3', '48'],
  ['airflow.events', '2147483648', '49'],
  ['airflow.events', '2147483647', '50'],
  ['airflow.events', '3', '9007199254740993'],
  ['airflow.events', '3', '9007199254740991'],
  ['airflow.events', '3', '00052', '0001', '0001700000000000'],
  ['airflow.events', '3', '99999999999999999'],
  ['airflow.events', ' 3', '53'],
  ['airflow.events', '3', '', '1'],
  [undefined, '3', '54', '1', '1700000000000'],
  ['x'.repeat(249), '0', '0'],
  ['x'.repeat(250), '0', '0'],
];

const headersOf = (values: (string | string[] | undefined)[]) =>
  values.flatMap((given, index) =>
    (Array.isArray(given) ? given : [given]).flatMap((value) =>
      value === undefined ? [] : [{ name: `weir-origin-${names[index]}`, value: Buffer.from(value) }],
    ),
  );

it('the database finds the origin in the same headers as the decoder', async () => {
  const target = await createTestDatabase('chains');
  await migrate(target, migrateOptions(defaultSettings()));
  const database = new Database(target);
  const [letters, bytes] = [new Block(deadLettersTable), new Block(deadLetterBytesTable)];
  const stream = 'telemetry.tasks@1';
  for (const [offset, values] of cases.entries()) {
    const place = { stream, partition: 0, offset, recordTimeMs, foldVersion: 1 };
    const row = { workspace: '', topic: 'telemetry.tasks', reason: 'wrong_magic', detail: '', excerpt: '' };
    letters.add({ ...place, ...row, keyBytes: 0, valueBytes: 1 });
    bytes.add({ ...place, key: null, value: Buffer.from('x'), headers: headersOf(values) });
  }
  await database.insert(letters);
  await database.insert(bytes);
  const read = await DeadLetters.open(database, 'default', [stream]);
  const found = await read.readNewest({ reason: null, topic: null, fromMs: null, toMs: null }, 100);
  const kept = await read.readBytes(stream, 0, [...cases.keys()]);
  expect(found).toHaveLength(cases.length);
  for (const letter of found) {
    const bytesOf = kept.get(letter.offset);
    if (bytesOf === undefined) throw new Error(`no bytes of ${letter.offset}`);
    const { headers } = replayedRecord(letter, bytesOf);
    const { topic, partition, offset, item } = letter.origin;
    const expected = [topic, partition, offset, item].map(String);
    const sent = names.slice(0, 4).map((name) => String(headers[`weir-origin-${name}`]));
    expect(expected, JSON.stringify(cases[letter.offset])).toEqual(sent);
    const hasOrigin = topic !== letter.topic;
    if (hasOrigin) expect(String(letter.originTimeMs)).toBe(String(headers['weir-origin-timestamp']));
  }
  await database.close();
});
