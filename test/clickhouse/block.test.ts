import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Block } from '../../clickhouse/block.ts';
import { Database } from '../../clickhouse/client.ts';
import {
  array,
  bigInt64,
  bigUint64,
  blob,
  bool,
  columnsOf,
  float64,
  hash64,
  instant,
  int16,
  int32,
  int64,
  map,
  name,
  nullable,
  second,
  type Table,
  text,
  tuple,
  uint32,
  uint64,
  wordPair,
} from '../../clickhouse/columns.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { createTestDatabase } from '../support/stack.ts';

interface Pair {
  label: string;
  size: number | null;
}

interface Sample {
  id: number;
  text: string;
  name: string;
  blob: Buffer;
  bool: boolean;
  int16: number;
  int32: number;
  uint32: number;
  int64: number;
  uint64: number;
  bigInt64: bigint;
  bigUint64: bigint;
  float64: number;
  instant: number;
  second: number;
  hash64: number[];
  pair64: { low: number; high: number };
  optionalInt: number | null;
  optionalText: string | null;
  names: string[];
  texts: Record<string, string>;
  shares: Record<string, number>;
  pairs: Pair[];
}

const ofPair = columnsOf<Pair>();
const ofSample = columnsOf<Sample>();
const samplesTable: Table<Sample> = {
  name: 'samples',
  columns: [
    ofSample('id', uint32, (row) => row.id),
    ofSample('text', text, (row) => row.text),
    ofSample('name', name, (row) => row.name),
    ofSample('blob', blob, (row) => row.blob),
    ofSample('bool', bool, (row) => row.bool),
    ofSample('int16', int16, (row) => row.int16),
    ofSample('int32', int32, (row) => row.int32),
    ofSample('uint32', uint32, (row) => row.uint32),
    ofSample('int64', int64, (row) => row.int64),
    ofSample('uint64', uint64, (row) => row.uint64),
    ofSample('bigInt64', bigInt64, (row) => row.bigInt64),
    ofSample('bigUint64', bigUint64, (row) => row.bigUint64),
    ofSample('float64', float64, (row) => row.float64),
    ofSample('instant', instant, (row) => row.instant),
    ofSample('second', second, (row) => row.second),
    ofSample('hash64', hash64, (row) => row.hash64),
    ofSample('pair64', wordPair, (row) => row.pair64),
    ofSample('optionalInt', nullable(int64), (row) => row.optionalInt),
    ofSample('optionalText', nullable(text), (row) => row.optionalText),
    ofSample('names', array(name), (row) => row.names),
    ofSample('texts', map(name, text), (row) => row.texts),
    ofSample('shares', map(name, float64), (row) => row.shares),
    ofSample(
      'pairs',
      array(tuple([ofPair('label', text, (pair) => pair.label), ofPair('size', nullable(int64), (pair) => pair.size)])),
      (row) => row.pairs,
    ),
  ],
};

const plain: Sample = {
  id: 0,
  text: '',
  name: '',
  blob: Buffer.alloc(0),
  bool: false,
  int16: 0,
  int32: 0,
  uint32: 0,
  int64: 0,
  uint64: 0,
  bigInt64: 0n,
  bigUint64: 0n,
  float64: 0,
  instant: 0,
  second: 0,
  hash64: [0, 0],
  pair64: { low: 0, high: 0 },
  optionalInt: null,
  optionalText: null,
  names: [],
  texts: {},
  shares: {},
  pairs: [],
};

const wordsToText = (words: readonly number[]) =>
  words.reduceRight((sum, word) => sum * 2n ** 32n + BigInt(word), 0n).toString();
const toIso = (ms: number) => new Date(ms).toISOString();

/** The row as ClickHouse shows it in JSON, with every 64-bit integer as text. */
function expectedOf(row: Sample): Record<string, unknown> {
  return {
    ...row,
    blob: row.blob.toString('hex').toUpperCase(),
    int64: String(row.int64),
    uint64: String(row.uint64),
    bigInt64: String(row.bigInt64),
    bigUint64: String(row.bigUint64),
    instant: toIso(row.instant),
    second: toIso(row.second).replace('.000', ''),
    hash64: wordsToText(row.hash64),
    pair64: wordsToText([row.pair64.low, row.pair64.high]),
    optionalInt: row.optionalInt === null ? null : String(row.optionalInt),
    pairs: row.pairs.map(({ label, size }) => ({ label, size: size === null ? null : String(size) })),
  };
}

const target = await createTestDatabase('block');
const database = new Database(target);

beforeAll(async () => {
  const columns = samplesTable.columns.map((entry) => `\`${entry.name}\` ${entry.type}`);
  await target.query(`CREATE TABLE samples (${columns.join(', ')}) ENGINE = MergeTree ORDER BY id`);
});
afterAll(() => database.close());

async function bringThere(rows: readonly Sample[]): Promise<unknown[]> {
  await target.query('TRUNCATE TABLE samples');
  await database.insert(new Block(samplesTable, rows));
  return database.rows(
    'SELECT * REPLACE (hex(blob) AS blob) FROM samples ORDER BY id',
    {},
    { output_format_json_quote_64bit_integers: 1, output_format_json_named_tuples_as_objects: 1 },
  );
}

async function expectRoundTrip(rows: readonly Partial<Sample>[], hint?: string): Promise<void> {
  const whole = rows.map((row, id) => ({ ...plain, ...row, id }));
  const back = await bringThere(whole);
  expect(back.length, hint).toBe(whole.length);
  for (const [index, row] of whole.entries()) {
    expect(back[index], `${hint ?? ''} row ${index}`).toEqual(expectedOf(row));
  }
}

describe('values come back as they were written', () => {
  it('when they are empty', () => expectRoundTrip([plain]));

  it('at the limits of whole numbers', () =>
    expectRoundTrip([
      { int16: -32768, int32: -(2 ** 31), int64: -1, bigInt64: -(2n ** 63n) },
      { int16: 32767, int32: 2 ** 31 - 1, int64: Number.MAX_SAFE_INTEGER, bigInt64: 2n ** 63n - 1n },
      { int64: Number.MIN_SAFE_INTEGER, uint32: 2 ** 32 - 1, uint64: Number.MAX_SAFE_INTEGER },
      ...[2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 48].flatMap((edge) => [{ int64: edge }, { int64: -edge }]),
      { bigUint64: 2n ** 64n - 1n, uint64: 2 ** 32, optionalInt: -(2 ** 40) },
      { hash64: [0xffffffff, 0x80000000], pair64: { low: 0xfffffffe, high: 0xffffffff } },
    ]));

  it('at the limits of floating point', () =>
    expectRoundTrip(
      [0.1, -1.5, 1 / 3, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 53 + 2, 1e-300].map((value) => ({ float64: value })),
    ));

  it('as instants before 1970, now and far ahead', () =>
    expectRoundTrip([
      { instant: Date.UTC(1925, 0, 1), second: 0 },
      { instant: -1 },
      { instant: Date.UTC(2026, 10, 20, 23, 59, 59, 999), second: Date.UTC(2026, 10, 20, 23, 59) },
      { instant: Date.UTC(2262, 3, 11), second: Date.UTC(2106, 1, 7) },
    ]));

  it('as text of every alphabet and every length that changes the encoding', () =>
    expectRoundTrip([
      ...['Ünïcödé', '工作流', '🛠️ deploy 👩‍🚀', 'nul\u0000inside', 'quote\'s "and" \\ tab\t\r\n', '\ufeffbom'].map(
        (value) => ({
          text: value,
          name: value,
          optionalText: value,
          names: [value, '', value],
        }),
      ),
      ...[1, 22, 23, 24, 25, 127, 128, 16_383, 16_384, 70_000, 3_000_000].map((length) => ({
        text: 'x'.repeat(length),
      })),
      // The first letter beyond ASCII may stand at any place of a short text.
      ...Array.from({ length: 24 }, (_, at) => ({ text: `${'a'.repeat(at)}é` })),
      { text: '€'.repeat(50_000), blob: Buffer.alloc(200_000, 0xff) },
    ]));

  it('with half a surrogate pair replaced, as UTF-8 demands', async () => {
    const [row] = await bringThere([{ ...plain, text: 'half \ud83d', name: '\udc00' }]);
    expect(row).toMatchObject({ text: 'half \ufffd', name: '\ufffd' });
  });

  it('as names of which there are few, hundreds and more than two bytes can count', async () => {
    for (const names of [1, 256, 257, 65_537]) {
      const told = Array.from({ length: names + 3 }, (_, id) => (id % 5 === 0 ? '' : `name ${id % names}`));
      await target.query('TRUNCATE TABLE samples');
      await database.insert(
        new Block(
          samplesTable,
          told.map((name, id) => ({ ...plain, id, name })),
        ),
      );
      const [back] = await database.rows<{ names: string[] }>(
        'SELECT groupArray(name) AS names FROM (SELECT name FROM samples ORDER BY id)',
      );
      expect(back?.names, `${names} names`).toEqual(told);
    }
  });

  it('in a block that was used before', async () => {
    const block = new Block(samplesTable, [{ ...plain, name: 'old', names: ['old'], texts: { old: 'old' } }]);
    block.release();
    block.addAll([
      { ...plain, name: 'new' },
      { ...plain, id: 1 },
      { ...plain, id: 2, name: 'new', text: 'late' },
    ]);
    await target.query('TRUNCATE TABLE samples');
    await database.insert(block);
    const back = await database.rows('SELECT id, name, text, names FROM samples ORDER BY id');
    expect(back).toEqual([
      { id: 0, name: 'new', text: '', names: [] },
      { id: 1, name: '', text: '', names: [] },
      { id: 2, name: 'new', text: 'late', names: [] },
    ]);
  });

  it('in lists, maps and tuples', () =>
    expectRoundTrip([
      { names: Array.from({ length: 300 }, (_, index) => `name ${index}`) },
      { texts: { team: 'data', '': 'no key', ключ: 'значение', constructor: 'a name like any other' } },
      { shares: { cpu: 0.25, memory: -1e9 } },
      {
        pairs: [
          { label: 'a', size: -5 },
          { label: '', size: null },
          { label: '工', size: 2 ** 40 },
        ],
      },
    ]));
});

it('columns that hold nothing but defaults stay at home', () => {
  const empty = new Block(samplesTable, [plain, plain]).encode();
  expect(empty.columns).toEqual(['id', 'hash64', 'pair64']);
  const spoken = new Block(samplesTable, [plain, { ...plain, optionalInt: 0, float64: -0, names: [''] }]).encode();
  expect(spoken.columns).toEqual(['id', 'float64', 'hash64', 'pair64', 'optionalInt', 'names']);
});

const alphabet = ['a', 'Z', '0', ' ', "'", '\\', '\n', '\u0000', 'é', 'ß', '工', '€', '🛠', '👩‍🚀', '\u0301'];

function randomText(random: Random): string {
  const letters = random.chance(0.05) ? 5_000 : 40;
  return Array.from({ length: random.below(letters) }, () => random.pick(alphabet)).join('');
}

const randomWord = (random: Random) => Math.floor(random.next() * 2 ** 32);

/** Of any size up to 53 bits, so that small and large numbers are equally likely. */
function randomWhole(random: Random): number {
  const size = Math.floor(random.next() * 2 ** random.below(54));
  return random.chance(0.5) ? size : 0 - size;
}

const randomList = <Item>(random: Random, make: () => Item): Item[] => Array.from({ length: random.below(5) }, make);

function randomSample(random: Random): Sample {
  const whole = () => randomWhole(random);
  const words = () => [0, 0, 0, 0].map(() => randomWord(random));
  const anyText = () => randomText(random);
  return {
    id: 0,
    text: anyText(),
    name: anyText(),
    blob: Buffer.from(Array.from({ length: random.below(300) }, () => random.below(256))),
    bool: random.chance(0.5),
    int16: random.below(65_536) - 32_768,
    int32: randomWord(random) - 2 ** 31,
    uint32: randomWord(random),
    int64: whole(),
    uint64: Math.abs(whole()),
    bigInt64: BigInt.asIntN(64, BigInt(whole()) * BigInt(whole())),
    bigUint64: BigInt.asUintN(64, BigInt(whole()) * BigInt(whole())),
    float64: whole() / 2 ** random.below(1000),
    instant: Math.floor(random.between(Date.UTC(1925, 0), Date.UTC(2262, 0))),
    second: randomWord(random) * 1000,
    hash64: words().slice(0, 2),
    pair64: { low: randomWord(random), high: randomWord(random) },
    optionalInt: random.chance(0.3) ? null : whole(),
    optionalText: random.chance(0.3) ? null : anyText(),
    names: randomList(random, anyText),
    texts: Object.fromEntries(randomList(random, () => [anyText(), anyText()])),
    shares: Object.fromEntries(randomList(random, () => [anyText(), whole() / 1024])),
    pairs: randomList(random, () => ({ label: anyText(), size: random.chance(0.3) ? null : whole() })),
  };
}

describe('random rows', () => {
  it.each([1, 2, 3])('come back as they were written: seed %i', async (seed) => {
    const random = createRandom(seed);
    await expectRoundTrip(
      Array.from({ length: 400 }, () => randomSample(random)),
      `seed ${seed}`,
    );
  });
});
