/**
 * Two-sided cumulative sum (Page): adds up what lies beyond an allowance, so a small change that lasts adds up to a large one.
 * With an allowance of 0.75 deviations and a bound of 8 a shift of two deviations is found after seven windows.
 */
const cusumDefaults = { allowance: 0.75, bound: 8, clip: 3 } as const;

export class Cusum {
  #up = 0;
  #down = 0;

  add(score: number): void {
    const { allowance, clip } = cusumDefaults;
    const bounded = Math.max(-clip, Math.min(clip, score));
    this.#up = Math.max(0, this.#up + bounded - allowance);
    this.#down = Math.max(0, this.#down - bounded - allowance);
  }

  get hasChanged(): boolean {
    return Math.max(this.#up, this.#down) > cusumDefaults.bound;
  }

  reset(): void {
    this.#up = 0;
    this.#down = 0;
  }
}
