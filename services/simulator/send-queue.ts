/** Things by the moment at which they are to be sent, then by the order in which they came: a binary heap. */
export class SendQueue<Item extends { sendAtMs: number }> {
  readonly #heap: { item: Item; turn: number }[] = [];
  #turns = 0;

  /** Infinity where nothing waits. */
  get nextMs(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0].item.sendAtMs;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(item: Item): void {
    const heap = this.#heap;
    heap.push({ item, turn: this.#turns++ });
    let at = heap.length - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** The next one; there has to be one. */
  take(): Item {
    const heap = this.#heap;
    const { item } = heap[0];
    const last = heap.pop() as (typeof heap)[number];
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink();
    }
    return item;
  }

  #sink(): void {
    let at = 0;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#heap.length && this.#isBefore(child, least)) least = child;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(left: number, right: number): boolean {
    const [one, other] = [this.#heap[left], this.#heap[right]];
    const aheadMs = one.item.sendAtMs - other.item.sendAtMs;
    return aheadMs < 0 || (aheadMs === 0 && one.turn < other.turn);
  }

  #swap(left: number, right: number): void {
    const kept = this.#heap[left];
    this.#heap[left] = this.#heap[right];
    this.#heap[right] = kept;
  }
}
