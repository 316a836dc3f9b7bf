import { ByteWriter } from './byte-writer.ts';
import { NameValues } from './name-values.ts';

/**
 * Rows on their way into ClickHouse, kept column by column as its Native format wants them: the server takes such a
 * column over nearly as it is, where it would have to pick every row apart. A table's file lists its columns once, each
 * with a name, a codec and how to take its value from a row; the same list gives the INSERT's column names, the
 * encoder, and what the schema test compares with the migrations.
 */

/** Values of one column that wait to be sent. */
export interface Values<Value> {
  add(value: Value): void;
  /** The value that the server fills in by itself where a column is left out, `count` times. */
  addDefaults(count: number): void;
  readonly bytes: number;
  /** Appends the bytes in their order; valid until the next change. */
  collect(parts: Buffer[]): void;
  /** Gives the memory back; the values are gone. */
  release(): void;
}

export interface Codec<Value> {
  /** As the table declares it. */
  type: string;
  /** As it travels. */
  sentAs: string;
  isDefault(value: Value): boolean;
  open(): Values<Value>;
  /** How it travels inside lists, maps and tuples, where that differs. */
  inner?: Codec<Value>;
}

const innerOf = <Value>(codec: Codec<Value>): Codec<Value> => codec.inner ?? codec;

type Write<Value> = (out: ByteWriter, value: Value) => void;

class ScalarValues<Value> implements Values<Value> {
  readonly #out = new ByteWriter();
  readonly #write: Write<Value>;
  readonly #fallback: Value;

  constructor(write: Write<Value>, fallback: Value) {
    this.#write = write;
    this.#fallback = fallback;
  }

  add(value: Value): void {
    this.#write(this.#out, value);
  }

  addDefaults(count: number): void {
    for (let left = count; left > 0; left--) this.#write(this.#out, this.#fallback);
  }

  get bytes(): number {
    return this.#out.length;
  }

  collect(parts: Buffer[]): void {
    parts.push(...this.#out.segments());
  }

  release(): void {
    this.#out.release();
  }
}

interface Scalar<Value> {
  type: string;
  sentAs?: string;
  fallback: Value;
  isDefault?: (value: Value) => boolean;
  write: Write<Value>;
}

function scalar<Value>({ type, sentAs = type, fallback, isDefault, write }: Scalar<Value>): Codec<Value> {
  return {
    type,
    sentAs,
    isDefault: isDefault ?? ((value) => value === fallback),
    open: () => new ScalarValues(write, fallback),
  };
}

const whole = (type: string, write: Write<number>): Codec<number> => scalar({ type, fallback: 0, write });
/** Whole numbers of any size: plain ones as long as they are exact as such, which costs a tenth. */
export type Whole = number | bigint;
const isZero = (value: Whole): boolean => value === 0 || value === 0n;
const writeWhole: Write<Whole> = (out, value) => (typeof value === 'number' ? out.int64(value) : out.bigint64(value));
const big = (type: string): Codec<Whole> => scalar({ type, fallback: 0, isDefault: isZero, write: writeWhole });

const writeText: Write<string> = (out, value) => out.string(value);

export const text: Codec<string> = scalar({ type: 'String', fallback: '', write: writeText });
/** Text that repeats. A dictionary within a list would have to be announced before the list: there it is plain text. */
export const name: Codec<string> = {
  type: 'LowCardinality(String)',
  sentAs: 'LowCardinality(String)',
  isDefault: (value) => value === '',
  open: () => new NameValues(),
  inner: scalar({ type: 'LowCardinality(String)', sentAs: 'String', fallback: '', write: writeText }),
};
export const blob: Codec<Buffer> = scalar({
  type: 'String',
  fallback: Buffer.alloc(0),
  isDefault: (value) => value.length === 0,
  write: (out, value) => out.blob(value),
});
export const bool: Codec<boolean> = scalar({
  type: 'Bool',
  fallback: false,
  write: (out, value) => out.uint8(value ? 1 : 0),
});
export const int16 = whole('Int16', (out, value) => out.uint16(value));
export const int32 = whole('Int32', (out, value) => out.uint32(value));
export const uint32 = whole('UInt32', (out, value) => out.uint32(value));
export const int64 = whole('Int64', (out, value) => out.int64(value));
export const uint64 = whole('UInt64', (out, value) => out.int64(value));
export const bigInt64 = big('Int64');
export const bigUint64 = big('UInt64');
export const float64: Codec<number> = scalar({
  type: 'Float64',
  fallback: 0,
  // Minus zero is a value of its own.
  isDefault: (value) => Object.is(value, 0),
  write: (out, value) => out.float64(value),
});
/** Millionths of a unit: exact sums of numbers with decimal places, and far from overflowing. */
export const millionths: Codec<Whole> = scalar({
  type: 'Decimal(38, 6)',
  fallback: 0,
  isDefault: isZero,
  write(out, value) {
    writeWhole(out, value);
    if (typeof value === 'number') out.int64(value < 0 ? -1 : 0);
    else out.bigint64(value >> 64n);
  },
});
/** Epoch milliseconds. */
export const instant = whole("DateTime64(3, 'UTC')", (out, value) => out.int64(value));
/** Epoch milliseconds of a whole second. */
export const second = whole("DateTime('UTC')", (out, value) => out.uint32(value / 1000));
/** A hash as 32-bit words, least significant first. */
export const hash64: Codec<ArrayLike<number>> = scalar({
  type: 'UInt64',
  fallback: [0, 0],
  isDefault: () => false,
  write(out, words) {
    out.uint32(words[0] as number);
    out.uint32(words[1] as number);
  },
});
/** The same from two named words. */
export const wordPair: Codec<{ low: number; high: number }> = scalar({
  type: 'UInt64',
  fallback: { low: 0, high: 0 },
  isDefault: () => false,
  write(out, { low, high }) {
    out.uint32(low);
    out.uint32(high);
  },
});

class NullableValues<Value> implements Values<Value | null> {
  readonly #nulls = new ByteWriter();
  readonly #values: Values<Value>;

  constructor(values: Values<Value>) {
    this.#values = values;
  }

  add(value: Value | null): void {
    if (value === null) {
      this.addDefaults(1);
      return;
    }
    this.#nulls.uint8(0);
    this.#values.add(value);
  }

  addDefaults(count: number): void {
    for (let left = count; left > 0; left--) this.#nulls.uint8(1);
    this.#values.addDefaults(count);
  }

  get bytes(): number {
    return this.#nulls.length + this.#values.bytes;
  }

  collect(parts: Buffer[]): void {
    parts.push(...this.#nulls.segments());
    this.#values.collect(parts);
  }

  release(): void {
    this.#nulls.release();
    this.#values.release();
  }
}

export function nullable<Value>(outer: Codec<Value>): Codec<Value | null> {
  const codec = innerOf(outer);
  return {
    type: `Nullable(${codec.type})`,
    sentAs: `Nullable(${codec.sentAs})`,
    isDefault: (value) => value === null,
    open: () => new NullableValues(codec.open()),
  };
}

/** Lists of any kind: where each ends, and the items of all of them one after another. */
class ListValues<List, Item> implements Values<List> {
  readonly #ends = new ByteWriter();
  readonly #items: Values<Item>;
  readonly #itemsOf: (list: List) => Iterable<Item>;
  #count = 0;

  constructor(items: Values<Item>, itemsOf: (list: List) => Iterable<Item>) {
    this.#items = items;
    this.#itemsOf = itemsOf;
  }

  add(list: List): void {
    for (const item of this.#itemsOf(list)) {
      this.#items.add(item);
      this.#count++;
    }
    this.#ends.int64(this.#count);
  }

  addDefaults(count: number): void {
    for (let left = count; left > 0; left--) this.#ends.int64(this.#count);
  }

  get bytes(): number {
    return this.#ends.length + this.#items.bytes;
  }

  collect(parts: Buffer[]): void {
    parts.push(...this.#ends.segments());
    this.#items.collect(parts);
  }

  release(): void {
    this.#ends.release();
    this.#items.release();
    this.#count = 0;
  }
}

export function array<Value>(outer: Codec<Value>): Codec<readonly Value[]> {
  const codec = innerOf(outer);
  return {
    type: `Array(${codec.type})`,
    sentAs: `Array(${codec.sentAs})`,
    isDefault: (values) => values.length === 0,
    open: () => new ListValues<readonly Value[], Value>(codec.open(), (values) => values),
  };
}

class TupleValues<Row> implements Values<Row> {
  readonly #fields: readonly { values: Values<unknown>; value: (row: Row) => unknown }[];

  constructor(columns: readonly Column<Row>[]) {
    this.#fields = columns.map(({ codec, value }) => ({ values: innerOf(codec).open(), value }));
  }

  add(row: Row): void {
    for (const { values, value } of this.#fields) values.add(value(row));
  }

  addDefaults(count: number): void {
    for (const { values } of this.#fields) values.addDefaults(count);
  }

  get bytes(): number {
    return this.#fields.reduce((sum, { values }) => sum + values.bytes, 0);
  }

  collect(parts: Buffer[]): void {
    for (const { values } of this.#fields) values.collect(parts);
  }

  release(): void {
    for (const { values } of this.#fields) values.release();
  }
}

export function tuple<Row>(fields: readonly Column<Row>[]): Codec<Row> {
  const typeOf = (type: (field: Column<Row>) => string) =>
    `Tuple(${fields.map((field) => `${field.name} ${type(field)}`).join(', ')})`;
  return {
    type: typeOf(({ codec }) => codec.type),
    sentAs: typeOf(({ codec }) => innerOf(codec).sentAs),
    isDefault: (row) => fields.every(({ codec, value }) => codec.isDefault(value(row))),
    open: () => new TupleValues(fields),
  };
}

/** A map of anything that can be walked by its entries. */
export function entries<Key, Value>(
  key: Codec<Key>,
  value: Codec<Value>,
): Codec<Iterable<readonly [Key, Value]> & { readonly size: number }> {
  const ofEntry = columnsOf<readonly [Key, Value]>();
  const pair = tuple([ofEntry('key', key, (entry) => entry[0]), ofEntry('value', value, (entry) => entry[1])]);
  return {
    type: `Map(${key.type}, ${value.type})`,
    sentAs: `Map(${innerOf(key).sentAs}, ${innerOf(value).sentAs})`,
    isDefault: ({ size }) => size === 0,
    open: () => new ListValues(pair.open(), (walked: Iterable<readonly [Key, Value]>) => walked),
  };
}

export function map<Value>(key: Codec<string>, codec: Codec<Value>): Codec<Readonly<Record<string, Value>>> {
  const ofEntry = columnsOf<readonly [string, Value]>();
  const pair = tuple([ofEntry('key', key, (entry) => entry[0]), ofEntry('value', codec, (entry) => entry[1])]);
  return {
    type: `Map(${key.type}, ${codec.type})`,
    sentAs: `Map(${innerOf(key).sentAs}, ${innerOf(codec).sentAs})`,
    isDefault(values) {
      for (const _ in values) return false;
      return true;
    },
    open: () => new ListValues(pair.open(), (values: Readonly<Record<string, Value>>) => Object.entries(values)),
  };
}

export interface Column<Row> {
  name: string;
  type: string;
  codec: Codec<unknown>;
  value(row: Row): unknown;
}

/** A column of a table: its name, its codec, and where its value comes from. */
export function column<Row, Value>(columnName: string, codec: Codec<Value>, value: (row: Row) => Value): Column<Row> {
  return { name: columnName, type: codec.type, codec: codec as Codec<unknown>, value };
}

/** `column` for one kind of row, where the compiler cannot infer it from the place of use. */
export function columnsOf<Row>() {
  return <Value>(columnName: string, codec: Codec<Value>, value: (row: Row) => Value): Column<Row> =>
    column(columnName, codec, value);
}

export interface Table<Row> {
  name: string;
  columns: readonly Column<Row>[];
}
