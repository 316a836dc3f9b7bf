/**
 * Remembers the keys that were added last, in two generations: between half of what it may hold and all of it. What is
 * older counts as new again.
 */
export class RecentKeys {
  #young = new Set<string>();
  #old = new Set<string>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** False where the key is remembered already. */
  add(key: string): boolean {
    if (this.#young.has(key) || this.#old.has(key)) return false;
    this.#young.add(key);
    if (this.#young.size >= this.#most / 2) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    return true;
  }
}
