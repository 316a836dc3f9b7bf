import { WeightedColumns } from './weighted.ts';

/** What was seen in one hour of the week, lately or before, on the scale that is scored. */
export interface SlotValues {
  /** Hour of the week, 0 to 167, from Monday 0:00 UTC. */
  slot: number;
  isRecent: boolean;
  /** Hours of the calendar that these values come from; versions share them. */
  starts: readonly number[];
  values: WeightedColumns;
}

export const seasonDefaults = {
  /** Fewer values than these say nothing about an hour, nor do values of fewer days or weeks. */
  leastValuesPerSlot: 10,
  leastWindowsPerSlot: 3,
  /** Values needed before the last days, and in them, to tell whether anything recurs. */
  leastValues: 20,
  /** A season has to lower the error by this much, or the plainer answer stays. */
  gain: 0.05,
} as const;

export type SeasonLimits = { [Name in keyof typeof seasonDefaults]: number };

const hoursOfDay = 24;
const hoursOfWeek = 168;

export const seasonAt = (season: readonly number[], slot: number): number =>
  season.length === 0 ? 0 : (season[slot % season.length] as number);

interface PlacedSlot extends SlotValues {
  /** Where each of its values stands among all there are. */
  places: Int32Array;
}

const countValues = (slots: readonly SlotValues[]): number => slots.reduce((sum, { values }) => sum + values.total, 0);

/**
 * Values of many hours. They are buckets and counts, so the same ones are seen in every hour: each is looked up once, and hours are put
 * together by adding up how often.
 */
export class HourlyValues {
  /** Each once, ascending. */
  readonly #values: Float64Array;
  readonly #slots: readonly PlacedSlot[];

  private constructor(values: Float64Array, slots: readonly PlacedSlot[]) {
    this.#values = values;
    this.#slots = slots;
  }

  static of(slots: readonly SlotValues[]): HourlyValues {
    const distinct = new Set<number>();
    for (const { values } of slots) for (const value of values.values) distinct.add(value);
    const values = Float64Array.from(distinct).sort();
    const placeOf = new Map<number, number>();
    for (let at = 0; at < values.length; at++) placeOf.set(values[at] as number, at);
    const placed = slots.map((slot): PlacedSlot => {
      const own = slot.values.values;
      const places = new Int32Array(own.length);
      for (let at = 0; at < own.length; at++) places[at] = placeOf.get(own[at] as number) as number;
      return { ...slot, places };
    });
    return new HourlyValues(values, placed);
  }

  /** Values of all hours together, each once. */
  pool(): WeightedColumns {
    return this.#poolOf(this.#slots);
  }

  /** What is left of the values when what recurs is taken out. */
  residuals(season: readonly number[]): WeightedColumns {
    if (season.length === 0) return this.pool();
    const hours = this.#byHour(season.length).map((slots, hour) => {
      const pooled = this.#poolOf(slots);
      for (let at = 0; at < pooled.values.length; at++) {
        pooled.values[at] = (pooled.values[at] as number) - seasonAt(season, hour);
      }
      return pooled;
    });
    return WeightedColumns.join(hours);
  }

  /**
   * What recurs by the hour, or nothing. Within the values that it was fitted to every season looks good, so days and weeks
   * have to prove themselves: fitted to earlier values, they must foretell the recent ones better than without. Only then
   * are they fitted to all.
   */
  findSeason(limits: SeasonLimits = seasonDefaults): number[] {
    const [earlier, recent] = [this.#only(false), this.#only(true)];
    if ([earlier, recent].some((some) => countValues(some.#slots) < limits.leastValues)) return [];
    let best: { period: 24 | 168 | null; error: number } = { period: null, error: earlier.#errorOf([], recent) };
    for (const period of [hoursOfDay, hoursOfWeek] as const) {
      const error = earlier.#errorOf(earlier.#fitSeason(period, limits), recent);
      if (error < best.error * (1 - limits.gain)) best = { period, error };
    }
    return best.period === null ? [] : this.#fitSeason(best.period, limits);
  }

  #only(isRecent: boolean): HourlyValues {
    return new HourlyValues(
      this.#values,
      this.#slots.filter((slot) => slot.isRecent === isRecent),
    );
  }

  #byHour(period: number): PlacedSlot[][] {
    const hours = Array.from({ length: period }, (): PlacedSlot[] => []);
    for (const slot of this.#slots) hours[slot.slot % period]?.push(slot);
    return hours;
  }

  #poolOf(slots: readonly PlacedSlot[]): WeightedColumns {
    const counts = new Float64Array(this.#values.length);
    let [first, last] = [counts.length, -1];
    for (const { places, values } of slots) {
      const { weights } = values;
      for (let at = 0; at < places.length; at++) {
        const place = places[at] as number;
        counts[place] = (counts[place] as number) + (weights[at] as number);
        if (place < first) first = place;
        if (place > last) last = place;
      }
    }
    // Of what is in between mostly all is there.
    const pooled = WeightedColumns.withRoomFor(Math.max(0, last + 1 - first));
    let length = 0;
    for (let place = first; place <= last; place++) {
      if (counts[place] === 0) continue;
      pooled.values[length] = this.#values[place] as number;
      pooled.weights[length++] = counts[place] as number;
    }
    return new WeightedColumns(pooled.values.subarray(0, length), pooled.weights.subarray(0, length));
  }

  /** How far each hour's median lies from the median of all; null for hours of which too little is known. */
  #findOffsets(period: number, limits: SeasonLimits): (number | null)[] {
    const all = this.pool().median();
    return this.#byHour(period).map((slots) => {
      const windows = new Set(slots.flatMap(({ starts }) => starts)).size;
      const isKnown = windows >= limits.leastWindowsPerSlot && countValues(slots) >= limits.leastValuesPerSlot;
      return isKnown ? this.#poolOf(slots).median() - all : null;
    });
  }

  /** Offsets by hour of the day, or by hour of the week with those of the day where the week says too little. */
  #fitSeason(period: 24 | 168, limits: SeasonLimits): number[] {
    const daily = this.#findOffsets(hoursOfDay, limits);
    if (period === hoursOfDay) return daily.map((offset) => offset ?? 0);
    return this.#findOffsets(hoursOfWeek, limits).map((offset, slot) => offset ?? daily[slot % hoursOfDay] ?? 0);
  }

  /** Absolute error of what these values, which are earlier ones, would have said of the recent ones. */
  #errorOf(season: readonly number[], recent: HourlyValues): number {
    const center = this.residuals(season).median();
    let error = 0;
    for (const { slot, values } of recent.#slots) {
      const offset = seasonAt(season, slot);
      for (let at = 0; at < values.values.length; at++) {
        error += Math.abs((values.values[at] as number) - offset - center) * (values.weights[at] as number);
      }
    }
    return error;
  }
}
