import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import { encodeExecutionEvent, encodeTaskEvent } from '../../schemas/wire.ts';
import { type OddEvent, type Oddity, type OddityRatios, oddityDefaults, sendRun } from './oddities.ts';
import { type Poison, pickPoison } from './poison.ts';
import { createRandom, type Random } from './random.ts';
import { planRun } from './run.ts';
import { SendQueue } from './send-queue.ts';
import { type DemoWorkflow, demoWorkflows } from './workflows.ts';

/** One Kafka record to be sent: what it says, how it is encoded, and when its turn comes in virtual time. */
export interface DemoEvent {
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

export interface DemoOptions {
  seed: number;
  startMs: number;
  eventsPerSecond: number;
  workflows: readonly DemoWorkflow[];
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

const demoDefaults = {
  workflows: demoWorkflows,
  oddities: oddityDefaults,
  rerunRatio: 0.04,
  avroRatio: 0.7,
  // Rare, but a newcomer sees a dead letter within minutes.
  poisonRatio: 0.0005,
  farRecords: 20_000,
} as const satisfies Partial<DemoOptions>;

/**
 * Telemetry without end, in the order in which it is to be sent. A pure function of its options: runs begin at
 * random moments of virtual time, each is played to its end at once, and its records wait until their turn comes.
 */
export function* createDemo(
  given: Partial<DemoOptions> & Pick<DemoOptions, 'seed' | 'startMs' | 'eventsPerSecond'>,
): Generator<DemoEvent, never, void> {
  const options: DemoOptions = { ...demoDefaults, ...given };
  const random = createRandom(options.seed);
  const waiting = new SendQueue<OddEvent>();
  const msBetweenRuns = (1000 * recordsPerRun(options)) / options.eventsPerSecond;
  // Ids of another start of the demo must not be met again: each second has room for 10 000 runs.
  let serial = (Math.floor(options.startMs / 1000) % 100_000_000) * 10_000;
  for (let nextRunMs = options.startMs; ; nextRunMs += random.exponential(msBetweenRuns)) {
    while (waiting.nextMs < nextRunMs) yield* encode(waiting.take(), options, random);
    serial++;
    for (const event of startRun(options, random, serial, Math.floor(nextRunMs))) waiting.add(event);
  }
}

function startRun(options: DemoOptions, random: Random, serial: number, startMs: number): OddEvent[] {
  const { oddities, eventsPerSecond, farRecords, rerunRatio } = options;
  const planned = planRun(pickWorkflow(options.workflows, random), { serial, startMs, rerunRatio }, random);
  return sendRun(planned, { ratios: oddities, random, farMs: (1000 * farRecords) / eventsPerSecond });
}

function pickWorkflow(workflows: readonly DemoWorkflow[], random: Random): DemoWorkflow {
  const total = workflows.reduce((sum, { weight }) => sum + weight, 0);
  let drawn = random.next() * total;
  for (const workflow of workflows) {
    drawn -= workflow.weight;
    if (drawn < 0) return workflow;
  }
  return workflows[0];
}

/** The mean over a sample, so that the rate holds whatever workflows and ratios are given. */
function recordsPerRun(options: DemoOptions): number {
  const random = createRandom(0);
  const runs = 400;
  let records = 0;
  for (let serial = 0; serial < runs; serial++) records += startRun(options, random, serial, 1_700_000_000_000).length;
  return (records * (1 + options.poisonRatio)) / runs;
}

function* encode(event: OddEvent, options: DemoOptions, random: Random): Generator<DemoEvent, void, void> {
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
