import { exactDurationsQuestion } from '../../clickhouse/queries/exact-durations.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { Focus } from './subject.ts';
import type { Steps } from './time-range.ts';

/** Values of one share of one workflow or task, in their order. */
export type ExactValues = readonly number[];

/** So few that looking at each is as quick as merging histograms. */
const mostValues = 500;
/** What ended in the range and was first seen earlier than this before it is not found; then the histograms answer. */
const longestSeenMs = 24 * 3_600_000;
/** What was seen long before it started is rare, and the longest run tells how long before its end anything started. */
const seenBeforeMs = (longestRunMs: number): number => Math.min(longestSeenMs, 2 * longestRunMs + 600_000);

/**
 * All durations one by one, where there are few. How many there are is known from the rollups, which miss nothing: as many
 * have to be found among the rows, otherwise null, and the histograms are the better answer.
 */
export async function readExactDurations(
  reader: WorkspaceReader,
  { subject, filters }: Focus,
  { fromMs, toMs }: Steps,
  { count, longestMs }: { count: number; longestMs: number },
): Promise<ExactValues | null> {
  const { workflow_id: workflow = '', task_id: task = '', source = '', ...others } = filters;
  const id = subject === 'executions' ? workflow : task;
  if (id === '' || Object.keys(others).length > 0 || count === 0 || count > mostValues) return null;
  const seenFromMs = fromMs - seenBeforeMs(longestMs);
  const ask = { subject, id, source, workflow, fromMs, toMs, seenFromMs, limit: mostValues + 1 };
  const rows = await reader.ask(exactDurationsQuestion, ask);
  if (rows.length !== count) return null;
  return rows.map(({ value }) => value).sort((one, other) => one - other);
}

/** Nearest rank; shares are hundredths of per cent, so that the rank is a whole number's and no rounding's. */
export function pickExact(values: ExactValues, percent: number): number {
  const rank = Math.max(1, Math.ceil((Math.round(percent * 100) * values.length) / 10_000));
  return values[rank - 1] as number;
}

export const exactMethod = { method: 'exact', resolution: 'rows', relative_error: 0 };
