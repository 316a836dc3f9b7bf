/** What a verification of one topic found. Details are kept for the first differences only. */
export interface TopicTotals {
  records: number;
  stored: number;
  dropped: number;
  dead: number;
  duplicate: number;
  cells: number;
  entities: number;
}

const detailsKept = 20;

export class TopicReport {
  readonly topic: string;
  readonly totals: TopicTotals = { records: 0, stored: 0, dropped: 0, dead: 0, duplicate: 0, cells: 0, entities: 0 };
  readonly details: string[] = [];
  readonly notes: string[] = [];
  different = 0;

  constructor(topic: string) {
    this.topic = topic;
  }

  /** `thing` names what differs down to the field; `from` are offsets of records that lead there. */
  differ(thing: string, expected: unknown, found: unknown, from: readonly number[] = []): void {
    this.different++;
    if (this.details.length >= detailsKept) return;
    const origin = from.length === 0 ? '' : ` (from ${from.length === 1 ? 'offset' : 'offsets'} ${from.join(', ')})`;
    this.details.push(`${thing}: expected ${expected}, found ${found}${origin}`);
  }

  lines(): string[] {
    const { records, stored, dropped, dead, duplicate, cells, entities } = this.totals;
    const more = this.different - this.details.length;
    return [
      `${this.topic}: records ${records}, stored ${stored}, dropped ${dropped}, dead ${dead}, duplicate ${duplicate}, ` +
        `cells ${cells}, entities ${entities}, different ${this.different}`,
      ...this.notes.map((note) => `  note: ${note}`),
      ...this.details.map((detail) => `  ${detail}`),
      ...(more > 0 ? [`  and ${more} more`] : []),
    ];
  }
}

/** What a verification of hours or days found: rows compared, and the first values that differ. */
export class DifferenceList {
  readonly name: string;
  readonly #details: string[] = [];
  readonly #notes = new Set<string>();
  rows = 0;
  different = 0;

  constructor(name: string) {
    this.name = name;
  }

  note(note: string): void {
    this.#notes.add(note);
  }

  differ(thing: string, expected: unknown, found: unknown): void {
    this.different++;
    if (this.#details.length < detailsKept) this.#details.push(`${thing}: expected ${expected}, found ${found}`);
  }

  add(other: DifferenceList): void {
    this.rows += other.rows;
    this.different += other.different;
    this.#details.push(...other.#details.slice(0, detailsKept - this.#details.length));
  }

  lines(): string[] {
    const more = this.different - this.#details.length;
    return [
      `${this.name}: rows ${this.rows}, different ${this.different}`,
      ...[...this.#notes].map((note) => `  note: ${note}`),
      ...this.#details.map((detail) => `  ${detail}`),
      ...(more > 0 ? [`  and ${more} more`] : []),
    ];
  }
}
