import type { LivePatternsRow } from '../../clickhouse/queries/live-patterns.ts';
import { toInstant } from './run-messages.ts';

/** One pattern of one workflow, as an analysis found it. */
export interface FoundPattern {
  workflowId: string;
  source: string;
  patternType: string;
  /** The same pattern found again has the same one, whatever its numbers are by then. */
  key: string;
  payload: Record<string, unknown>;
}

type Item = Record<string, unknown>;

/** The lists of an answer: what kind of pattern an entry is, and by what it is known again. */
const families: Record<string, { typeOf: (item: Item) => string; keyOf: (item: Item) => unknown[] }> = {
  patterns: {
    typeOf: ({ patternType }) => String(patternType),
    keyOf: ({ tasks, split, join }) => [tasks, split, join],
  },
  temporal_patterns: { typeOf: ({ type }) => String(type), keyOf: ({ period_seconds: period }) => [period] },
  failure_patterns: {
    typeOf: () => 'failure',
    keyOf: ({ task, error_type, template }) => [task, error_type, template],
  },
  resource_patterns: { typeOf: () => 'resource', keyOf: ({ task, bound_by, finding }) => [task, bound_by, finding] },
  dependency_patterns: { typeOf: () => 'dependency', keyOf: ({ task, waits_for }) => [task, waits_for] },
};

/** Kinds of patterns that may be followed by name; any other name is that of a workflow. */
const patternTypes: ReadonlySet<string> = new Set([
  ...['sequential', 'parallel', 'conditional', 'loop', 'map_reduce', 'scatter_gather', 'saga'],
  ...['periodic', 'time_of_day', 'burst', 'failure', 'resource', 'dependency'],
]);
export const isPatternType = (name: string): boolean => patternTypes.has(name);

export function listPatterns({
  workflow_id: workflowId,
  source,
  answer,
  computed_at_ms,
}: LivePatternsRow): FoundPattern[] {
  const found = JSON.parse(answer) as Record<string, Item[] | undefined>;
  return Object.entries(families).flatMap(([family, { typeOf, keyOf }]) =>
    (found[family] ?? []).map((pattern) => {
      const patternType = typeOf(pattern);
      const payload = { workflowId, source, patternType, detectedAt: toInstant(computed_at_ms), pattern };
      return { workflowId, source, patternType, payload, key: JSON.stringify([patternType, ...keyOf(pattern)]) };
    }),
  );
}
