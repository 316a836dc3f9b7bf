import { describe, expect, it } from 'vitest';
import { alertRuleIds } from '../../../schemas/alerts.ts';
import { AlertState } from '../../../services/alerts/alert-state.ts';
import { findSettingProblems, RuleBook, rules } from '../../../services/alerts/rules.ts';

describe('rules', () => {
  it('are there for every id, each with a threshold in its range', () => {
    expect(rules.map(({ id }) => id)).toEqual([...alertRuleIds]);
    for (const { threshold, range } of rules) {
      expect(threshold).toBeGreaterThanOrEqual(range[0]);
      expect(threshold).toBeLessThanOrEqual(range[1]);
    }
  });

  it('keep the thresholds of the families', () => {
    const book = new RuleBook();
    const threshold = (id: (typeof alertRuleIds)[number]) => book.rule(id, 'w', '', '').threshold;
    expect(threshold('HIGH_FAILURE_RATE')).toBe(0.2);
    expect(threshold('TASK_HIGH_FAILURE_RATE')).toBe(0.1);
    expect(threshold('ORCHESTRATOR_UNHEALTHY')).toBe(0.7);
    expect(threshold('CAPACITY_CRITICAL')).toBe(0.9);
    expect(threshold('HIGH_SCHEDULING_LATENCY')).toBe(1000);
    expect(threshold('QUEUE_BACKLOG')).toBe(1000);
  });
});

describe('a setting', () => {
  it('that cannot work is refused with the reason', () => {
    expect(findSettingProblems('HIGH_FAILURE_RATE', { threshold: 20 })).toEqual([
      'threshold is 20, and must be from 0.001 to 1 (ratio, failure_ratio)',
    ]);
    expect(findSettingProblems('HIGH_FAILURE_RATE', { unit: 'ms' })[0]).toContain('give it as a ratio');
    expect(findSettingProblems('QUEUE_BACKLOG', { metric: 'depth' })[0]).toContain('looks at size');
    expect(findSettingProblems('QUEUE_BACKLOG', { for_ms: 60_000 })[0]).toContain('less than the 300000 of a window');
    expect(findSettingProblems('NOTHING', {})[0]).toContain('there is no rule NOTHING');
    expect(findSettingProblems('QUEUE_BACKLOG', { threshold: 50, for_ms: 300_000, unit: 'count' })).toEqual([]);
  });

  it('of a workflow wins over that of the workspace, and other workspaces have their own', () => {
    const book = new RuleBook(
      new Map([
        [
          'shop',
          new Map([
            ['HIGH_FAILURE_RATE', { threshold: 0.3, for_ms: 0 }],
            ['HIGH_FAILURE_RATE/workflow/orders', { threshold: 0.05 }],
          ]),
        ],
      ]),
    );
    expect(book.rule('HIGH_FAILURE_RATE', 'shop', 'billing', '')).toMatchObject({ threshold: 0.3, forMs: 0 });
    expect(book.rule('HIGH_FAILURE_RATE', 'shop', 'orders', '')).toMatchObject({ threshold: 0.05, forMs: 0 });
    expect(book.rule('HIGH_FAILURE_RATE', 'default', 'orders', '')).toMatchObject({ threshold: 0.2, version: 1 });
    expect(book.rule('HIGH_FAILURE_RATE', 'shop', 'orders', '').version).not.toBe(1);
  });

  it('on the topic is followed, removed, or left out and told where it cannot work', () => {
    const refused: string[] = [];
    const state = new AlertState(({ key }, problems) => refused.push(`${key}: ${problems.join()}`));
    const change = { workspace: 'w', collection: 'alert-rules', changed_by: 'ann', changed_at: 1 };
    const threshold = () => state.bookOf().rule('QUEUE_BACKLOG', 'w', '', '').threshold;
    state.take({ ...change, key: 'QUEUE_BACKLOG', value: '{"threshold":50}' });
    expect(threshold()).toBe(50);
    state.take({ ...change, key: 'QUEUE_BACKLOG', value: '{"threshold":-1}' });
    state.take({ ...change, key: 'QUEUE_BACKLOG', value: 'no' });
    expect(threshold()).toBe(50);
    expect(refused).toHaveLength(2);
    state.take({ ...change, key: 'QUEUE_BACKLOG', value: null, deleted: true });
    expect(threshold()).toBe(1000);
    state.take({
      ...change,
      collection: 'alert-silences',
      key: 's',
      value: '{"match":{},"starts_at":0,"ends_at":9,"comment":""}',
    });
    expect(state.actsOf('w').silences.get('s')?.ends_at).toBe(9);
  });
});
