import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import { encodeExecutionEvent, encodeTaskEvent } from '../../schemas/wire.ts';
import {
  type OddEvent,
  type Oddity,
  type OddityRatios,
  oddityDefaults,
  sendRun,
} from '../../services/simulator/oddities.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { SendQueue } from '../../services/simulator/send-queue.ts';
import { planRun } from './odd-runs.ts';
import { type OddWorkflow, oddWorkflows } from './odd-workflows.ts';
import { type Poison, pickPoison } from './poison.ts';

/** One Kafka record to be sent: what it says, how it is encoded, and when its turn comes in virtual time. */
export interface OddRecord {
  topic: 'executions' | 'tasks';
  key: string;
  /** Under wire names; null for poison. */
  record: ExecutionRecord | TaskRecord | null;
  value: Buffer | null;
  encoding: 'avro' | 'json';
  /** When the event says that it happened; for poison, when it is sent. */
  eventTimeMs: number;
  sendAtMs: number;
  oddities: readonly Oddity[];
  poison: Poison | null;
}

export interface OddTelemetryOptions {
  seed: number;
  startMs: number;
  eventsPerSecond: number;
  workflows: readonly OddWorkflow[];
  oddities: OddityRatios;
  /** Chance that a finished run is run again under its id. */
  rerunRatio: number;
  /** Share of records in Avro; the others are JSON. */
  avroRatio: number;
  /** Poison for each good record. */
  poisonRatio: number;
  /** After about how many other records a far duplicate comes. */
  farRecords: number;
}

const oddTelemetryDefaults = {
  workflows: oddWorkflows,
  oddities: oddityDefaults,
  rerunRatio: 0.04,
  avroRatio: 0.7,
  poisonRatio: 0.0005,
  farRecords: 20_000,
} as const satisfies Partial<OddTelemetryOptions>;

/**
 * Telemetry that is as odd as it gets: in both encodings, carelessly written, repeated, late and out of order, with poison of
 * every kind, at any rate. The simulated fleet is what a demo shows; this is what a pipeline has to bear. Without end, in the order in which it is to be sent. A pure function of its options: runs begin at
 * random moments of virtual time, each is played to its end at once, and its records wait until their turn comes.
 */
export function* createOddTelemetry(
  given: Partial<OddTelemetryOptions> & Pick<OddTelemetryOptions, 'seed' | 'startMs' | 'eventsPerSecond'>,
): Generator<OddRecord, never, void> {
  const options: OddTelemetryOptions = { ...oddTelemetryDefaults, ...given };
  const random = createRandom(options.seed);
  const waiting = new SendQueue<OddEvent>();
  const msBetweenRuns = (1000 * recordsPerRun(options)) / options.eventsPerSecond;
  // Ids of another start must not be met again: each second has room for 10 000 runs.
  let serial = (Math.floor(options.startMs / 1000) % 100_000_000) * 10_000;
  for (let nextRunMs = options.startMs; ; nextRunMs += random.exponential(msBetweenRuns)) {
    while (waiting.nextMs < nextRunMs) yield* encode(waiting.take(), options, random);
    serial++;
    for (const event of startRun(options, random, serial, Math.floor(nextRunMs))) waiting.add(event);
  }
}

function startRun(options: OddTelemetryOptions, random: Random, serial: number, startMs: number): OddEvent[] {
  const { oddities, eventsPerSecond, farRecords, rerunRatio } = options;
  const planned = planRun(pickWorkflow(options.workflows, random), { serial, startMs, rerunRatio }, random);
  return sendRun(planned, { ratios: oddities, random, farMs: (1000 * farRecords) / eventsPerSecond });
}

function pickWorkflow(workflows: readonly OddWorkflow[], random: Random): OddWorkflow {
  const total = workflows.reduce((sum, { weight }) => sum + weight, 0);
  let drawn = random.next() * total;
  for (const workflow of workflows) {
    drawn -= workflow.weight;
    if (drawn < 0) return workflow;
  }
  return workflows[0];
}

/** The mean over a sample, so that the rate holds whatever workflows and ratios are given. */
function recordsPerRun(options: OddTelemetryOptions): number {
  const random = createRandom(0);
  const runs = 400;
  let records = 0;
  for (let serial = 0; serial < runs; serial++) records += startRun(options, random, serial, 1_700_000_000_000).length;
  return (records * (1 + options.poisonRatio)) / runs;
}

function* encode(event: OddEvent, options: OddTelemetryOptions, random: Random): Generator<OddRecord, void, void> {
  const { topic, record, sendAtMs, oddities } = event;
  const isLoose = oddities.includes('loose');
  const isAvro = !isLoose && random.chance(options.avroRatio);
  const place = { topic, key: record.execution_id, encoding: isAvro ? 'avro' : 'json', sendAtMs } as const;
  const value = isAvro ? encodeAvro(event) : Buffer.from(JSON.stringify(isLoose ? loosen(record) : record));
  yield { ...place, record, value, eventTimeMs: record.event_time, oddities, poison: null };
  if (random.chance(options.poisonRatio)) {
    const poisoned = pickPoison(event, random);
    yield { ...place, ...poisoned, record: null, eventTimeMs: sendAtMs, oddities: [] };
  }
}

function encodeAvro(event: OddEvent): Buffer {
  return event.topic === 'tasks' ? encodeTaskEvent(event.record) : encodeExecutionEvent(event.record);
}

/** The same said as careless producers say it; it must mean the same. */
function loosen(record: ExecutionRecord | TaskRecord): Record<string, unknown> {
  const { event_time, duration_ms, state, attempt, queued_at, ...rest } = record;
  return {
    ...rest,
    state: `TaskInstanceState.${state.toUpperCase()}`,
    event_time: new Date(event_time).toISOString().replace('Z', '+00:00'),
    ...(queued_at == null ? {} : { queued_at: new Date(queued_at).toISOString().replace('T', ' ') }),
    ...(duration_ms == null ? {} : { duration_ms: String(duration_ms) }),
    ...(attempt === undefined ? {} : { attempt: String(attempt) }),
    shard_of_scheduler: 'b',
  };
}
