/** Numbers as people read them. */

export function describeDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${rounded(ms / 1000)} s`;
  if (ms < 7_200_000) return `${rounded(ms / 60_000)} min`;
  return `${rounded(ms / 3_600_000)} h`;
}

export const describeShare = (ratio: number): string => `${rounded(100 * ratio)} %`;
export const describeTimes = (times: number): string => `${rounded(times)} times`;

export const rounded = (value: number): number => Number(value.toPrecision(value >= 100 ? 3 : 2));
