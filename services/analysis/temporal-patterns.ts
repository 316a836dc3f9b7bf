import { roundMs, roundRatio } from './basis.ts';
import { medianOf, quantileOf, sortAscending } from './robust-statistics.ts';

/**
 * When executions start: at a period, at certain hours, in bursts. A period is one at which the starts agree in phase:
 * R = |Σ exp(2πi t / P)| / n is 1 where all fall on the same point of it and about 1/√n where they fall anywhere
 * (Rayleigh). Seven starts at 12:00 of seven days have R = 1 for a day.
 */
export interface TemporalPattern {
  type: 'periodic' | 'time_of_day' | 'burst';
  description: string;
  confidence: number;
  period_seconds?: number;
  /** Hours of the day in UTC that hold half of the starts. */
  peak_hours?: number[];
  evidence: Record<string, number>;
}

/** @public */
export const temporalDefaults = {
  startsLeast: 10,
  coherenceLeast: 0.7,
  rayleighLeast: 15,
  /** Longer periods win if they agree this nearly as well. */
  coherenceSlack: 0.1,
  burstVariationLeast: 1.6,
};

const minuteMs = 60_000;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const calendarMinutes = [5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440, 7 * 1440];
const calendarPeriods = calendarMinutes.map((minutes) => minutes * minuteMs);

export function findTemporalPatterns(startsMs: readonly number[]): TemporalPattern[] {
  const starts = sortAscending(startsMs);
  if (starts.length < temporalDefaults.startsLeast) return [];
  return [findPeriod(starts), findHours(starts), findBursts(starts)].filter((pattern) => pattern !== null);
}

function findPeriod(starts: readonly number[]): TemporalPattern | null {
  const gaps = gapsOf(starts).filter((ms) => ms > 0);
  const spanMs = starts[starts.length - 1] - starts[0];
  const fromGaps = [0.25, 0.5, 0.75].map((share) => quantileOf(gaps, share));
  const candidates = [...calendarPeriods, ...fromGaps.flatMap((ms) => [ms, ms / 2, ms / 3])];
  // A period has to come round a few times before it is one.
  const possible = candidates.filter((ms) => ms >= minuteMs && ms * 4 <= spanMs);
  const measured = possible.map((ms) => ({ ms, coherence: coherenceOf(starts, ms) }));
  const best = Math.max(0, ...measured.map(({ coherence }) => coherence));
  const good = measured.filter(({ coherence }) => coherence >= best - temporalDefaults.coherenceSlack);
  good.sort((left, right) => right.ms - left.ms);
  // What people write into schedules is meant, where it fits as well as what was measured.
  const isCalendar = ({ ms }: { ms: number }) => calendarPeriods.includes(ms);
  const chosen = good.find((period) => isCalendar(period) && period.ms >= 0.95 * good[0].ms) ?? good[0];
  if (chosen === undefined || chosen.coherence < temporalDefaults.coherenceLeast) return null;
  if (starts.length * chosen.coherence ** 2 < temporalDefaults.rayleighLeast) return null;
  return {
    type: 'periodic',
    description: `starts every ${describePeriod(chosen.ms)}`,
    confidence: roundRatio(chosen.coherence),
    period_seconds: roundMs(chosen.ms / 1000),
    evidence: { starts: starts.length, coherence: roundRatio(chosen.coherence) },
  };
}

const gapsOf = (sorted: readonly number[]): number[] => sorted.slice(1).map((ms, index) => ms - sorted[index]);

export function coherenceOf(instantsMs: readonly number[], periodMs: number): number {
  let [sine, cosine] = [0, 0];
  for (const ms of instantsMs) {
    const angle = (2 * Math.PI * (ms % periodMs)) / periodMs;
    sine += Math.sin(angle);
    cosine += Math.cos(angle);
  }
  return Math.hypot(sine, cosine) / Math.max(1, instantsMs.length);
}

function describePeriod(ms: number): string {
  if (Math.abs(ms - 7 * dayMs) < hourMs) return 'week';
  if (Math.abs(ms - dayMs) < 10 * minuteMs) return 'day';
  if (ms >= hourMs) return `${Math.round((ms / hourMs) * 10) / 10} h`;
  return `${Math.round((ms / minuteMs) * 10) / 10} min`;
}

/** A chi-square over all hours, empty ones included; 23 degrees of freedom, one in a thousand by chance. */
const chiSquareBound = 49.73;

function findHours(starts: readonly number[]): TemporalPattern | null {
  if (starts[starts.length - 1] - starts[0] < 2 * dayMs) return null;
  const counts = new Array<number>(24).fill(0);
  for (const ms of starts) counts[new Date(ms).getUTCHours()]++;
  const expected = starts.length / 24;
  const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  if (expected < 1 || chiSquare < chiSquareBound) return null;
  const byCount = counts.map((count, hour) => ({ count, hour })).sort((left, right) => right.count - left.count);
  const peak: number[] = [];
  let held = 0;
  for (const { count, hour } of byCount) {
    if (held >= starts.length / 2) break;
    held += count;
    peak.push(hour);
  }
  peak.sort((left, right) => left - right);
  return {
    type: 'time_of_day',
    description: `half of the starts fall into ${peak.length} hours of the day`,
    confidence: roundRatio(1 - chiSquareBound / chiSquare),
    peak_hours: peak,
    evidence: { starts: starts.length, chi_square: roundRatio(chiSquare) },
  };
}

function findBursts(starts: readonly number[]): TemporalPattern | null {
  const gaps = gapsOf(starts);
  const mean = gaps.reduce((sum, ms) => sum + ms, 0) / gaps.length;
  if (mean === 0) return null;
  const variation = Math.sqrt(gaps.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / gaps.length) / mean;
  if (variation < temporalDefaults.burstVariationLeast || medianOf(gaps) > mean / 2) return null;
  return {
    type: 'burst',
    description: `starts come in bursts: gaps vary by ${roundRatio(variation)} times their mean`,
    confidence: roundRatio(1 - 1 / variation),
    evidence: {
      gap_variation: roundRatio(variation),
      gap_ms_median: roundMs(medianOf(gaps)),
      gap_ms_mean: roundMs(mean),
    },
  };
}
