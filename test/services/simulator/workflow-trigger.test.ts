import { describe, expect, it } from 'vitest';
import type { Trigger } from '../../../services/simulator/workflow-model.ts';
import { startsExecution } from '../../../services/simulator/workflow-trigger.ts';

const atMs = Date.UTC(2026, 10, 2, 9, 15);

describe('what starts an execution', () => {
  it('is a person or the API, whatever the trigger', () => {
    const trigger: Trigger = { type: 'scheduled', cron: '15 * * * *' };
    expect([startsExecution(trigger, { type: 'manual' }), startsExecution(trigger, { type: 'api' })]).toEqual([
      true,
      true,
    ]);
  });

  it('is the minute of a schedule, and no other', () => {
    const trigger: Trigger = { type: 'scheduled', cron: '15 9 * * *' };
    const starts = (minutes: number) => startsExecution(trigger, { type: 'scheduled', atMs: atMs + minutes * 60_000 });
    expect([starts(0), starts(1), starts(60), starts(24 * 60)]).toEqual([true, false, false, true]);
  });

  it('is an event of the type, where the condition holds', () => {
    const trigger: Trigger = { type: 'event', event: 'order.placed', when: 'event.total > 10' };
    const starts = (event: string, total: number) =>
      startsExecution(trigger, { type: 'event', event, fields: { total } });
    expect([starts('order.placed', 11), starts('order.placed', 9), starts('order.paid', 11)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(() => startsExecution(trigger, { type: 'event', event: 'order.placed', fields: {} })).toThrow(
      'cannot compare',
    );
  });

  it('is a request to the path of a webhook', () => {
    const trigger: Trigger = { type: 'webhook', path: '/git/push', when: "event.branch == 'main'" };
    const starts = (path: string, branch: string) =>
      startsExecution(trigger, { type: 'webhook', path, fields: { branch } });
    expect([starts('/git/push', 'main'), starts('/git/push', 'x'), starts('/other', 'main')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('is the end of another workflow: its completion, its failure or either', () => {
    const starts = (on: 'completed' | 'failed' | 'any' | undefined, state: 'completed' | 'failed', workflow = 'etl') =>
      startsExecution({ type: 'chain', workflow: 'etl', ...(on && { on }) }, { type: 'chain', workflow, state });
    expect([starts(undefined, 'completed'), starts(undefined, 'failed')]).toEqual([true, false]);
    expect([starts('failed', 'failed'), starts('failed', 'completed')]).toEqual([true, false]);
    expect([starts('any', 'failed'), starts('any', 'completed', 'other')]).toEqual([true, false]);
  });
});
