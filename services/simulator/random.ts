/**
 * A seeded source of chance: xoshiro128** (Blackman and Vigna), seeded through splitmix32 so that neighbouring seeds
 * give unrelated sequences. The same seed gives the same numbers on every machine.
 */
export interface Random {
  /** A number from 0 up to but not including 1. */
  next(): number;
  /** A whole number from 0 up to but not including `bound`. */
  below(bound: number): number;
  /** True with the given probability. */
  chance(probability: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
  between(least: number, most: number): number;
  /** Mean `mean`, for the gaps between independent events. */
  exponential(mean: number): number;
  /** Half of the values lie below `median`; sigma is the spread of the logarithm. */
  logNormal(median: number, sigma: number): number;
}

export function createRandom(seed: number): Random {
  const [first, second, third, fourth] = seedWords(seed);
  let a = first;
  let b = second;
  let c = third;
  let d = fourth;
  const nextWord = (): number => {
    const scrambled = Math.imul(rotate(Math.imul(b, 5), 7), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return scrambled >>> 0;
  };
  const next = () => nextWord() / 4294967296;
  const below = (bound: number) => Math.floor(next() * bound);
  return {
    next,
    below,
    chance: (probability) => probability > 0 && next() < probability,
    pick: (items) => items[below(items.length)],
    between: (least, most) => least + next() * (most - least),
    exponential: (mean) => -Math.log(1 - next()) * mean,
    logNormal: (median, sigma) => median * Math.exp(sigma * normal(next)),
  };
}

const rotate = (word: number, bits: number): number => (word << bits) | (word >>> (32 - bits));

function seedWords(seed: number): [number, number, number, number] {
  let state = seed >>> 0;
  const word = () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return mixed ^ (mixed >>> 15);
  };
  return [word(), word(), word(), word()];
}

/** Box and Muller; the second value is thrown away so that one call always draws two numbers. */
function normal(next: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}
