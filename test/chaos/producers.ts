import type { Type } from 'avsc';
import { createProducer, type Producer } from '../../pipelines/kafka.ts';
import { parseAvroType } from '../../schemas/avro-reader.ts';
import { confluentEncoder, executionType, olderExecutionTypes, olderTaskTypes, taskType } from '../../schemas/wire.ts';
import { oddityDefaults } from '../../services/simulator/oddities.ts';
import { createRandom, type Random } from '../../services/simulator/random.ts';
import { drawReports } from '../integration/report-records.ts';
import { pause } from '../support/launched.ts';
import { createOddTelemetry, type OddRecord } from '../support/odd-telemetry.ts';
import type { Kind, OutgoingRecord } from '../support/pipeline-process.ts';
import { kinds, type Stand } from './stand.ts';

const tickMs = 150;
const hourMs = 3_600_000;
/** Virtual time goes this much faster, so that hours and days pass within a run. */
const speed = 200;
const mostVirtualMs = 26 * hourMs;
const oddities = { ...oddityDefaults, disorder: 0.2, late: 0.02, nearDuplicate: 0.03, farDuplicate: 0.02 };
const poisonRatio = 0.015;
/** Of records: kept back, and sent hours after what they tell of. */
const heldRatio = 0.01;
const heldTicks = 200;
const farReports = 400;

interface ProducerOptions {
  seed: number;
  seconds: number;
  /** Records a second of executions and tasks together, and of reports. */
  runsPerSecond: number;
  reportsPerSecond: number;
}

interface Outgoing {
  kind: Kind;
  record: OutgoingRecord;
}

/** Sends telemetry of the worst kind as fast as the brokers acknowledge it. What was not acknowledged is sent again, all of it. */
export class Producers {
  readonly #stand: Stand;
  readonly #options: ProducerOptions;
  readonly #random: Random;
  readonly #reports: OutgoingRecord[] = [];
  #producer: Producer | null = null;
  #demo: ReturnType<typeof createOddTelemetry>;
  #generation = 0;
  #held: { tick: number; outgoing: Outgoing }[] = [];
  #tick = 0;
  #isOver = false;
  #isPaused = false;
  #isIdle = false;
  #running: Promise<void> = Promise.resolve();
  #evolved: { types: Record<'executions' | 'tasks', (record: object) => Buffer>; marker: string } | null = null;
  readonly sent: Record<Kind, number> = { executions: 0, tasks: 0, orchestrators: 0 };
  repeatedBatches = 0;

  constructor(stand: Stand, options: ProducerOptions) {
    this.#stand = stand;
    this.#options = options;
    this.#random = createRandom(options.seed);
    this.#demo = this.#beginTelemetry();
  }

  #beginTelemetry(): ReturnType<typeof createOddTelemetry> {
    const { seed, seconds, runsPerSecond } = this.#options;
    const virtualMs = Math.min(mostVirtualMs, seconds * speed * 1000);
    // Each generation has ids of its own: they are made of its first second.
    const startMs = Math.floor(Date.now() / 1000) * 1000 - mostVirtualMs - 2 * hourMs + this.#generation * 1000;
    const eventsPerSecond = (seconds * runsPerSecond * 1000) / virtualMs;
    return createOddTelemetry({
      seed: seed + this.#generation,
      startMs,
      eventsPerSecond,
      poisonRatio,
      farRecords: 4_000,
      oddities,
    });
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    await this.#producer?.disconnect();
    this.#producer = null;
  }

  /** Nothing is under way any more when this resolves. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    while (!this.#isIdle) await pause(20);
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Begins anew, with other executions and a client that knows the topics as they are: what was still to come is left out. */
  async renew(): Promise<void> {
    await this.#producer?.disconnect();
    this.#producer = null;
    this.#generation++;
    this.#held = [];
    this.#demo = this.#beginTelemetry();
    this.#reports.length = 0;
  }

  /** Half of the records are written with a newer schema from now on, and some with the oldest one. */
  evolve(marker: string): number[] {
    const { schemas } = this.#stand.servers;
    const types = {
      101: widen(executionType),
      102: widen(taskType),
      103: olderExecutionTypes[0],
      104: olderTaskTypes[0],
    };
    for (const [id, type] of Object.entries(types)) schemas.learn(Number(id), type as Type);
    const encoders = Object.fromEntries(
      Object.entries(types).map(([id, type]) => [id, confluentEncoder(type as Type, Number(id))]),
    );
    const pick = (newer: string, older: string) => (record: object) =>
      (this.#random.chance(0.7) ? encoders[newer] : encoders[older])?.(record) as Buffer;
    this.#evolved = { types: { executions: pick('101', '103'), tasks: pick('102', '104') }, marker };
    return [101, 102, 103, 104];
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      this.#isIdle = this.#isPaused;
      if (!this.#isPaused) await this.#send(this.#makeTick());
      await pause(tickMs);
    }
    this.#isIdle = true;
  }

  #makeTick(): Outgoing[] {
    this.#tick++;
    const { runsPerSecond, reportsPerSecond, seed } = this.#options;
    const due = this.#held.filter(({ tick }) => tick <= this.#tick).map(({ outgoing }) => outgoing);
    this.#held = this.#held.filter(({ tick }) => tick > this.#tick);
    const runs = Array.from({ length: Math.round((runsPerSecond * tickMs) / 1000) }, () =>
      this.#ofRun(this.#demo.next().value),
    ).filter((outgoing) => outgoing !== null);
    const count = Math.round((reportsPerSecond * tickMs) / 1000);
    const endMs = Date.now() - (this.#random.chance(0.1) ? 24 * hourMs : 0);
    const fresh = drawReports(seed * 100_000 + this.#generation * 10_000 + this.#tick, count, endMs);
    return [...due, ...runs, ...this.#oddReports(fresh).map((record): Outgoing => ({ kind: 'orchestrators', record }))];
  }

  /** Null for a record that is kept back. */
  #ofRun(event: OddRecord): Outgoing | null {
    const { topic, key, sendAtMs } = event;
    const outgoing: Outgoing = { kind: topic, record: { key, value: this.#valueOf(event), timestampMs: sendAtMs } };
    if (!this.#random.chance(heldRatio)) return outgoing;
    const hours = this.#random.chance(0.2) ? this.#random.between(20, 26) : this.#random.between(0.5, 6);
    outgoing.record.timestampMs = Math.min(Date.now(), Math.floor(sendAtMs + hours * hourMs));
    this.#held.push({ tick: this.#tick + 5 + this.#random.below(heldTicks), outgoing });
    return null;
  }

  #valueOf({ topic, record, value, encoding }: OddRecord): Buffer | null {
    const evolved = this.#evolved;
    if (evolved === null || record === null || encoding !== 'avro' || this.#random.chance(0.5)) return value;
    return evolved.types[topic]({ ...record, source_version: evolved.marker, shard_of_scheduler: 'b' });
  }

  /** Repeats reports at once and long after, and breaks some. */
  #oddReports(fresh: OutgoingRecord[]): OutgoingRecord[] {
    const random = this.#random;
    const odd = fresh.flatMap((record) => {
      const value = record.value as Buffer;
      if (random.chance(0.03)) return [record, record];
      if (random.chance(0.01)) return [record, { ...record, value: value.subarray(0, value.length / 2) }];
      if (random.chance(0.005))
        return [record, { ...record, value: random.pick([null, Buffer.alloc(0), Buffer.from('{"kind"')]) }];
      return [record];
    });
    if (this.#reports.length > 0 && random.chance(0.3)) odd.push(random.pick(this.#reports));
    this.#reports.push(...fresh.filter(() => random.chance(0.2)));
    if (this.#reports.length > farReports) this.#reports.splice(0, this.#reports.length - farReports);
    return random.chance(0.2) ? odd.reverse() : odd;
  }

  async #connect(): Promise<Producer> {
    const producer = createProducer(this.#stand.telemetry.kafka);
    await producer.connect();
    this.#producer = producer;
    return producer;
  }

  async #send(outgoing: readonly Outgoing[]): Promise<void> {
    const topicMessages = kinds
      .map((kind) => ({
        topic: this.#stand.telemetry.topics[kind],
        messages: outgoing
          .filter((one) => one.kind === kind)
          .map(({ record: { key = null, value, timestampMs } }) => ({ key, value, timestamp: String(timestampMs) })),
      }))
      .filter(({ messages }) => messages.length > 0);
    for (;;) {
      try {
        const producer = this.#producer ?? (await this.#connect());
        await producer.sendBatch({ acks: -1, topicMessages });
        break;
      } catch {
        this.repeatedBatches++;
        await pause(200);
      }
    }
    for (const { kind } of outgoing) this.sent[kind]++;
  }
}

/** The same schema as a later release may have it: a field more. */
function widen(type: Type): Type {
  const schema = type.schema({ exportAttrs: true }) as { fields: object[] };
  return parseAvroType({
    ...schema,
    fields: [{ name: 'shard_of_scheduler', type: 'string', default: '' }, ...schema.fields],
  });
}
