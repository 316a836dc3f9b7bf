import { expect, it } from 'vitest';
import type { ReportWindow } from '../../../clickhouse/queries/alert-inputs.ts';
import { titleOf } from '../../../services/alerts/announcement.ts';
import { ReportJudge } from '../../../services/alerts/judge-reports.ts';
import { RuleBook } from '../../../services/alerts/rules.ts';
import { judgement, startMs, windowMs } from './judgements.ts';

const poolOf = (measures: ReportWindow['measures']): ReportWindow => ({
  workspace: 'default',
  source: 'airflow',
  orchestratorId: 'airflow-prod',
  kind: 'worker_pool',
  id: 'etl',
  pool: 'etl',
  contributions: 1,
  measures,
});

it('a pool that has lost all of its slots is in use altogether, and says how many tasks wait', () => {
  const judge = new ReportJudge(new RuleBook());
  const judgeWindow = (window: number, measures: ReportWindow['measures']) =>
    [...judge.judge([poolOf(measures)], startMs + window * windowMs)].find(
      ({ rule }) => rule.id === 'CAPACITY_CRITICAL',
    );
  for (let window = 0; window < 4 * 288; window++) {
    const usual = judgeWindow(window, { slots_total: 4, slots_load: 0.5, tasks_queued: window % 3 });
    expect(usual?.strength).toBe('none');
  }
  const found = judgeWindow(4 * 288, { slots_total: 0, tasks_queued: 7 });
  expect(found).toMatchObject({
    strength: 'strong',
    value: 1,
    facts: ['It has 0 slots, and usual are at least 4', '7 tasks wait'],
  });
  const told = judgement(0, { ruleId: 'CAPACITY_CRITICAL', subjectId: 'airflow/etl', metric: 'slots_load', value: 1 });
  expect(titleOf(told)).toBe('Worker pool airflow/etl: capacity utilization at 100 %');
});
