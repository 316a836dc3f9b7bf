import type { JudgementRow } from '../../clickhouse/tables/alerts.ts';
import { ruleOf } from './rules.ts';
import { describeDuration, describeShare, describeTimes, rounded } from './wording.ts';

/** What an alert says to people. */

/** Effects that are named; the others are counted. */
const effectsNamed = 10;

export function titleOf(judgement: JudgementRow): string {
  const { subjectId, value, effect, metric, ruleId } = judgement;
  const words: Record<string, string> = {
    subject: subjectId,
    value: value === null ? 'unknown' : describeValue(metric, value),
    effect: effect === null ? '' : describeTimes(effect),
    metric: metric.replaceAll('_', ' '),
  };
  return ruleOf(ruleId).message.replace(/\{(\w+)\}/g, (_, word: string) => words[word] ?? '');
}

function describeValue(metric: string, value: number): string {
  if (metric.endsWith('_ratio') || metric.endsWith('_load')) return describeShare(value);
  if (/_ms(_|$)/.test(metric)) return describeDuration(value);
  return String(rounded(value));
}

export function describeChange(judgement: JudgementRow, effects: ReadonlySet<string>) {
  const named = [...effects].toSorted().slice(0, effectsNamed);
  const more = effects.size - named.length;
  const explained =
    effects.size === 0
      ? []
      : [`It explains ${effects.size} other findings: ${named.join('; ')}${more > 0 ? `; and ${more} more` : ''}`];
  const { ruleId, subjectKind, severity, workflowId, taskId, orchestratorId } = judgement;
  const labels: Record<string, string> = {
    rule: ruleId,
    type: ruleOf(ruleId).type,
    subject_kind: subjectKind,
    severity,
    effects: String(effects.size),
  };
  if (workflowId !== '') labels.workflow = workflowId;
  if (taskId !== '') labels.task = taskId;
  if (orchestratorId !== '') labels.orchestrator = orchestratorId;
  return {
    description: [...judgement.facts, ...explained].map((fact) => `${fact}.`).join(' '),
    recommendations: [ruleOf(ruleId).runbook],
    labels,
  };
}
