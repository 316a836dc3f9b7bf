import { isUtf8 } from 'node:buffer';
import avro from 'avsc';

/**
 * What we change about how avsc reads. It trusts what it reads: a count of 2^40 in ten bytes of noise would
 * build that array before the record is found truncated, a negative length moves the reader backwards,
 * possibly for ever, and invalid UTF-8 becomes U+FFFD unsaid. Here counts and lengths are held to the bytes
 * that are left (every item takes at least one byte, so more can only be noise), and text must be UTF-8.
 *
 * Short text is also looked up before it is made: nearly all text of telemetry (workspaces, workflows,
 * states, hosts) repeats from record to record, and making a string costs more than comparing its bytes.
 */

export class AvroProblem extends Error {
  readonly reason: 'truncated' | 'invalid_utf8' | 'malformed_avro';
  constructor(reason: 'truncated' | 'invalid_utf8' | 'malformed_avro', message: string) {
    super(message);
    this.reason = reason;
  }
}

type TextBuffer = Buffer & {
  utf8Slice(start: number, end: number): string;
  latin1Slice(start: number, end: number): string;
};

/** The parts of the library's cursor that are used here; it is not part of its declared types. */
interface Tap {
  buf: TextBuffer;
  pos: number;
  readLong(): number;
}

/** A cursor for readers of ours, which types of the library can read from too as long as they need no more than this. */
export class AvroTap implements Tap {
  buf = Buffer.alloc(0) as unknown as TextBuffer;
  pos = 0;

  readLong(): number {
    const bytes = this.buf;
    let byte = bytes[this.pos++] as number;
    let coded = byte & 0x7f;
    for (let shift = 7; byte > 0x7f && shift < 28; shift += 7) {
      byte = bytes[this.pos++] as number;
      coded |= (byte & 0x7f) << shift;
    }
    if (!(byte > 0x7f)) return (coded >>> 1) ^ -(coded & 1);
    // Beyond 28 bits by arithmetic.
    for (let factor = 2 ** 28; byte > 0x7f; factor *= 128) {
      byte = bytes[this.pos++] as number;
      coded += (byte & 0x7f) * factor;
    }
    return (coded % 2 === 0 ? coded : -(coded + 1)) / 2;
  }

  readBoolean(): boolean {
    return this.buf[this.pos++] !== 0;
  }

  readDouble(): number {
    this.pos += 8;
    // What lies beyond the end is found out once the whole record is read.
    return this.pos > this.buf.length ? 0 : this.buf.readDoubleLE(this.pos - 8);
  }
}
interface Codec {
  _read(tap: Tap): unknown;
  _skip(tap: Tap): void;
}
interface Container extends Codec {
  itemsType: Codec;
  valuesType: Codec;
  types: Codec[];
}

const slotCount = 8192;
const slotBytes = 40;
const knownTexts: (string | undefined)[] = new Array(slotCount).fill(undefined);
const knownBytes = new Uint8Array(slotCount * slotBytes);

export function readText(tap: Tap): string {
  const buffer = tap.buf;
  const length = tap.readLong();
  const start = tap.pos;
  const end = start + length;
  if (!(length >= 0 && end <= buffer.length)) throw new AvroProblem('truncated', 'text reaches beyond the end');
  tap.pos = end;
  if (length > slotBytes) return makeText(buffer, start, end);
  let hash = length;
  let bits = 0;
  for (let at = start; at < end; at++) {
    const byte = buffer[at];
    bits |= byte;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  if (bits > 127) return makeText(buffer, start, end);
  const slot = (hash ^ (hash >>> 15)) & (slotCount - 1);
  const known = knownTexts[slot];
  const base = slot * slotBytes;
  if (known !== undefined && known.length === length) {
    let at = 0;
    while (at < length && knownBytes[base + at] === buffer[start + at]) at++;
    if (at === length) return known;
  }
  const text = buffer.latin1Slice(start, end);
  knownTexts[slot] = text;
  for (let at = 0; at < length; at++) knownBytes[base + at] = buffer[start + at];
  return text;
}

function makeText(buffer: Tap['buf'], start: number, end: number): string {
  const text = buffer.utf8Slice(start, end);
  // The replacement character is either what was sent or the mark of bytes that are no UTF-8.
  if (text.includes('\ufffd') && !isUtf8(buffer.subarray(start, end))) {
    throw new AvroProblem('invalid_utf8', 'text is not UTF-8');
  }
  return text;
}

function readCount(tap: Tap): number {
  let count = tap.readLong();
  if (count < 0) {
    count = -count;
    tap.readLong();
  }
  if (!(count <= tap.buf.length - tap.pos)) {
    throw new AvroProblem('truncated', 'more items are announced than bytes are left');
  }
  return count;
}

function skipBytes(tap: Tap): void {
  const length = tap.readLong();
  if (!(length >= 0 && length <= tap.buf.length - tap.pos)) {
    throw new AvroProblem('truncated', 'a length reaches beyond the end');
  }
  tap.pos += length;
}

const { ArrayType, MapType, StringType, BytesType, NullType, UnwrappedUnionType } = avro.types as unknown as Record<
  string,
  { prototype: Container }
>;

ArrayType.prototype._read = function (this: Container, tap: Tap): unknown[] {
  const items = this.itemsType;
  const values: unknown[] = [];
  for (let count = readCount(tap); count > 0; count = readCount(tap)) {
    while (count-- > 0) values.push(items._read(tap));
  }
  return values;
};
ArrayType.prototype._skip = function (this: Container, tap: Tap): void {
  for (let count = readCount(tap); count > 0; count = readCount(tap)) {
    while (count-- > 0) this.itemsType._skip(tap);
  }
};
MapType.prototype._read = function (this: Container, tap: Tap): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (let count = readCount(tap); count > 0; count = readCount(tap)) {
    while (count-- > 0) {
      const key = readText(tap);
      values[key] = this.valuesType._read(tap);
    }
  }
  return values;
};
MapType.prototype._skip = function (this: Container, tap: Tap): void {
  for (let count = readCount(tap); count > 0; count = readCount(tap)) {
    while (count-- > 0) {
      skipBytes(tap);
      this.valuesType._skip(tap);
    }
  }
};
StringType.prototype._read = readText;
StringType.prototype._skip = skipBytes;
BytesType.prototype._skip = skipBytes;

const readNull = NullType.prototype._read;

/** Most fields are optional and most of those are absent, so the branch null of a union is taken first. */
UnwrappedUnionType.prototype._read = function (this: Container, tap: Tap): unknown {
  const types = this.types;
  if (tap.buf[tap.pos] === 0 && types[0]._read === readNull) {
    tap.pos++;
    return null;
  }
  const branch = types[tap.readLong()];
  if (branch === undefined) throw new AvroProblem('malformed_avro', 'a union has no such branch');
  return branch._read(tap);
};

/** Parses a schema into a type whose reader is bounded and strict. All types of ours are made here. */
export function parseAvroType(schema: unknown): avro.Type {
  return avro.Type.forSchema(schema as avro.Schema, { wrapUnions: 'auto' } as unknown as avro.ForSchemaOptions);
}
