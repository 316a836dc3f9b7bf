import { orchestratorKinds } from '../../schemas/events.ts';
import type { OrchestratorBodies, OrchestratorRecord } from '../../schemas/records.ts';
import { encodeOrchestratorEvent, orchestratorBodyTypes } from '../../schemas/wire.ts';
import { nodeOf, randomBySeed, randomValue } from '../pipelines/sample-records.ts';
import type { OutgoingRecord } from '../support/pipeline-process.ts';

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
