/**
 * LORD++ (Ramdas et al. 2017) over the candidates of a workspace: of what is let through, at most the given share is false,
 * however many series there are. Windows that are no candidates are discarded, and the chance of a candidate is taken
 * given that it is one, as ADDIS does; otherwise thousands of quiet series would use up everything that may be spent.
 */
const falseDiscoveryDefaults = { share: 0.05, candidateBelow: 1e-4 } as const;

/** Discoveries that still matter for what may be spent. */
const discoveriesKept = 60;

/** How what may be spent is spread over the tests to come; sums up to 1. */
const spendAt = (test: number): number =>
  (0.0722 * Math.log(Math.max(test, 2))) / (test * Math.exp(Math.sqrt(Math.log(test))));

export class FalseDiscovery {
  #tests = 0;
  readonly #discoveries: number[] = [];

  /** Whether a candidate is a discovery; each is asked once. */
  admits(p: number): boolean {
    this.#tests++;
    const isDiscovery = p / falseDiscoveryDefaults.candidateBelow <= this.#level();
    if (isDiscovery) {
      this.#discoveries.push(this.#tests);
      if (this.#discoveries.length > discoveriesKept) this.#discoveries.splice(1, 1);
    }
    return isDiscovery;
  }

  #level(): number {
    const { share } = falseDiscoveryDefaults;
    const initial = share / 2;
    const [first, ...others] = this.#discoveries;
    let level = spendAt(this.#tests) * initial;
    if (first !== undefined && first < this.#tests) level += (share - initial) * spendAt(this.#tests - first);
    for (const discovery of others) if (discovery < this.#tests) level += share * spendAt(this.#tests - discovery);
    return level;
  }
}
