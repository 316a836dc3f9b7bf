import { describe, expect, it } from 'vitest';
import type { AlertSubject } from '../../../clickhouse/tables/alerts.ts';
import type { AlertRuleId } from '../../../schemas/alerts.ts';
import { Causes } from '../../../services/alerts/causes.ts';
import type { Finding } from '../../../services/alerts/finding.ts';
import { RuleBook } from '../../../services/alerts/rules.ts';
import { judgement } from './judgements.ts';

const book = new RuleBook();
const minuteMs = 60_000;

/** What breaches, of one source whose workflows run in one pool. */
function breach(ruleId: AlertRuleId, series: string, subject: Partial<AlertSubject>, more: Partial<Finding> = {}) {
  const place = { subjectId: series, workflowId: '', executionId: '', taskId: '', orchestratorId: 'edge-engine' };
  const whole = { workspace: 'default', source: 'edge', subjectKind: 'task' as const, ...place, ...subject };
  const plain = { metric: '', value: 1, threshold: 1, expected: 1, score: 1, effect: 2, baselineId: '', facts: [] };
  const rule = book.rule(ruleId, 'default', '', '');
  const finding: Finding = {
    ...{ rule, series, subject: whole, pool: '', ...plain, contributions: 1, strength: 'strong', p: null },
    ...{ errorKey: '', isIntrinsic: false, ...more },
  };
  return { row: judgement(0, { ...whole, ruleId, series, verdict: 'breach' }), finding };
}

const surge = () => breach('ANOMALY', 'workflow:edge/orders', { subjectKind: 'workflow', workflowId: 'orders' });
const slowDecisions = () =>
  breach(
    'HIGH_SCHEDULING_LATENCY',
    'orchestrator:edge/edge-engine',
    { subjectKind: 'orchestrator' },
    { isIntrinsic: true },
  );
const slowTask = (more: Partial<Finding> = {}) =>
  breach('PERFORMANCE_DEGRADATION', 'task:edge/orders/load', { workflowId: 'orders', taskId: 'load' }, more);
const failingTask = (taskId: string, more: Partial<Finding> = {}) =>
  breach('TASK_HIGH_FAILURE_RATE', `task:edge/orders/${taskId}`, { workflowId: 'orders', taskId }, more);
const backlog = () => breach('QUEUE_BACKLOG', 'queue:edge/default', { subjectKind: 'queue' }, { pool: 'default' });

function assign(causes: Causes, nowMs: number, ...rows: ReturnType<typeof breach>[]): string[] {
  causes.assign(rows, nowMs);
  return rows.map(({ row }) => row.cause);
}

const surgeName = 'ANOMALY workflow:edge/orders';
const slowName = 'PERFORMANCE_DEGRADATION task:edge/orders/load';

describe('a cause', () => {
  it('of slow decisions may be a surge of what has to be decided, and slow decisions that of slow tasks', () => {
    const causes = new Causes(() => new Set(['default']));
    expect(assign(causes, 0, surge(), slowDecisions())).toEqual(['', surgeName]);
    const others = new Causes(() => new Set(['default']));
    expect(assign(others, 0, slowDecisions(), slowTask())).toEqual([
      '',
      'HIGH_SCHEDULING_LATENCY orchestrator:edge/edge-engine',
    ]);
  });

  it('of a task that runs out of time is that it is slow; other failures, and those of other tasks, have their own', () => {
    const causes = new Causes(() => new Set(['default']));
    const rows = [slowTask(), failingTask('load', { isTimeout: true }), failingTask('store', { isTimeout: true })];
    expect(assign(causes, 0, ...rows)).toEqual(['', slowName, '']);
    expect(assign(new Causes(() => new Set()), 0, slowTask(), failingTask('load'))).toEqual(['', '']);
  });

  it('explains what stands on values from when it lasted, and not what came long after', () => {
    const nowMs = 120 * minuteMs;
    const late = () => {
      const causes = new Causes(() => new Set(['default']));
      assign(causes, 0, slowDecisions());
      return causes;
    };
    expect(assign(late(), nowMs, slowTask({ sinceMs: 10 * minuteMs }))[0]).not.toBe('');
    expect(assign(late(), nowMs, slowTask({ sinceMs: nowMs }))).toEqual(['']);
  });

  it('that is a surge is not over while what it left in queues is there, but for six hours at most; others are', () => {
    const causes = new Causes(() => new Set(['default']));
    assign(causes, 0, surge());
    const named: string[] = [];
    for (let atMs = 0; atMs <= 9 * 60 * minuteMs; atMs += 30 * minuteMs) named.push(...assign(causes, atMs, backlog()));
    // Six hours, and what a surge leaves behind for an hour and a half.
    expect(named.slice(0, 16)).toEqual(Array(16).fill(surgeName));
    expect(named.slice(16)).toEqual(['', '', '']);
    const others = new Causes(() => new Set(['default']));
    assign(others, 0, slowDecisions());
    const slow = [30, 60, 90].flatMap((minutes) => assign(others, minutes * minuteMs, slowTask()));
    expect(slow.map((name) => name !== '')).toEqual([true, false, false]);
  });
});
