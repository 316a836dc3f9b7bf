/**
 * How far a partition is done when its records are finished in any order: everything below the answer of `safe` need not be
 * read again. Records are put in as they are read, lowest first.
 */
export class OffsetBook {
  readonly #open = new Map<number, Map<number, number>>();
  readonly #next = new Map<number, number>();

  /** A record is read; it is done when `done` was called so many times. */
  add(partition: number, offset: number, parts: number): void {
    this.pass(partition, offset + 1);
    if (parts > 0) this.#ofPartition(partition).set(offset, parts);
  }

  done(partition: number, offset: number): void {
    const open = this.#ofPartition(partition);
    const left = (open.get(offset) ?? 0) - 1;
    if (left > 0) open.set(offset, left);
    else open.delete(offset);
  }

  /** Offsets that hold nothing for us. */
  pass(partition: number, next: number): void {
    this.#next.set(partition, Math.max(next, this.#next.get(partition) ?? 0));
  }

  /** Another one reads the partition, or we do again, from where it was left. */
  forget(partition: number): void {
    this.#open.delete(partition);
    this.#next.delete(partition);
  }

  get partitions(): number[] {
    return [...this.#next.keys()];
  }

  /** The offset to go on at. */
  safe(partition: number): number | null {
    // Maps keep the order in which offsets came in.
    for (const offset of this.#ofPartition(partition).keys()) return offset;
    return this.#next.get(partition) ?? null;
  }

  #ofPartition(partition: number): Map<number, number> {
    const found = this.#open.get(partition);
    if (found !== undefined) return found;
    const made = new Map<number, number>();
    this.#open.set(partition, made);
    return made;
  }
}
