/**
 * Fast hashes (the mixing of MurmurHash3, over UTF-16 code units). They spread well and are cheap; they are not made to
 * withstand somebody who wants collisions, and nothing here depends on their absence: decisions compare the keys
 * themselves. Words are signed 32-bit integers, which the runtime keeps without a box.
 */
export interface Hash64 {
  low: number;
  high: number;
}

/** The state that units are mixed into: one hash is computed at a time. */
let a = 0;
let b = 0;

function beginHash(): void {
  a = 0x239b961b;
  b = 0xab0e9789 | 0;
}

function mixText(text: string): void {
  let one = a;
  let other = b;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    one = other ^ Math.imul(one ^ unit, 597399067);
    other = one ^ Math.imul(other ^ unit, 2869860233);
  }
  a = one;
  b = other;
}

/** What stands between the parts of a name is a unit of 0. */
function mixSeparator(): void {
  a = b ^ Math.imul(a, 597399067);
  b = a ^ Math.imul(b, 2869860233);
}

function endHash(out: Hash64): void {
  out.low = avalanche(a ^ (b >>> 18));
  out.high = avalanche(b ^ Math.imul(out.low, 5));
}

/** Hashes a text. The result is written into `out`, because this runs once a record. */
export function hashText(text: string, out: Hash64): void {
  beginHash();
  mixText(text);
  endHash(out);
}

/** The same of several texts as if they were joined by NUL; the last two are left out where the fourth is null. */
export function hashTexts(
  first: string,
  second: string,
  third: string,
  fourth: string | null,
  fifth: string,
  out: Hash64,
): void {
  beginHash();
  mixText(first);
  mixSeparator();
  mixText(second);
  mixSeparator();
  mixText(third);
  if (fourth !== null) {
    mixSeparator();
    mixText(fourth);
    mixSeparator();
    mixText(fifth);
  }
  endHash(out);
}

function avalanche(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** 64 bits over a record as the broker stores it: tells whether the record at an offset is still the same. */
export function hashRecord(record: { timestampMs: number; key: Buffer | null; value: Buffer | null }): Int32Array {
  let a = avalanche((record.timestampMs | 0) ^ ((record.key?.length ?? -1) << 16));
  let b = avalanche((Math.floor(record.timestampMs / 4294967296) | 0) ^ (record.value?.length ?? -1));
  for (const part of [record.key, record.value]) {
    if (part === null) continue;
    for (const byte of part) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b + byte + (a >>> 24), 0x9e3779b1);
    }
  }
  return Int32Array.of(avalanche(a), avalanche(b));
}
