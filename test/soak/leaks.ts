import { findMedianSlope, findOrderProbability } from '../../services/analysis/rank-trend.ts';
import { medianOf } from '../../services/analysis/robust-statistics.ts';

/** What was watched, by name: a reading each time, null where there was nothing to read. */
export type Readings = Map<string, (number | null)[]>;

export interface Course {
  name: string;
  readings: number;
  first: number;
  last: number;
  /** Rise over the second half, as a share of its median; negative where it falls. */
  rise: number;
  /** How much higher the least of the last quarter is than the least of the one before, as the same share. */
  footRise: number;
  /** How probable as clear an order is by chance. */
  pValue: number;
  leaks: boolean;
}

/** @public */
export const leakDefaults = {
  /** Neighbouring readings resemble each other, so chance orders them more often than the test believes. */
  pMost: 1e-4,
  /** Less than this share over the second half is warming up, or is nothing that would be met within days. */
  riseLeast: 0.05,
  /** What is smaller than this is not worth a share: three open files may become four. */
  floors: {
    'memory MB': 40,
    'open files': 20,
    parts: 20,
    'lag records': 5_000,
    'disk bytes a record': 40,
  } as Record<string, number>,
  readingsLeast: 12,
};

/** The course of everything that was watched over the second half of the run; a limit proves nothing, a slope does. */
export function findLeaks(readings: Readings): Course[] {
  return [...readings].flatMap(([name, values]) => {
    const half = values.slice(Math.floor(values.length / 2)).filter((value) => value !== null);
    if (half.length < leakDefaults.readingsLeast) return [];
    return [describeCourse(name, half)];
  });
}

function describeCourse(name: string, values: readonly number[]): Course {
  const places = values.map((_, at) => at);
  const risen = findMedianSlope(places, values) * (values.length - 1);
  const floor = Object.entries(leakDefaults.floors).find(([kind]) => name.endsWith(kind))?.[1] ?? 0;
  const middle = Math.floor(values.length / 2);
  const footRisen = Math.min(...values.slice(middle)) - Math.min(...values.slice(0, middle));
  const size = Math.max(medianOf(values), 1);
  const [rise, footRise] = [risen / size, footRisen / size];
  const pValue = findOrderProbability(values);
  const { pMost, riseLeast } = leakDefaults;
  const rises = pValue < pMost && rise >= riseLeast && risen >= riseLeast * floor;
  // Garbage and merges make teeth, of which a half may hold one and a half: what leaks never comes down to where it was.
  const leaks = rises && footRise >= riseLeast / 4;
  return {
    name,
    readings: values.length,
    first: values[0],
    last: values.at(-1) as number,
    rise,
    footRise,
    pValue,
    leaks,
  };
}
