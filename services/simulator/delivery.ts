import type { OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import { encodeExecutionEvent, encodeOrchestratorEvent, encodeTaskEvent } from '../../schemas/wire.ts';
import { type OddEvent, type OddityRatios, oddityDefaults, sendRun } from './oddities.ts';
import type { Random } from './random.ts';
import { SendQueue } from './send-queue.ts';
import type { WorldEvent } from './world.ts';

/** A record on its way to Kafka: when its turn comes, and what it says. */
export type Outgoing = { key: string; sendAtMs: number; eventTimeMs: number } & (
  | { topic: 'executions'; record: ExecutionRecord }
  | { topic: 'tasks'; record: TaskRecord }
  | { topic: 'orchestrators'; record: OrchestratorRecord }
);

/** Nothing goes wrong on the way. */
export const noOddities: OddityRatios = Object.fromEntries(
  Object.keys(oddityDefaults).map((name) => [name, 0]),
) as OddityRatios;

/**
 * Enough to meet each oddity every day, too little to hide what was planted. Fields are never left out and everything
 * is Avro, so that the demo shows what the contract can hold; an end that never comes would be a stuck run that the
 * truth does not know.
 */
export const demoOddities: OddityRatios = {
  ...noOddities,
  disorder: 0.02,
  late: 0.0005,
  nearDuplicate: 0.001,
  farDuplicate: 0.0003,
  secondEnd: 0.0005,
  secondStart: 0.0005,
  lostStart: 0.0005,
  startAfterEnd: 0.0005,
};

/** Far duplicates come when about this much time has passed. */
const farMs = 3_600_000;
// Sources report a start 0.4 s after it, because a worker has to come up first, and an end at once.
const delayMsMedian = { start: 400, other: 35 } as const;

/** The way from the orchestrators to Kafka: what happens to records on it depends on their order and on chance alone. */
export class Delivery {
  readonly #ratios: OddityRatios;
  readonly #trip: { ratios: OddityRatios; random: Random; farMs: number };
  readonly #random: Random;
  readonly #queue = new SendQueue<Outgoing>();
  /** Starts that wait for their end: they are lost, or come long after it. */
  readonly #heldStarts = new Map<string, OddEvent>();

  constructor(ratios: OddityRatios, random: Random) {
    this.#ratios = ratios;
    this.#random = random;
    this.#trip = { ratios: { ...ratios, lostStart: 0, startAfterEnd: 0 }, random, farMs };
  }

  get nextMs(): number {
    return this.#queue.nextMs;
  }

  get size(): number {
    return this.#queue.size;
  }

  add(event: WorldEvent): void {
    const isStart = event.topic !== 'orchestrators' && event.record.state === 'running';
    const medianMs = isStart ? delayMsMedian.start : delayMsMedian.other;
    const sendAtMs = Math.round(event.atMs) + Math.round(this.#random.logNormal(medianMs, 0.9));
    if (event.topic === 'orchestrators') {
      const { topic, key, record } = event;
      this.#queue.add({ topic, key, record, sendAtMs, eventTimeMs: record.event_time });
      return;
    }
    const odd = { topic: event.topic, record: event.record, sendAtMs, oddities: [] } as unknown as OddEvent;
    for (const sent of this.#bend(odd)) this.#put(sent);
  }

  take(): Outgoing {
    return this.#queue.take();
  }

  #put({ topic, record, sendAtMs }: OddEvent): void {
    const sent = { topic, record, key: record.execution_id, sendAtMs, eventTimeMs: record.event_time };
    this.#queue.add(sent as Outgoing);
  }

  /** Ends find the start that was held back for them; everything else is bent one by one. */
  #bend(event: OddEvent): readonly OddEvent[] {
    const { state } = event.record;
    const ratios = this.#ratios;
    if (state === 'running' && this.#random.chance(ratios.lostStart + ratios.startAfterEnd)) {
      this.#heldStarts.set(attemptOf(event), event);
      return [];
    }
    const held = this.#heldStarts.get(attemptOf(event));
    if (held === undefined || !endStates.has(state)) return sendRun([event], this.#trip);
    this.#heldStarts.delete(attemptOf(event));
    const isLost = this.#random.chance(ratios.lostStart / (ratios.lostStart + ratios.startAfterEnd));
    const fate = isLost ? { lostStart: 1, startAfterEnd: 0 } : { lostStart: 0, startAfterEnd: 1 };
    return sendRun([held, event], { ...this.#trip, ratios: { ...this.#trip.ratios, ...fate } });
  }
}

const endStates = new Set(['completed', 'failed', 'cancelled', 'timeout', 'partial']);

function attemptOf({ topic, record }: OddEvent): string {
  if (topic === 'executions') return `${record.execution_id} ${record.attempt}`;
  return `${record.execution_id} ${record.attempt} ${record.task_id} ${record.map_index} ${record.loop_iteration}`;
}

export function encodeOutgoing(outgoing: Outgoing): Buffer {
  if (outgoing.topic === 'tasks') return encodeTaskEvent(outgoing.record);
  if (outgoing.topic === 'executions') return encodeExecutionEvent(outgoing.record);
  return encodeOrchestratorEvent(outgoing.record);
}
