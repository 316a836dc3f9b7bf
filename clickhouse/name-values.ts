import { ByteWriter } from './byte-writer.ts';
import type { Values } from './columns.ts';

/** The version of how dictionaries are written: shared by all rows, and here with nothing but keys of their own. */
const keysVersion = 1;
/** Keys come with the rows, and what the server knew before is of no use. */
const hasAdditionalKeys = 0x200;
const needsUpdate = 0x400;
/** The width of an index as a power of two of bytes; a fourth one is never needed. */
type Width = 0 | 1 | 2;
const mostKeysOf: Readonly<Record<Width, number>> = [2 ** 8, 2 ** 16, 2 ** 32];

/**
 * Text that repeats, as the server itself keeps it: every text once, and for each row which of them it has. Nothing but
 * indexes then has to be written here and taken apart there.
 */
export class NameValues implements Values<string> {
  readonly #keys = new ByteWriter();
  readonly #indexByText = new Map<string, number>();
  #indexes = new ByteWriter();
  #width: Width = 0;
  #count = 0;
  /** Nearly every row has the text of the one before. */
  #lastText: string | null = null;
  #lastIndex = 0;

  add(text: string): void {
    if (text !== this.#lastText) {
      this.#lastIndex = this.#indexByText.get(text) ?? this.#addKey(text);
      this.#lastText = text;
    }
    this.#count++;
    this.#write(this.#lastIndex);
  }

  #write(index: number): void {
    if (this.#width === 0) this.#indexes.uint8(index);
    else if (this.#width === 1) this.#indexes.uint16(index);
    else this.#indexes.uint32(index);
  }

  #addKey(text: string): number {
    const index = this.#indexByText.size;
    if (index === mostKeysOf[this.#width]) this.#widen();
    this.#indexByText.set(text, index);
    this.#keys.string(text);
    return index;
  }

  #widen(): void {
    const narrow = this.#indexes;
    const wasBytes = this.#width === 0;
    this.#indexes = new ByteWriter();
    this.#width = wasBytes ? 1 : 2;
    for (const segment of narrow.segments()) {
      if (wasBytes) for (const index of segment) this.#write(index);
      else for (let at = 0; at < segment.length; at += 2) this.#write(segment.readUInt16LE(at));
    }
    narrow.release();
  }

  addDefaults(count: number): void {
    for (let left = count; left > 0; left--) this.add('');
  }

  get bytes(): number {
    return this.#keys.length + this.#indexes.length;
  }

  collect(parts: Buffer[]): void {
    if (this.#count === 0) return;
    parts.push(numbers(keysVersion, hasAdditionalKeys + needsUpdate + this.#width, this.#indexByText.size));
    parts.push(...this.#keys.segments(), numbers(this.#count), ...this.#indexes.segments());
  }

  release(): void {
    this.#keys.release();
    this.#indexes.release();
    this.#indexByText.clear();
    this.#width = 0;
    this.#count = 0;
    this.#lastText = null;
  }
}

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 8);
  return bytes;
}
