interface Entrant {
  weight: 0 | 1;
  go: () => void;
  isInside: boolean;
  hasLeft: boolean;
}

/** A place at a gate, to be left once, whether or not it was passed. */
export interface GatePass {
  leave(): void;
}

/**
 * Lets a number of things be under way at once and holds further ones back in order. While it is closed nobody
 * passes; who weighs nothing is only held back by that.
 */
export class Gate {
  readonly #limit: number;
  #held: Entrant[] = [];
  #inside = 0;
  #isClosed = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** `go` is called at once or later; it is given the pass, because it may be over before this returns. */
  enter(weight: 0 | 1, go: (pass: GatePass) => void): GatePass {
    const entrant: Entrant = { weight, go: () => {}, isInside: false, hasLeft: false };
    const pass = { leave: () => this.#leave(entrant) };
    entrant.go = () => go(pass);
    if (this.#letsIn(entrant)) this.#pass(entrant);
    else this.#held.push(entrant);
    return pass;
  }

  close(): void {
    this.#isClosed = true;
  }

  open(): void {
    this.#isClosed = false;
    this.#admit();
  }

  #leave(entrant: Entrant): void {
    if (entrant.hasLeft) return;
    entrant.hasLeft = true;
    if (entrant.isInside) this.#inside -= entrant.weight;
    else this.#held = this.#held.filter((one) => one !== entrant);
    this.#admit();
  }

  #letsIn({ weight }: Entrant): boolean {
    return !this.#isClosed && (weight === 0 || this.#inside < this.#limit);
  }

  #pass(entrant: Entrant): void {
    entrant.isInside = true;
    this.#inside += entrant.weight;
    entrant.go();
  }

  #admit(): void {
    for (;;) {
      const index = this.#held.findIndex((entrant) => this.#letsIn(entrant));
      if (index < 0) return;
      const [entrant] = this.#held.splice(index, 1);
      this.#pass(entrant);
    }
  }
}
