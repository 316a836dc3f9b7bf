/** Of the size of a busy column's share of a flush; there are a hundred columns, and most of them are nearly empty. */
const segmentBytes = 32 * 1024;
const mostSpareSegments = 1024;
const spareSegments: Buffer[] = [];

/**
 * Bytes with the primitive writes of ClickHouse's formats (little endian, LEB128 lengths). They grow by segments, which
 * are used again after `release`: doubling one large buffer would copy it and keep both halves of memory busy.
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
