/**
 * RowBinary, the row format that costs ClickHouse least at the batch sizes we insert. A table's file lists its
 * columns once, each with a name, a ClickHouse type and how to take its value from a row; the same list
 * gives the INSERT's column names, the encoder, and what the schema test compares with the migrations.
 */

const segmentBytes = 256 * 1024;
const mostSpareSegments = 256;
const spareSegments: Buffer[] = [];

/**
 * Bytes with the primitive writes of RowBinary (little endian, LEB128 lengths). They grow by segments, which are used
 * again after `release`: doubling one large buffer would copy it and keep both halves of memory busy.
 */
export class ByteWriter {
  readonly #full: Buffer[] = [];
  #fullBytes = 0;
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#fullBytes + this.#length;
  }

  /** The bytes written so far, in order; valid until the next write or release. */
  segments(): Buffer[] {
    return this.#length === 0 ? [...this.#full] : [...this.#full, this.#buffer.subarray(0, this.#length)];
  }

  /** Gives the memory back; what was written is gone. */
  release(): void {
    for (const segment of [...this.#full, this.#buffer]) {
      const whole = segment.buffer.byteLength === segmentBytes && spareSegments.length < mostSpareSegments;
      if (whole) spareSegments.push(Buffer.from(segment.buffer));
    }
    this.#full.length = 0;
    this.#fullBytes = 0;
    this.#buffer = Buffer.alloc(0);
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes > this.#buffer.length) this.#grow(bytes);
  }

  #grow(bytes: number): void {
    if (this.#length > 0) {
      this.#full.push(this.#buffer.subarray(0, this.#length));
      this.#fullBytes += this.#length;
    }
    const spare = bytes <= segmentBytes ? spareSegments.pop() : undefined;
    this.#buffer = spare ?? Buffer.allocUnsafeSlow(Math.max(segmentBytes, bytes));
    this.#length = 0;
  }

  uint8(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  uint16(value: number): void {
    this.#reserve(2);
    this.#length = this.#buffer.writeUInt16LE(value & 0xffff, this.#length);
  }

  uint32(value: number): void {
    this.#reserve(4);
    const buffer = this.#buffer;
    const at = this.#length;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
    this.#length = at + 4;
  }

  /** A whole number of up to 53 bits, signed or not, as eight bytes of two's complement. */
  int64(value: number): void {
    const high = Math.floor(value / 4294967296);
    this.uint32(value - high * 4294967296);
    this.uint32(high);
  }

  bigint64(value: bigint): void {
    this.#reserve(8);
    this.#length = this.#buffer.writeBigInt64LE(BigInt.asIntN(64, value), this.#length);
  }

  float64(value: number): void {
    this.#reserve(8);
    this.#length = this.#buffer.writeDoubleLE(value, this.#length);
  }

  varint(value: number): void {
    this.#reserve(5);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  string(value: string): void {
    const { length } = value;
    // Short ASCII text is copied by hand: below this size the call into the runtime costs more than the loop.
    if (length < 24) {
      this.#reserve(length + 1);
      const buffer = this.#buffer;
      let at = this.#length + 1;
      let index = 0;
      for (; index < length; index++) {
        const code = value.charCodeAt(index);
        if (code > 0x7f) break;
        buffer[at++] = code;
      }
      if (index === length) {
        buffer[this.#length] = length;
        this.#length = at;
        return;
      }
    }
    const bytes = Buffer.byteLength(value, 'utf8');
    this.varint(bytes);
    this.#reserve(bytes);
    this.#length += this.#buffer.write(value, this.#length, bytes, 'utf8');
  }

  blob(value: Buffer): void {
    this.varint(value.length);
    this.#reserve(value.length);
    value.copy(this.#buffer, this.#length);
    this.#length += value.length;
  }
}

/** How values of one ClickHouse type are written. */
export interface Codec<Value> {
  type: string;
  write(out: ByteWriter, value: Value): void;
}

export const text: Codec<string> = { type: 'String', write: (out, value) => out.string(value) };
export const name: Codec<string> = { type: 'LowCardinality(String)', write: (out, value) => out.string(value) };
export const blob: Codec<Buffer> = { type: 'String', write: (out, value) => out.blob(value) };
export const bool: Codec<boolean> = { type: 'Bool', write: (out, value) => out.uint8(value ? 1 : 0) };
export const int16: Codec<number> = { type: 'Int16', write: (out, value) => out.uint16(value) };
export const int32: Codec<number> = { type: 'Int32', write: (out, value) => out.uint32(value) };
export const uint32: Codec<number> = { type: 'UInt32', write: (out, value) => out.uint32(value) };
export const int64: Codec<number> = { type: 'Int64', write: (out, value) => out.int64(value) };
export const uint64: Codec<number> = { type: 'UInt64', write: (out, value) => out.int64(value) };
export const bigInt64: Codec<bigint> = { type: 'Int64', write: (out, value) => out.bigint64(value) };
export const bigUint64: Codec<bigint> = { type: 'UInt64', write: (out, value) => out.bigint64(value) };
export const float64: Codec<number> = { type: 'Float64', write: (out, value) => out.float64(value) };
/** Millionths of a unit: exact sums of numbers with decimal places, and far from overflowing. */
export const millionths: Codec<bigint> = {
  type: 'Decimal(38, 6)',
  write(out, value) {
    out.bigint64(value);
    out.bigint64(value >> 64n);
  },
};
/** Epoch milliseconds. */
export const instant: Codec<number> = { type: "DateTime64(3, 'UTC')", write: (out, value) => out.int64(value) };
/** Epoch milliseconds of a whole second. */
export const second: Codec<number> = { type: "DateTime('UTC')", write: (out, value) => out.uint32(value / 1000) };
/** A hash as 32-bit words, least significant first. */
export const hash64: Codec<ArrayLike<number>> = {
  type: 'UInt64',
  write(out, words) {
    out.uint32(words[0] as number);
    out.uint32(words[1] as number);
  },
};
/** The same from two named words. */
export const wordPair: Codec<{ low: number; high: number }> = {
  type: 'UInt64',
  write(out, { low, high }) {
    out.uint32(low);
    out.uint32(high);
  },
};
export const hash128: Codec<ArrayLike<number>> = {
  type: 'UInt128',
  write(out, words) {
    for (let index = 0; index < 4; index++) out.uint32(words[index] as number);
  },
};

export function nullable<Value>(codec: Codec<Value>): Codec<Value | null> {
  return {
    type: `Nullable(${codec.type})`,
    write(out, value) {
      if (value === null) {
        out.uint8(1);
        return;
      }
      out.uint8(0);
      codec.write(out, value);
    },
  };
}

export function array<Value>(codec: Codec<Value>): Codec<readonly Value[]> {
  return {
    type: `Array(${codec.type})`,
    write(out, values) {
      out.varint(values.length);
      for (const value of values) codec.write(out, value);
    },
  };
}

export function map<Value>(key: Codec<string>, codec: Codec<Value>): Codec<Readonly<Record<string, Value>>> {
  return {
    type: `Map(${key.type}, ${codec.type})`,
    write(out, values) {
      const keys = Object.keys(values);
      out.varint(keys.length);
      for (const entry of keys) {
        key.write(out, entry);
        codec.write(out, values[entry] as Value);
      }
    },
  };
}

export interface Column<Row> {
  name: string;
  type: string;
  write(out: ByteWriter, row: Row): void;
}

/** A column of a table: its name, its codec, and where its value comes from. */
export function column<Row, Value>(columnName: string, codec: Codec<Value>, value: (row: Row) => Value): Column<Row> {
  return { name: columnName, type: codec.type, write: (out, row) => codec.write(out, value(row)) };
}

/** `column` for one kind of row, where the compiler cannot infer it from the place of use. */
export function columnsOf<Row>() {
  return <Value>(columnName: string, codec: Codec<Value>, value: (row: Row) => Value): Column<Row> =>
    column(columnName, codec, value);
}

export function tuple<Row>(fields: readonly Column<Row>[]): Codec<Row> {
  return {
    type: `Tuple(${fields.map((field) => `${field.name} ${field.type}`).join(', ')})`,
    write(out, value) {
      for (const field of fields) field.write(out, value);
    },
  };
}

export interface Table<Row> {
  name: string;
  columns: readonly Column<Row>[];
}

export function writeRow<Row>(out: ByteWriter, table: Table<Row>, row: Row): void {
  for (const field of table.columns) field.write(out, row);
}
