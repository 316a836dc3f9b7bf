import { describe, expect, it } from 'vitest';
import { Causes } from '../../../services/alerts/causes.ts';
import { type Finding, Policy } from '../../../services/alerts/finding.ts';
import { RuleBook } from '../../../services/alerts/rules.ts';
import { judgement } from './judgements.ts';

const rule = new RuleBook().rule('PERFORMANCE_DEGRADATION', 'default', 'orders', '');

function makeFinding(more: Partial<Finding> = {}): Finding {
  return {
    rule,
    series: 'task:airflow/orders/load',
    subject: {
      workspace: 'default',
      source: 'airflow',
      subjectKind: 'task',
      subjectId: 'orders/load',
      workflowId: 'orders',
      executionId: '',
      taskId: 'load',
      orchestratorId: 'airflow',
    },
    pool: '',
    metric: 'duration_ms',
    value: 1,
    threshold: 1,
    expected: 1,
    score: 1,
    effect: 2,
    baselineId: '',
    facts: [],
    contributions: 1,
    strength: 'strong',
    p: null,
    errorKey: '',
    isIntrinsic: false,
    ...more,
  };
}

const decideAll = (findings: readonly Partial<Finding>[]) => {
  const policy = new Policy();
  return findings.map((finding) => policy.decide(makeFinding(finding)));
};

describe('what becomes of findings', () => {
  it('a threshold that is breached needs no more, and a weak one needs another', () => {
    expect(decideAll([{}])).toEqual(['breach']);
    expect(decideAll([{ strength: 'weak' }, { strength: 'weak' }])).toEqual(['suspect', 'breach']);
    expect(decideAll([{ strength: 'weak' }, { strength: 'none' }, { strength: 'none' }, { strength: 'weak' }])).toEqual(
      ['suspect', 'quiet', 'quiet', 'suspect'],
    );
  });

  it('where chance is at work, weak windows begin nothing however many they are, and go on with what has begun', () => {
    const weak = { strength: 'weak', p: 4e-3 } as const;
    expect(decideAll([weak, weak, weak, weak, weak, weak])).toEqual(Array(6).fill('suspect'));
    expect(decideAll([{ p: 1e-12 }, weak, weak])).toEqual(['breach', 'breach', 'breach']);
  });

  it('of many that chance makes strong, hardly any is told', () => {
    const policy = new Policy();
    let told = 0;
    for (let series = 0; series < 500; series++) {
      const p = 1e-4 * (((series + 1) * 0.618) % 1);
      if (policy.decide(makeFinding({ series: `task:airflow/orders/t${series}`, p })) === 'breach') told++;
    }
    expect(told).toBeLessThan(5);
  });
});

describe('workflows of one orchestrator that begin far too often', () => {
  it('are one alert, of the one that did so first, and of the most at once', () => {
    const causes = new Causes(() => new Set());
    const surge = (workflowId: string, value: number) => {
      const series = `workflow:edge/${workflowId}`;
      const subject = {
        ...makeFinding().subject,
        source: 'edge',
        subjectKind: 'workflow',
        workflowId,
        taskId: '',
      } as const;
      const finding = makeFinding({ rule: new RuleBook().rule('ANOMALY', 'default', '', ''), series, subject, value });
      return { row: judgement(0, { ...subject, ruleId: 'ANOMALY', series, value, verdict: 'breach' }), finding };
    };
    const assign = (nowMs: number, ...surges: ReturnType<typeof surge>[]) => {
      causes.assign(surges, nowMs);
      return surges.map(({ row }) => row.cause);
    };
    expect(assign(0, surge('child', 18), surge('parent', 21))).toEqual(['ANOMALY workflow:edge/parent', '']);
    expect(assign(300_000, surge('child', 40), surge('parent', 20))).toEqual(['ANOMALY workflow:edge/parent', '']);
    expect(assign(600_000, surge('a-late-one', 90))).toEqual(['ANOMALY workflow:edge/parent']);
  });
});
