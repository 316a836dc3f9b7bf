import { nextDue, parseCron } from './cron.ts';
import { holds } from './expressions.ts';
import type { Trigger } from './workflow-model.ts';

/** Something that happened and may start executions; `fields` are what conditions read as `event`. */
export type TriggerEvent =
  | { type: 'manual' | 'api' }
  | { type: 'scheduled'; atMs: number }
  | { type: 'event'; event: string; fields: Readonly<Record<string, unknown>> }
  | { type: 'webhook'; path: string; fields: Readonly<Record<string, unknown>> }
  | { type: 'chain'; workflow: string; state: 'completed' | 'failed' };

/**
 * Whether an event starts an execution. People and the API may start any workflow. A condition that does not fit the
 * fields of an event throws an ExpressionError, for the caller to report: silence would hide a broken trigger.
 */
export function startsExecution(trigger: Trigger, event: TriggerEvent): boolean {
  switch (event.type) {
    case 'manual':
    case 'api':
      return true;
    case 'scheduled':
      return trigger.type === 'scheduled' && nextDue(parseCron(trigger.cron), event.atMs - 1) === event.atMs;
    case 'event':
      return trigger.type === 'event' && trigger.event === event.event && meets(trigger.when, event.fields);
    case 'webhook':
      return trigger.type === 'webhook' && trigger.path === event.path && meets(trigger.when, event.fields);
    case 'chain': {
      if (trigger.type !== 'chain' || trigger.workflow !== event.workflow) return false;
      const { on = 'completed' } = trigger;
      return on === 'any' || on === event.state;
    }
  }
}

function meets(when: string | undefined, fields: Readonly<Record<string, unknown>>): boolean {
  return when === undefined || holds(when, (name) => (name === 'event' ? fields : null));
}
