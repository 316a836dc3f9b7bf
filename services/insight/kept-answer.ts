import type { Basis, Refusal } from '../analysis/basis.ts';

/** The most entries of a list in an answer; what has more says so in `cut`. */
const listedMost = 2_000;

/** What stands in every answer beside what was asked for. */
export interface AnswerFrame {
  workflow_id: string;
  source: string;
  /** Why there is no answer; null where there is one. */
  refused: { message: string; needed: number; had: number } | null;
  basis: Basis & { executions_left_out: number };
  thresholds: object;
  /** Lists that were too long for an answer, with their whole lengths. */
  cut: Record<string, number>;
}

/** The members of an answer where it is refused: nothing was found, and no number is known. */
export const emptyAnswers = {
  critical_path: {
    path: [],
    path_share: null,
    duration: null,
    median_makespan_ms: null,
    tasks: [],
    by_kind: {},
    optimization_potential: null,
    parallel_opportunities: [],
  },
  bottlenecks: { bottlenecks: [], examined: 0, mean_makespan_ms: null, compared_with: null, baseline: null },
  patterns: {
    patterns: [],
    temporal_patterns: [],
    failure_patterns: [],
    resource_patterns: [],
    dependency_patterns: [],
    performance_trends: null,
    variants: [],
  },
  anti_patterns: { anti_patterns: [] },
  dependency_graph: {
    workflowId: '',
    version: '',
    nodes: [],
    edges: [],
    criticalPath: [],
    criticalPathMs: null,
    parallelizationFactor: null,
    maxDepth: null,
    maxWidth: null,
    bottlenecks: [],
    cycles: [],
    inferred: null,
  },
  prediction: {
    predicted_duration: null,
    confidence_interval: [null, null],
    interval_level: null,
    interval_coverage: null,
    confidence: 'low',
    method: null,
    factors: [],
    usual_duration: null,
    mean_error_ratio: null,
  },
  execution_path: {
    state: null,
    started_at: null,
    path: [],
    duration: null,
    segments: [],
    by_kind: {},
    work_ratio: null,
    tasks: [],
    quality: null,
  },
  eta: {
    as_of: null,
    eta: null,
    remaining_ms: null,
    remaining_interval_ms: [null, null],
    elapsed_ms: null,
    progress_ratio: null,
    tasks_over: null,
    running: [],
  },
} as const satisfies Record<string, object>;

interface FrameInput {
  workflowId: string;
  source: string;
  leftOut: number;
  thresholds: object;
}

/** An answer in its frame, with its lists cut to a bound. */
export function frameAnswer(
  kind: keyof typeof emptyAnswers,
  found: object | Refusal,
  { workflowId, source, leftOut, thresholds }: FrameInput,
): AnswerFrame & Record<string, unknown> {
  const { basis } = found as { basis: Basis };
  const frame = { workflow_id: workflowId, source, basis: { ...basis, executions_left_out: leftOut }, thresholds };
  if ('refused' in found) {
    const { refused: message, needed, had, ...rest } = found as Refusal;
    return { ...rest, ...emptyAnswers[kind], ...frame, refused: { message: `${message}.`, needed, had }, cut: {} };
  }
  const cut: Record<string, number> = {};
  const bounded = boundLists(found, '', cut) as object;
  return { ...bounded, ...frame, refused: null, cut };
}

/** Lists in lists are named by where they stand; of many the longest is told. */
function boundLists(value: unknown, place: string, cut: Record<string, number>): unknown {
  if (Array.isArray(value)) {
    if (value.length > listedMost) cut[place] = Math.max(cut[place] ?? 0, value.length);
    return value.slice(0, listedMost).map((item) => boundLists(item, place, cut));
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      boundLists(member, place === '' ? name : `${place}.${name}`, cut),
    ]),
  );
}
