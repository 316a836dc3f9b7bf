/** Numbers with keys, the smallest key first; equal keys in order of the numbers, so that nothing depends on chance. */
export class MinHeap {
  readonly #keys: number[] = [];
  readonly #items: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  push(key: number, item: number): void {
    let place = this.#items.length;
    this.#keys.push(key);
    this.#items.push(item);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.#isLess(place, parent)) break;
      this.#swap(place, parent);
      place = parent;
    }
  }

  get leastKey(): number {
    return this.#keys[0];
  }

  pop(): number {
    const least = this.#items[0];
    const lastKey = this.#keys.pop() as number;
    const lastItem = this.#items.pop() as number;
    if (this.#items.length > 0) {
      this.#keys[0] = lastKey;
      this.#items[0] = lastItem;
      this.#sink();
    }
    return least;
  }

  #sink(): void {
    for (let place = 0; ; ) {
      let least = place;
      for (const child of [2 * place + 1, 2 * place + 2]) {
        if (child < this.#items.length && this.#isLess(child, least)) least = child;
      }
      if (least === place) return;
      this.#swap(place, least);
      place = least;
    }
  }

  #isLess(left: number, right: number): boolean {
    const keys = this.#keys[left] - this.#keys[right];
    return keys < 0 || (keys === 0 && this.#items[left] < this.#items[right]);
  }

  #swap(left: number, right: number): void {
    const { [left]: key, [right]: otherKey } = this.#keys;
    const { [left]: item, [right]: otherItem } = this.#items;
    this.#keys[left] = otherKey;
    this.#keys[right] = key;
    this.#items[left] = otherItem;
    this.#items[right] = item;
  }
}
