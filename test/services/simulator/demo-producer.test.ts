import { expect, it } from 'vitest';
import type { CommandRecord, CommandRequestRecord } from '../../../schemas/records.ts';
import { DemoProducer } from '../../../services/simulator/demo-producer.ts';
import {
  beginDemo,
  type DemoState,
  decodeState,
  encodeState,
  resumeDemo,
} from '../../../services/simulator/demo-state.ts';
import { CommandBook } from '../../../services/simulator/obey.ts';
import type { OutgoingMessage } from '../../../services/simulator/outgoing-messages.ts';
import { dayStartMs, hourMs } from './simulated-days.ts';

const liveFromMs = dayStartMs + 2 * hourMs;
const wishes = { scenario: 'demo', seed: 1, scale: 1, historyDays: 1, nowMs: liveFromMs } as const;
const minuteMs = 60_000;

/** Brokers and a clock in memory; the clock goes on by a few seconds with each sleep. */
class FakeBrokers {
  nowMs = liveFromMs;
  readonly sent: OutgoingMessage[] = [];
  readonly commands: CommandRecord[] = [];
  readonly truths: string[] = [];
  state: DemoState | null = null;
  progress = 0;
  /** What had been sent when the state was saved last. */
  savedAt = 0;

  /** Runs a demo until `untilMs`; one that crashes leaves nothing but what the brokers have. */
  async run(untilMs: number, meanwhile: (demo: DemoProducer) => void = () => {}): Promise<void> {
    const book = new CommandBook();
    for (const record of this.commands) book.note(record);
    const state = this.state === null ? beginDemo(wishes) : resumeDemo(this.state, { ...wishes, nowMs: this.nowMs });
    const demo = new DemoProducer(state, book, {
      send: async (messages) => void this.sent.push(...messages),
      sendTruths: async (records) => void this.truths.push(...records.map(({ id }) => id)),
      sendOutcome: async (record) => void this.commands.push(record),
      saveState: async (current) => {
        this.state = decodeState(encodeState(current));
        this.savedAt = this.sent.length;
      },
      nowMs: () => this.nowMs,
      sleep: async () => {
        this.nowMs += 5_000;
        meanwhile(demo);
        if (this.nowMs >= untilMs) demo.stop();
      },
      progress: ({ ratio }) => {
        this.progress = ratio;
      },
    });
    for (const record of book.open) demo.request(record);
    await demo.run();
  }

  outcomesOf(commandId: string): string[] {
    return this.commands.flatMap(({ outcome }) => (outcome?.command_id === commandId ? [outcome.outcome] : []));
  }
}

const textOf = ({ topic, key, value }: OutgoingMessage) => `${topic} ${key} ${value.toString('base64')}`;

function ask(brokers: FakeBrokers, demo: DemoProducer | null, request: Partial<CommandRequestRecord>): void {
  const times = { requested_at: brokers.nowMs, expires_at: brokers.nowMs + minuteMs };
  const base = { command_id: 'one', kind: 'pause', workflow_id: 'order_saga', parameters: '{}', requested_by: 'test' };
  const record = {
    workspace: 'default',
    source: 'temporal',
    request: { ...base, ...times, ...request },
    outcome: null,
  };
  brokers.commands.push(record);
  demo?.request(record);
}

it('sends history and live telemetry at once, and goes on after a stop without a hole or a repetition', async () => {
  const untilMs = liveFromMs + 40 * minuteMs;
  const whole = new FakeBrokers();
  await whole.run(untilMs);
  expect(whole.progress).toBe(1);
  const parted = new FakeBrokers();
  await parted.run(liveFromMs + 15 * minuteMs);
  // The demo is away for ten minutes, and afterwards tells of them as well.
  parted.nowMs = liveFromMs + 25 * minuteMs;
  await parted.run(untilMs);
  expect(parted.sent.map(textOf).toSorted()).toEqual(whole.sent.map(textOf).toSorted());
  expect(parted.truths.toSorted()).toEqual(whole.truths.toSorted());
});

it('sends again after a crash at most what was sent since the state was saved', async () => {
  const untilMs = liveFromMs + 30 * minuteMs;
  const whole = new FakeBrokers();
  await whole.run(untilMs);
  const crashed = new FakeBrokers();
  await crashed.run(liveFromMs + 5 * minuteMs);
  const state = crashed.state;
  const kept = crashed.savedAt;
  await crashed.run(liveFromMs + 10 * minuteMs);
  const lostMarks = crashed.sent.length - kept;
  crashed.state = state;
  await crashed.run(untilMs);
  const counts = new Map<string, number>();
  for (const text of crashed.sent.map(textOf)) counts.set(text, (counts.get(text) ?? 0) + 1);
  for (const text of whole.sent.map(textOf)) counts.set(text, (counts.get(text) ?? 0) - 1);
  expect([...counts.values()].some((count) => count < 0)).toBe(false);
  expect([...counts.values()].reduce((sum, count) => sum + count, 0)).toBe(lostMarks);
});

it('gives history the time of its events, and live records the time at which they are sent', async () => {
  const brokers = new FakeBrokers();
  await brokers.run(liveFromMs + 2 * minuteMs);
  const times = brokers.sent.map(({ timestampMs }) => timestampMs);
  expect(Math.min(...times)).toBeLessThan(dayStartMs - 22 * hourMs);
  expect(Math.max(...times)).toBeGreaterThan(liveFromMs + minuteMs);
  expect(Math.max(...times)).toBeLessThanOrEqual(liveFromMs + 2 * minuteMs + 5_000);
});

it('carries out a command once, however often it is delivered and whenever it is started anew', async () => {
  const brokers = new FakeBrokers();
  let asked = 0;
  await brokers.run(liveFromMs + 10 * minuteMs, (demo) => {
    if (brokers.nowMs < liveFromMs + 5 * minuteMs || asked++ > 1) return;
    ask(brokers, demo, {
      command_id: 'one',
      kind: 'scale_pool',
      workflow_id: null,
      pool_id: 'temporal-shop/default',
      parameters: '{"target_workers":6}',
    });
  });
  expect(brokers.outcomesOf('one')).toEqual(['accepted', 'done', 'done']);
  expect(brokers.commands.at(-1)?.outcome?.message).toContain('delivered again');
  await brokers.run(liveFromMs + 20 * minuteMs);
  expect(brokers.outcomesOf('one')).toEqual(['accepted', 'done', 'done']);
  ask(brokers, null, { command_id: 'one', kind: 'scale_pool', pool_id: 'temporal-shop/default' });
  await brokers.run(liveFromMs + 21 * minuteMs);
  expect(brokers.outcomesOf('one')).toEqual(['accepted', 'done', 'done', 'done']);
  const scalings = brokers.sent.filter(
    ({ topic, value }) => topic === 'orchestrators' && value.includes('asked for by a command'),
  );
  expect(scalings).toHaveLength(1);
});

it('does what was accepted before a crash, at the same instant as it would have been done', async () => {
  const brokers = new FakeBrokers();
  let asked = false;
  await brokers.run(liveFromMs + 10 * minuteMs, (demo) => {
    if (asked) return;
    asked = true;
    ask(brokers, demo, { command_id: 'two', kind: 'change_concurrency', parameters: '{"concurrency":1}' });
  });
  expect(brokers.outcomesOf('two')).toEqual(['accepted', 'done']);
  const crashed = new FakeBrokers();
  crashed.state = beginDemo(wishes);
  crashed.commands.push(...brokers.commands.slice(0, 2));
  await crashed.run(liveFromMs + 10 * minuteMs);
  expect(crashed.outcomesOf('two')).toEqual(['accepted', 'done']);
  expect(crashed.sent.map(textOf).toSorted()).toEqual(brokers.sent.map(textOf).toSorted());
});

it('says why it does not obey', async () => {
  const brokers = new FakeBrokers();
  ask(brokers, null, { command_id: 'late', expires_at: liveFromMs });
  ask(brokers, null, { command_id: 'unapproved', approval_required: true });
  ask(brokers, null, { command_id: 'odd', kind: 'fly' });
  ask(brokers, null, { command_id: 'first', idempotency_key: 'k' });
  ask(brokers, null, { command_id: 'twin', idempotency_key: 'k' });
  ask(brokers, null, { command_id: 'nobody', kind: 'cancel', execution_id: 'unknown' });
  ask(brokers, null, {
    command_id: 'malformed',
    kind: 'scale_pool',
    pool_id: 'temporal-shop/default',
    parameters: '[',
  });
  ask(brokers, null, { command_id: 'dry', kind: 'resume', dry_run: true });
  await brokers.run(liveFromMs + minuteMs);
  expect(brokers.outcomesOf('late')).toEqual(['expired']);
  expect(brokers.outcomesOf('unapproved')).toEqual(['rejected']);
  expect(brokers.outcomesOf('odd')).toEqual(['rejected']);
  expect(brokers.outcomesOf('first')).toEqual(['accepted', 'done']);
  expect(brokers.outcomesOf('twin')).toEqual(['rejected']);
  expect(brokers.outcomesOf('nobody')).toEqual(['accepted', 'failed']);
  expect(brokers.outcomesOf('malformed')).toEqual(['accepted', 'failed']);
  expect(brokers.outcomesOf('dry')).toEqual(['accepted', 'done']);
  ask(brokers, null, {
    command_id: 'unapproved',
    approval_required: true,
    approved_by: 'amina',
    approved_at: brokers.nowMs,
  });
  await brokers.run(brokers.nowMs + minuteMs);
  expect(brokers.outcomesOf('unapproved')).toEqual(['rejected', 'accepted', 'failed']);
});

it('cancels, retries, restarts and pauses runs that are asked for', async () => {
  const brokers = new FakeBrokers();
  const begun: string[] = [];
  let step = 0;
  await brokers.run(liveFromMs + 20 * minuteMs, (demo) => {
    const last = brokers.sent.findLast(({ topic, key }) => topic === 'executions' && key.startsWith('orders_etl'));
    if (brokers.nowMs < liveFromMs + 10 * minuteMs + 20_000 || last === undefined || step > 5) return;
    const execution_id = begun[0] ?? last.key;
    begun.push(execution_id);
    const kinds = ['pause', 'resume', 'cancel', 'retry', 'restart_task'] as const;
    const kind = kinds[step++];
    if (kind !== undefined)
      ask(brokers, demo, { command_id: kind, kind, execution_id, workflow_id: null, task_id: 'wait_for_export' });
  });
  for (const kind of ['pause', 'resume', 'cancel', 'retry', 'restart_task']) {
    expect([kind, ...brokers.outcomesOf(kind)]).toEqual([kind, 'accepted', 'done']);
  }
});
