import { orchestratorKinds } from '../../schemas/orchestrator-events.ts';
import type { OrchestratorBodies, OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import { encodeOrchestratorEvent, orchestratorBodyTypes } from '../../schemas/wire.ts';
import { nodeOf, randomBySeed, randomValue } from '../pipelines/sample-records.ts';
import { waitUntil } from '../support/launched.ts';
import type { OutgoingRecord, Telemetry } from '../support/pipeline-process.ts';

/** Ids as people choose them; nothing in them may end a text, a path, a pattern or a parameter. */
export const oddNames = [
  'плёнка/пул №1',
  `quo"te 'n' back\\slash`,
  '100 % {braces: Array(String)}',
  '🚚 queue\u2028line',
  '; DROP TABLE x --',
];

/** A report of a kind at an instant, in Avro; the header may be another one. */
export function report<Kind extends keyof OrchestratorBodies>(
  kind: Kind,
  eventTimeMs: number,
  body: OrchestratorBodies[Kind],
  header: Partial<OrchestratorRecord> = {},
): OutgoingRecord {
  const orchestratorId = header.orchestrator_id ?? 'airflow-1';
  const record = { workspace: 'acme', orchestrator_id: orchestratorId, event_time: eventTimeMs, ...header, kind, body };
  return {
    key: orchestratorId,
    value: encodeOrchestratorEvent(record as unknown as OrchestratorRecord),
    timestampMs: Date.now(),
  };
}

/** The same as plain JSON, the fields of the body beside those of the header. */
export function jsonReport(kind: string, eventTimeMs: number, body: object): OutgoingRecord {
  const record = { workspace: 'acme', orchestrator_id: 'airflow-1', event_time: eventTimeMs, kind, ...body };
  return { key: 'airflow-1', value: JSON.stringify(record), timestampMs: Date.now() };
}

/** Reports of all eight kinds with any values in any fields, over three hours, many of them of the same few things. */
export function drawReports(seed: number, count: number, endMs: number): OutgoingRecord[] {
  const random = randomBySeed(seed);
  const below = (n: number) => Math.floor(random() * n);
  return Array.from({ length: count }, (_, index) => {
    const kind = orchestratorKinds[index % orchestratorKinds.length];
    const body = { ...(randomValue(nodeOf(orchestratorBodyTypes[kind]), '', random) as Record<string, unknown>) };
    for (const id of ['pool_id', 'worker_id', 'queue_id']) if (id in body) body[id] = oddNames[below(oddNames.length)];
    if (kind === 'worker' && below(2) === 0) body.status = ['busy', 'idle', 'failed'][below(3)];
    const header = { orchestrator_id: `drawn-${below(3)}`, instance_id: ['a', 'b', null][below(3)] };
    return report(kind as 'worker', endMs - below(3 * 3600) * 1000, body as never, header);
  });
}

/** A few reports of every kind, each kind in a minute of its own, whose windows can be worked out by hand. */
export function knownReports(at: (minutes: number, seconds?: number) => number): OutgoingRecord[] {
  return [
    // A counter that begins anew, told in another order than it went.
    report('worker', at(1, 50), {
      worker_id: 'w-1',
      pool_id: 'p-1',
      status: 'idle',
      tasks_completed: 4,
      cpu_load: 0.1,
    }),
    report('worker', at(1, 10), {
      worker_id: 'w-1',
      pool_id: 'p-1',
      status: 'busy',
      tasks_completed: 5,
      cpu_load: 0.3,
    }),
    report('worker', at(1, 30), {
      worker_id: 'w-1',
      pool_id: 'p-1',
      status: 'failed',
      tasks_completed: 2,
      cpu_load: 0.2,
    }),
    report('worker', at(1, 20), {
      worker_id: 'w-1',
      pool_id: 'p-1',
      status: 'busy',
      tasks_completed: 9,
      cpu_load: 0.9,
    }),
    report('worker', at(31), { worker_id: 'w-1', pool_id: 'p-1', status: 'busy', tasks_completed: 10 }),
    report('queue_metrics', at(2, 5), {
      queue_id: oddNames[0],
      size: 40,
      wait_ms_mean: 1500,
      oldest_message_at: at(0, 5),
      enqueued: 100,
      dead_letters: 0,
    }),
    report('queue_metrics', at(2, 35), {
      queue_id: oddNames[0],
      size: 10,
      wait_ms_mean: 500,
      oldest_message_at: at(3),
      enqueued: 160,
      dead_letters: 2,
    }),
    report('orchestrator_metrics', at(3, 1), {
      health_status: 'healthy',
      health_score: 0.9,
      slots_total: 16,
      slots_used: 4,
      task_backlog: 7,
      scheduling_latency_ms_mean: 20,
    }),
    report('orchestrator_metrics', at(3, 2), {
      health_status: 'degraded',
      health_score: 0.5,
      slots_total: 16,
      slots_used: 16,
      task_backlog: 9,
      scheduling_latency_ms_mean: 40,
    }),
    report('orchestrator_metrics', at(4, 2), { health_status: 'healthy', health_score: 0.8 }),
    report('worker_pool', at(5), {
      pool_id: 'p-1',
      workers_total: 12,
      workers_busy: 3,
      slots_total: 24,
      tasks_queued: 2,
      cost_per_hour: 1.5,
    }),
    report('scheduling_decision', at(6), {
      decision_id: 'd-1',
      priority: 5,
      selected_pool: 'p-1',
      scheduling_latency_ms: 10,
      queue_ms: 100,
      outcome: 'placed',
    }),
    report('scheduling_decision', at(6), {
      decision_id: 'd-2',
      selected_pool: 'p-1',
      scheduling_latency_ms: 30,
      queue_ms: 300,
      outcome: 'placed',
    }),
    report('scheduling_decision', at(6), { decision_id: 'd-3', selected_pool: 'p-1', outcome: 'rejected' }),
    report('coordination_event', at(7, 1), {
      event_id: 'e-1',
      event_type: 'leader_election',
      outcome: 'elected',
      leader: 'n-1',
      consensus_ms: 900,
      election_count: 4,
      locks_active: 3,
    }),
    report('coordination_event', at(7, 2), {
      event_id: 'e-2',
      event_type: 'lock_wait',
      outcome: 'acquired',
      lock_contentions: 10,
      election_count: 4,
      locks_active: 5,
    }),
    report('coordination_event', at(7, 3), {
      event_id: 'e-3',
      event_type: 'lock_wait',
      outcome: 'timeout',
      lock_contentions: 11,
      lock_timeouts: 1,
    }),
    report('load_balancing', at(8), {
      algorithm: 'round_robin',
      pool_id: 'p-1',
      worker_loads: { 'w-1': 0.5 },
      fairness_index: 0.75,
      failovers: 3,
    }),
    report('load_balancing', at(8, 30), {
      algorithm: 'round_robin',
      pool_id: 'p-1',
      worker_loads: {},
      fairness_index: 0.25,
      failovers: 5,
    }),
    report('scaling_event', at(9), {
      scaling_id: 's-1',
      pool_id: 'p-1',
      action: 'scale_up',
      workers_from: 2,
      workers_to: 5,
      success: true,
      duration_ms: 4000,
      cost_impact: 1.26,
    }),
    report('scaling_event', at(9), {
      scaling_id: 's-2',
      pool_id: 'p-1',
      action: 'scale_up',
      workers_from: 5,
      workers_to: 9,
      success: false,
      cost_impact: 0,
    }),
    report('scaling_event', at(9), {
      scaling_id: 's-3',
      pool_id: 'p-1',
      action: 'scale_down',
      workers_from: 5,
      workers_to: 4,
      success: true,
      cost_impact: -0.42,
    }),
  ];
}

/** Waits until an hour is read from its row and not from its minutes any more. */
export async function awaitHour(telemetry: Telemetry, hourStartMs: number): Promise<void> {
  const done = await waitUntil(async () => {
    const [row] = await telemetry.rows<{ done: number }>(
      `SELECT toUnixTimestamp(max(boundary)) > ${hourStartMs / 1000} AS done FROM rollup_cursors WHERE target = 'orchestrator_hours'`,
    );
    return row?.done === 1;
  }, 120_000);
  if (!done) throw new Error(`the hour was not rolled up; the pipelines said:\n${telemetry.logs}`);
}
