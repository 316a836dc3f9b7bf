/**
 * What a cell of a rollup measures, for executions and tasks alike. A *thing* is an execution or a task of one; it
 * counts once, with its latest end. Its attempts are counted apart under `attempt_`.
 */

/** Signed counts: a revised end is taken out of its window again. */
export const counts = [
  'contributions',
  'pending',
  'queued',
  'suspended',
  'retrying',
  'started',
  'completed',
  'failed',
  'cancelled',
  'timeout',
  'partial',
  'skipped',
  'retries',
  'reopened',
  'ends_to_join',
  'joined',
  'attempt_started',
  'attempt_completed',
  'attempt_failed',
  'attempt_cancelled',
  'attempt_timeout',
  'attempt_partial',
  'attempt_skipped',
] as const;
export type Count = (typeof counts)[number];

/** Durations with their distribution: sum, least, greatest and histogram, in microseconds. */
export const distributions = ['completed_duration_us', 'other_duration_us', 'queue_us', 'attempt_duration_us'] as const;
export type Distribution = (typeof distributions)[number];

/** Quantities with how many reported them, their sum and the greatest. */
export const quantities = [
  'cost_micros',
  'cpu_us',
  'memory_peak_bytes',
  'attempt_cost_micros',
  'attempt_cpu_us',
] as const;
export type Quantity = (typeof quantities)[number];
