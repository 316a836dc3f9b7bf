/** An action that is to happen; handed back so that it can be cancelled. */
export interface Scheduled {
  readonly timeMs: number;
  readonly cancelled: boolean;
}

interface Entry {
  timeMs: number;
  turn: number;
  cancelled: boolean;
  action: (() => void) | null;
}

// Below this a heap full of cancelled entries costs nothing worth tidying.
const tidyFrom = 1024;

/**
 * Discrete events in virtual time: a binary heap by time, then by the order in which they were scheduled. It has no
 * clock and no chance of its own, so what happens is a function of what is scheduled.
 */
export class Engine {
  readonly #heap: Entry[] = [];
  #nowMs: number;
  #turns = 0;
  #processed = 0;
  #cancelled = 0;

  constructor(startMs: number) {
    if (!Number.isFinite(startMs)) throw new Error(`virtual time cannot begin at ${startMs}`);
    this.#nowMs = startMs;
  }

  /** Virtual epoch time; may hold fractions, which whoever emits records rounds. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events processed so far; cancelled ones do not count. */
  get processed(): number {
    return this.#processed;
  }

  /** Time of the next event, null where none is left. */
  get nextMs(): number | null {
    this.#dropCancelled();
    return this.#heap.length === 0 ? null : this.#heap[0].timeMs;
  }

  /** Events of equal times run in the order in which they were scheduled. */
  at(timeMs: number, action: () => void): Scheduled {
    // Written so that NaN is refused too.
    if (!(timeMs >= this.#nowMs && timeMs < Number.POSITIVE_INFINITY)) {
      throw new Error(`cannot schedule at ${timeMs}: it is ${this.#nowMs}`);
    }
    const entry: Entry = { timeMs, turn: this.#turns++, cancelled: false, action };
    this.#heap.push(entry);
    this.#rise(this.#heap.length - 1);
    return entry;
  }

  after(delayMs: number, action: () => void): Scheduled {
    return this.at(this.#nowMs + delayMs, action);
  }

  /** Does nothing where the event has happened already. */
  cancel(scheduled: Scheduled): void {
    const entry = scheduled as Entry;
    if (entry.cancelled || entry.action === null) return;
    entry.cancelled = true;
    entry.action = null;
    this.#cancelled++;
    // Timers that are nearly always cancelled would otherwise fill the heap until their time comes.
    if (this.#heap.length > tidyFrom && this.#cancelled * 2 > this.#heap.length) this.#tidy();
  }

  /** Processes the next event; false where none is left. */
  step(): boolean {
    this.#dropCancelled();
    if (this.#heap.length === 0) return false;
    const entry = this.#takeTop();
    const { action } = entry;
    entry.action = null;
    this.#nowMs = entry.timeMs;
    this.#processed++;
    action?.();
    return true;
  }

  /** Processes all events up to and including `timeMs`, and leaves the time there unless it is infinite. */
  runUntil(timeMs: number): void {
    for (let next = this.nextMs; next !== null && next <= timeMs; next = this.nextMs) this.step();
    if (timeMs > this.#nowMs && timeMs < Number.POSITIVE_INFINITY) this.#nowMs = timeMs;
  }

  #dropCancelled(): void {
    while (this.#heap.length > 0 && this.#heap[0].cancelled) {
      this.#takeTop();
      this.#cancelled--;
    }
  }

  #takeTop(): Entry {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop() as Entry;
    if (heap.length > 0) {
      heap[0] = last;
      this.#sink(0);
    }
    return top;
  }

  #tidy(): void {
    const live = this.#heap.filter((entry) => !entry.cancelled);
    this.#heap.length = 0;
    for (const entry of live) this.#heap.push(entry);
    for (let at = (live.length >> 1) - 1; at >= 0; at--) this.#sink(at);
    this.#cancelled = 0;
  }

  #rise(from: number): void {
    const heap = this.#heap;
    const entry = heap[from];
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = entry;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const entry = heap[from];
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++;
      if (!isBefore(heap[child], entry)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = entry;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.timeMs < other.timeMs || (one.timeMs === other.timeMs && one.turn < other.turn);
}
