/**
 * How far a value goes beyond every record of the last weeks, at several scales at once: the value itself, what the time of
 * day did not foretell, and the means of half an hour and of two hours. Records make no assumption on the shape of a metric.
 * After an alarm only a worse one is news, until the memory of it has faded.
 *
 * The memory is one array of numbers: extremes by block, and a sample for the usual spread, for each scale. It takes
 * 1.5 kB where sorted lists of 6 000 values would take a hundred.
 */
const recordExcessDefaults = {
  /** Values that are remembered, as records of blocks. */
  blocks: 16,
  blockValues: 375,
  sample: 48,
  /** The first values of a series never alarm. */
  warmUp: 100,
  fade: 200,
  threshold: 0.56,
  /** Usual spreads by which a value may go beyond its records without being strange. */
  tolerance: 0.05,
  /** What is beyond all records for so few windows is a burst, and becomes a record; what goes on is looked into instead. */
  burst: 3,
  /** What goes on for as long is the new usual. */
  mostStrange: 288,
} as const;

const scales = 4;
const { blocks, sample } = recordExcessDefaults;
const scaleFloats = 2 * blocks + sample;
const ringValues = 24;
const hours = 24;
const [ringAt, hourAt, restAt] = [scales * scaleFloats, scales * scaleFloats + ringValues, scales * scaleFloats + 48];
/** Single numbers behind the arrays. */
const at = { held: restAt, average: restAt + 1, errors: restAt + 2, spreads: restAt + 5 } as const;
const floats = restAt + 9;
const hourMs = 3_600_000;

export interface RecordFinding {
  /** Beyond what is held from earlier alarms; an alarm above the threshold. */
  score: number;
  /** How far the value itself is beyond its records, in usual spreads: above, and below. */
  above: number;
  below: number;
  /** Quantiles 0.05 and 0.95 of what was usual. */
  low: number;
  high: number;
  /** Usual spread of the value: from its 5th to its 95th percentile. */
  spread: number;
  highest: number;
  lowest: number;
  isHigh: boolean;
}

export class RecordExcess {
  readonly #state = new Float32Array(floats).fill(Number.NaN, hourAt, hourAt + hours);
  readonly #leastSpread: number;
  #count = 0;
  #strange = 0;
  #seen = 0;
  /** Windows of what may be a burst. */
  readonly #waiting: number[][] = [];

  /** Differences below `leastSpread` mean nothing, whatever the metric did before. */
  constructor(leastSpread: number) {
    this.#leastSpread = leastSpread;
  }

  judge(value: number, endMs: number): RecordFinding | null {
    const views = this.#view(value, endMs);
    let greatest = 0;
    let isHigh = true;
    const own = this.#extremes(0);
    for (let scale = 0; scale < scales; scale++) {
      const seen = views[scale] as number;
      const { highest, lowest } = scale === 0 ? own : this.#extremes(scale);
      const spread = this.#spread(scale);
      const excess = Math.max((seen - highest) / spread, (lowest - seen) / spread);
      if (excess > greatest) [greatest, isHigh] = [excess, seen > highest];
    }
    const isWarm = this.#count >= recordExcessDefaults.warmUp;
    const spread = this.#spread(0);
    const usual = { low: this.#quantile(0, 0.05), high: this.#quantile(0, 0.95) };
    const strength = Math.log2(1 + 10 * greatest);
    // What alarms now must not become a record, or it could not alarm again; an alarm that never ends must.
    const above = Math.max(0, (value - own.highest) / spread);
    const below = Math.max(0, (own.lowest - value) / spread);
    const isStrange = isWarm && Math.max(above, below) > recordExcessDefaults.tolerance;
    this.#strange = isStrange ? this.#strange + 1 : 0;
    const { burst, mostStrange } = recordExcessDefaults;
    if (isStrange && this.#strange <= burst) this.#waiting.push(views);
    else if (isStrange && this.#strange <= mostStrange) this.#waiting.length = 0;
    else {
      for (const view of [...this.#waiting.splice(0), views]) this.#record(view);
    }
    this.#learn(value, endMs);
    if (!isWarm) return null;
    const held = this.#state[at.held] as number;
    this.#state[at.held] = Math.max(held * (1 - 1 / recordExcessDefaults.fade), strength);
    return { score: strength - held, above, below, spread, ...own, ...usual, isHigh };
  }

  /** The value, what the best forecast leaves of it, and its means over 6 and 24 windows. */
  #view(value: number, endMs: number): number[] {
    const known = Math.min(this.#seen, ringValues - 1);
    let sum = value;
    let short = value;
    for (let back = 1; back <= known; back++) {
      sum += this.#state[ringAt + ((this.#seen - back) % ringValues)] as number;
      if (back === Math.min(5, known)) short = sum;
    }
    const residual = this.#seen === 0 ? 0 : value - this.#forecast(endMs);
    return [value, residual, short / (Math.min(5, known) + 1), sum / (known + 1)];
  }

  #forecasts(endMs: number): number[] {
    const last = this.#state[ringAt + ((this.#seen - 1 + ringValues) % ringValues)] as number;
    const average = this.#state[at.average] as number;
    const hour = this.#state[hourAt + (Math.floor(endMs / hourMs) % hours)] as number;
    return [last, average, Number.isNaN(hour) ? average : hour];
  }

  #forecast(endMs: number): number {
    const errors = this.#state.subarray(at.errors, at.errors + 3);
    const forecasts = this.#forecasts(endMs);
    let best = 0;
    for (let which = 1; which < 3; which++) if ((errors[which] as number) < (errors[best] as number)) best = which;
    return forecasts[best] as number;
  }

  #record(views: readonly number[]): void {
    for (let scale = 0; scale < scales; scale++) this.#add(scale, views[scale] as number);
    this.#count++;
  }

  #learn(value: number, endMs: number): void {
    if (this.#seen > 0) {
      const bound = 3 * this.#spread(0);
      for (const [which, forecast] of this.#forecasts(endMs).entries()) {
        const error = Math.min(bound, Math.abs(value - forecast));
        const before = this.#state[at.errors + which] as number;
        this.#state[at.errors + which] = before + (error - before) / 100;
      }
    }
    const average = this.#state[at.average] as number;
    this.#state[at.average] = this.#seen === 0 ? value : average + 0.1 * (value - average);
    const slot = hourAt + (Math.floor(endMs / hourMs) % hours);
    const hour = this.#state[slot] as number;
    this.#state[slot] = Number.isNaN(hour) ? value : hour + (value - hour) / 36;
    this.#state[ringAt + (this.#seen % ringValues)] = value;
    this.#seen++;
  }

  #extremes(scale: number): { highest: number; lowest: number } {
    const { blockValues } = recordExcessDefaults;
    const used = Math.min(blocks, Math.ceil(this.#count / blockValues));
    const from = scale * scaleFloats;
    let highest = Number.NEGATIVE_INFINITY;
    let lowest = Number.POSITIVE_INFINITY;
    for (let block = 0; block < used; block++) {
      highest = Math.max(highest, this.#state[from + block] as number);
      lowest = Math.min(lowest, this.#state[from + blocks + block] as number);
    }
    return { highest, lowest };
  }

  #add(scale: number, value: number): void {
    const { blockValues } = recordExcessDefaults;
    const from = scale * scaleFloats;
    const block = from + (Math.floor(this.#count / blockValues) % blocks);
    const isNew = this.#count % blockValues === 0;
    this.#state[block] = isNew ? value : Math.max(this.#state[block] as number, value);
    this.#state[block + blocks] = isNew ? value : Math.min(this.#state[block + blocks] as number, value);
    // At first every value, then ever fewer, so that the sample comes to span as long as the records do.
    const step = this.#count < sample ? 1 : this.#count < 12 * sample ? 12 : 125;
    if (this.#count % step !== 0) return;
    this.#state[from + 2 * blocks + (Math.floor(this.#count / step) % sample)] = value;
    this.#state[at.spreads + scale] = Number.NaN;
  }

  #spread(scale: number): number {
    const cached = this.#state[at.spreads + scale] as number;
    if (!Number.isNaN(cached) && cached > 0) return cached;
    const least = Math.max(this.#leastSpread, 1e-6 * Math.abs(this.#quantile(scale, 0.5)));
    const spread = Math.max(this.#quantile(scale, 0.95) - this.#quantile(scale, 0.05), least);
    this.#state[at.spreads + scale] = spread;
    return spread;
  }

  #quantile(scale: number, share: number): number {
    const from = scale * scaleFloats + 2 * blocks;
    const known = this.#state.slice(from, from + Math.min(sample, Math.max(1, this.#count))).sort();
    return known[Math.round(share * (known.length - 1))] as number;
  }
}
