import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface Bar {
  name: string;
  value: number;
  unit: string;
  direction: 'at least' | 'at most';
  bound: number;
}

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
};

/** Nearest rank. */
export const percentile = (values: readonly number[], share: number): number => {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
};

export const isMet = ({ value, direction, bound }: Bar): boolean =>
  direction === 'at least' ? value >= bound : value <= bound;

/** Prints the table and the bars, leaves a JSON file, and sets the exit code. */
export function finishBench(
  bench: string,
  rows: readonly Record<string, string | number>[],
  bars: readonly Bar[],
): void {
  console.table(rows);
  const folder = path.join(import.meta.dirname, '../../.weir/bench');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${bench}.json`);
  writeFileSync(file, `${JSON.stringify({ bench, rows, bars }, null, 2)}\n`);
  console.log(`written to ${path.relative(process.cwd(), file)}`);
  for (const bar of bars) {
    const verdict = isMet(bar) ? 'met' : 'missed';
    console.log(`bar ${bar.name}: ${round(bar.value)} ${bar.unit} (${bar.direction} ${bar.bound}): ${verdict}`);
  }
  if (!bars.every(isMet)) process.exitCode = 1;
}

export const round = (value: number): number => Number(value.toPrecision(4));
