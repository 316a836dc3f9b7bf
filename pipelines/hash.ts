/**
 * A fast 128-bit hash of text (the mixing of MurmurHash3, over UTF-16 code units). It spreads well and is cheap; it
 * is not made to withstand somebody who wants collisions, and nothing here depends on their absence: decisions
 * compare the keys themselves.
 */
export function hashText(key: string, out: Uint32Array): void {
  let a = 0x239b961b;
  let b = 0xab0e9789;
  let c = 0x38b34ae5;
  let d = 0xa1e38b93;
  for (let index = 0; index < key.length; index++) {
    const unit = key.charCodeAt(index);
    a = b ^ Math.imul(a ^ unit, 597399067);
    b = c ^ Math.imul(b ^ unit, 2869860233);
    c = d ^ Math.imul(c ^ unit, 951274213);
    d = a ^ Math.imul(d ^ unit, 2716044179);
  }
  finish(out, a, b, c, d);
}

/** Continues a hash with numbers: the identity of a record is its thing plus what happened to it when. */
export function hashNumbers(seed: Uint32Array, numbers: readonly number[], out: Uint32Array): void {
  let a = seed[0] as number;
  let b = seed[1] as number;
  let c = seed[2] as number;
  let d = seed[3] as number;
  for (const number of numbers) {
    const low = number | 0;
    const high = Math.floor(number / 4294967296) | 0;
    a = b ^ Math.imul(a ^ low, 597399067);
    b = c ^ Math.imul(b ^ high, 2869860233);
    c = d ^ Math.imul(c ^ low, 951274213);
    d = a ^ Math.imul(d ^ high, 2716044179);
  }
  finish(out, a, b, c, d);
}

function avalanche(word: number): number {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function finish(out: Uint32Array, a: number, b: number, c: number, d: number): void {
  const e = avalanche(a ^ (c >>> 18) ^ Math.imul(d, 5));
  const f = avalanche(b ^ (d >>> 22) ^ Math.imul(e, 5));
  const g = avalanche(c ^ (e >>> 17) ^ Math.imul(f, 5));
  const h = avalanche(d ^ (f >>> 19) ^ Math.imul(g, 5));
  out[0] = e;
  out[1] = f;
  out[2] = g;
  out[3] = h;
}

/** 64 bits over a record as the broker stores it: tells whether the record at an offset is still the same. */
export function hashRecord(record: { timestampMs: number; key: Buffer | null; value: Buffer | null }): Uint32Array {
  const words = new Uint32Array(4);
  hashNumbers(words, [record.timestampMs, record.key?.length ?? -1, record.value?.length ?? -1], words);
  for (const part of [record.key, record.value]) {
    if (part === null) continue;
    let a = words[0] as number;
    let b = words[1] as number;
    for (const byte of part) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b + byte + (a >>> 24), 0x9e3779b1);
    }
    words[0] = a;
    words[1] = b;
  }
  return Uint32Array.of(avalanche(words[0] as number), avalanche(words[1] as number));
}
