/**
 * Which things have a history that is no longer in memory: a Bloom filter over their hashes. It never says no wrongly,
 * so a thing it does not know has no stored history and ClickHouse need not be asked; when it says yes wrongly, a
 * question is asked in vain. It grows by adding filters of twice the size, up to a bound, beyond which it only
 * becomes less sharp. One wrong yes among thousands of records is a question for each slice of them, which costs more than all else
 * that is done for it: so it is wrong once in a hundred thousand, which takes four bytes a thing.
 */
const probes = 7;
const bitsPerThing = 32;
const firstThings = 16_384;

interface Filter {
  bits: Uint32Array;
  mask: number;
  things: number;
  capacity: number;
}

function createFilter(capacity: number): Filter {
  const bits = 2 ** Math.ceil(Math.log2(capacity * bitsPerThing));
  return { bits: new Uint32Array(bits / 32), mask: bits - 1, things: 0, capacity };
}

export class ForgottenThings {
  readonly #filters: Filter[] = [createFilter(firstThings)];
  readonly #mostBytes: number;

  constructor(mostBytes = 64 * 1024 * 1024) {
    this.#mostBytes = mostBytes;
  }

  get bytes(): number {
    return this.#filters.reduce((sum, filter) => sum + filter.bits.byteLength, 0);
  }

  mayHold(low: number, high: number): boolean {
    for (let index = this.#filters.length - 1; index >= 0; index--) {
      if (holds(this.#filters[index] as Filter, low, high)) return true;
    }
    return false;
  }

  add(low: number, high: number): void {
    if (this.mayHold(low, high)) return;
    let filter = this.#filters.at(-1) as Filter;
    if (filter.things >= filter.capacity && this.bytes * 3 <= this.#mostBytes) {
      filter = createFilter(filter.capacity * 2);
      this.#filters.push(filter);
    }
    filter.things++;
    const step = high | 1;
    for (let probe = 0, at = low; probe < probes; probe++, at = (at + step) | 0) {
      const bit = at & filter.mask;
      filter.bits[bit >>> 5] = (filter.bits[bit >>> 5] as number) | (1 << (bit & 31));
    }
  }
}

function holds(filter: Filter, low: number, high: number): boolean {
  const step = high | 1;
  for (let probe = 0, at = low; probe < probes; probe++, at = (at + step) | 0) {
    const bit = at & filter.mask;
    if (((filter.bits[bit >>> 5] as number) & (1 << (bit & 31))) === 0) return false;
  }
  return true;
}
