/** In which order those who wait get what becomes free. */
export type QueueDiscipline = 'fifo' | 'priority' | 'fair' | 'shortest_first';

/** What a discipline goes by. */
export interface Waiting {
  /** Order of arrival. */
  readonly turn: number;
  readonly priority: number;
  readonly fairKey: string;
  readonly expectedMs: number;
  /** Left the line otherwise; skipped when its turn comes. */
  isGone: boolean;
}

/** Those who wait, with the next one in front. */
export interface WaitingLine<Item extends Waiting> {
  add(item: Item): void;
  /** The next one, which stays where it is. */
  first(): Item | undefined;
  takeFirst(): Item | undefined;
}

/** `runningOf` says how much somebody has already, which fairness goes by. */
export function createLine<Item extends Waiting>(
  discipline: QueueDiscipline,
  runningOf: (fairKey: string) => number,
): WaitingLine<Item> {
  switch (discipline) {
    case 'fifo':
      return new SortedLine((one, other) => one.turn - other.turn);
    case 'priority':
      return new SortedLine((one, other) => other.priority - one.priority || one.turn - other.turn);
    case 'shortest_first':
      return new SortedLine((one, other) => one.expectedMs - other.expectedMs || one.turn - other.turn);
    case 'fair':
      return new FairLine(runningOf);
  }
}

/** A binary heap. */
class SortedLine<Item extends Waiting> implements WaitingLine<Item> {
  readonly #heap: Item[] = [];
  readonly #compare: (one: Item, other: Item) => number;

  constructor(compare: (one: Item, other: Item) => number) {
    this.#compare = compare;
  }

  add(item: Item): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#compare(item, heap[parent]) >= 0) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = item;
  }

  first(): Item | undefined {
    while (this.#heap.length > 0 && this.#heap[0].isGone) this.#takeTop();
    return this.#heap[0];
  }

  takeFirst(): Item | undefined {
    return this.first() === undefined ? undefined : this.#takeTop();
  }

  #takeTop(): Item {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop() as Item;
    if (heap.length > 0) this.#sink(last);
    return top;
  }

  #sink(item: Item): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#compare(heap[child + 1], heap[child]) < 0) child++;
      if (this.#compare(heap[child], item) >= 0) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = item;
  }
}

/** A line for each key: next is the first of whoever has least running, and of those the one who waits longest. */
class FairLine<Item extends Waiting> implements WaitingLine<Item> {
  readonly #lines = new Map<string, SortedLine<Item>>();
  readonly #runningOf: (fairKey: string) => number;

  constructor(runningOf: (fairKey: string) => number) {
    this.#runningOf = runningOf;
  }

  add(item: Item): void {
    let line = this.#lines.get(item.fairKey);
    if (line === undefined) {
      line = new SortedLine((one, other) => one.turn - other.turn);
      this.#lines.set(item.fairKey, line);
    }
    line.add(item);
  }

  first(): Item | undefined {
    let best: Item | undefined;
    let bestRunning = 0;
    for (const [key, line] of this.#lines) {
      const item = line.first();
      if (item === undefined) {
        this.#lines.delete(key);
        continue;
      }
      const running = this.#runningOf(key);
      if (best === undefined || running < bestRunning || (running === bestRunning && item.turn < best.turn)) {
        best = item;
        bestRunning = running;
      }
    }
    return best;
  }

  takeFirst(): Item | undefined {
    const item = this.first();
    return item === undefined ? undefined : this.#lines.get(item.fairKey)?.takeFirst();
  }
}
