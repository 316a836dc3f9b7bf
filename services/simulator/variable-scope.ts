/**
 * Variables of one level: an execution, an iteration of a loop, or an instance of a mapped task. A name is looked up
 * from the innermost level outwards; what an inner level sets for itself is gone when it ends.
 */
export class VariableScope {
  readonly #parent: VariableScope | null;
  readonly #values: Record<string, unknown>;

  constructor(parent: VariableScope | null, values: Readonly<Record<string, unknown>>) {
    this.#parent = parent;
    this.#values = Object.assign(Object.create(null), values);
  }

  readonly get = (name: string): unknown => {
    if (name in this.#values) return this.#values[name];
    return this.#parent === null ? null : this.#parent.get(name);
  };

  /** Sets it on this level. */
  set(name: string, value: unknown): void {
    this.#values[name] = value;
  }

  /** A copy of what this level holds. */
  snapshot(): Record<string, unknown> {
    return { ...this.#values };
  }
}
