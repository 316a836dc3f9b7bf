import type { JudgementRow } from '../../../clickhouse/tables/alerts.ts';

export const windowMs = 300_000;
export const startMs = Date.UTC(2026, 4, 4);

/** A judgement of the n-th window from the start. */
export function judgement(window: number, given: Partial<JudgementRow> = {}): JudgementRow {
  const windowStartMs = startMs + window * windowMs;
  return {
    workspace: 'default',
    source: 'airflow',
    subjectKind: 'task',
    subjectId: 'orders/load',
    workflowId: 'orders',
    executionId: '',
    taskId: 'load',
    orchestratorId: 'airflow-prod',
    ruleId: 'TASK_HIGH_FAILURE_RATE',
    series: 'task:airflow/orders/load',
    windowStartMs,
    windowEndMs: windowStartMs + windowMs,
    ver: 4,
    roundMs: windowStartMs + windowMs,
    ruleVersion: 1,
    verdict: 'breach',
    severity: 'critical',
    forMs: 0,
    metric: 'attempt_failure_ratio',
    value: 0.5,
    threshold: 0.1,
    expected: 0.01,
    score: null,
    effect: 50,
    baselineId: '',
    cause: '',
    facts: ['4 of 8 attempts failed, usual are 1 %'],
    ...given,
  };
}

/** Rounds from the first window on, each with the judgements of that round. */
export function rounds(judgements: readonly JudgementRow[], count: number) {
  return Array.from({ length: count }, (_, window) => {
    const roundMs = startMs + (window + 1) * windowMs;
    return { roundMs, judgements: judgements.filter((row) => row.roundMs === roundMs) };
  });
}
