import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import type { Random } from './random.ts';

/**
 * What happens to telemetry between its source and Kafka, and what real sources do although nobody would expect it.
 * Everything here was seen in systems that people run. Ratios are shares of records, of ends or of runs.
 */
export const oddityDefaults = {
  /** Of records: sent so late that others overtake it. */
  disorder: 0.2,
  /** Of records: seconds to a day late. */
  late: 0.004,
  /** Of records: the same once more, at once or a few seconds later. */
  nearDuplicate: 0.01,
  /** Of records: the same once more, after many thousand others. */
  farDuplicate: 0.003,
  /** Of records: optional fields left out. */
  sparse: 0.04,
  /** Of records: JSON with numbers and times as text, and states with the name of their class. */
  loose: 0.04,
  /** Of ends: a second end of the same try, often another one. */
  secondEnd: 0.006,
  /** Of starts: a second start of the same try, with an earlier time and 20 s late. */
  secondStart: 0.006,
  /** Of ends: it never comes. */
  lostEnd: 0.02,
  /** Of ends: its start never comes, and it does not say when that was. */
  lostStart: 0.02,
  /** Of ends: its start comes long after it, and it does not say when that was. */
  startAfterEnd: 0.008,
  /** Of runs: the end of the run is sent before that of its last task. */
  runEndsFirst: 0.05,
  /** Of runs: everything is sent in one burst 50 s after the end. */
  burst: 0.02,
};
export type OddityRatios = typeof oddityDefaults;
export type Oddity = keyof OddityRatios;

/** A record as its source would send it when nothing goes wrong on the way. */
export type PlannedEvent = { sendAtMs: number } & (
  | { topic: 'executions'; record: ExecutionRecord }
  | { topic: 'tasks'; record: TaskRecord }
);

/** An event on its way, with the names of what was done to it. */
export type OddEvent = PlannedEvent & { oddities: Oddity[] };

interface Trip {
  ratios: OddityRatios;
  random: Random;
  /** How long it takes until many thousand other records have been sent. */
  farMs: number;
}

const ends = new Set(['completed', 'failed', 'cancelled', 'timeout', 'partial']);
const isEnd = ({ record }: PlannedEvent): boolean => ends.has(record.state);
const isStart = ({ record }: PlannedEvent): boolean => record.state === 'running';

/** Puts one run on its way; the answer is not sorted. */
export function sendRun(planned: readonly PlannedEvent[], trip: Trip): OddEvent[] {
  const events: OddEvent[] = planned.map((event) => ({ ...event, oddities: [] }));
  changeOrderOfEnds(events, trip);
  changeAttempts(events, trip);
  const kept = events.filter((event) => event.sendAtMs !== lost);
  delayRecords(kept, trip);
  changeFields(kept, trip);
  return [...kept, ...repeatRecords(kept, trip)];
}

const lost = Number.POSITIVE_INFINITY;

function changeOrderOfEnds(events: OddEvent[], { ratios, random }: Trip): void {
  const runEnd = events.findLast((event) => event.topic === 'executions' && isEnd(event));
  const lastTaskEnd = events.findLast((event) => event.topic === 'tasks' && isEnd(event));
  if (runEnd !== undefined && lastTaskEnd !== undefined && random.chance(ratios.runEndsFirst)) {
    lastTaskEnd.sendAtMs = runEnd.sendAtMs + Math.round(random.between(50, 3_000));
    lastTaskEnd.oddities.push('runEndsFirst');
  }
  if (runEnd !== undefined && random.chance(ratios.burst)) {
    for (const event of events) {
      event.sendAtMs = runEnd.record.event_time + 50_000;
      event.oddities.push('burst');
    }
  }
}

/** Starts and ends that are lost, doubled or swapped. Pairs belong to one attempt of one task, or of the run. */
function changeAttempts(events: OddEvent[], trip: Trip): void {
  const starts = new Map<string, OddEvent>();
  for (const event of [...events]) {
    if (isStart(event)) {
      starts.set(attemptOf(event), event);
      if (trip.random.chance(trip.ratios.secondStart)) events.push(secondStart(event, trip.random));
    } else if (isEnd(event)) {
      changeEnd(events, event, starts.get(attemptOf(event)), trip);
    }
  }
}

function attemptOf({ topic, record }: PlannedEvent): string {
  const task = topic === 'tasks' ? `${record.task_id} ${record.map_index}` : '';
  return `${record.attempt} ${task}`;
}

function changeEnd(events: OddEvent[], end: OddEvent, start: OddEvent | undefined, { ratios, random }: Trip): void {
  if (random.chance(ratios.secondEnd)) events.push(secondEnd(end, random));
  if (start !== undefined && random.chance(ratios.lostStart)) {
    start.sendAtMs = lost;
    forgetStart(end, 'lostStart');
  } else if (start !== undefined && random.chance(ratios.startAfterEnd)) {
    start.sendAtMs = end.sendAtMs + Math.round(random.between(20_000, 600_000));
    start.oddities.push('startAfterEnd');
    forgetStart(end, 'startAfterEnd');
  } else if (random.chance(ratios.lostEnd)) {
    end.sendAtMs = lost;
    // What stays of it is the start, which thereby becomes one that never ends.
    start?.oddities.push('lostEnd');
  }
}

function forgetStart(end: OddEvent, oddity: Oddity): void {
  end.record = { ...end.record, started_at: null, duration_ms: null } as never;
  end.oddities.push(oddity);
}

/** Marked by hand, or reported by two parts of one system: failed then completed, or completed twice. */
function secondEnd(end: OddEvent, random: Random): OddEvent {
  const laterMs = Math.round(random.between(100, 30_000));
  const state = random.chance(0.7) ? 'completed' : end.record.state;
  const record = { ...end.record, state, event_time: end.record.event_time + laterMs };
  return { ...end, record, sendAtMs: end.sendAtMs + laterMs, oddities: ['secondEnd'] } as OddEvent;
}

/** Deferred and taken up again: the second report has the earlier time, and comes late. */
function secondStart(start: OddEvent, random: Random): OddEvent {
  const record = { ...start.record, event_time: start.record.event_time - Math.round(random.between(1, 900)) };
  return { ...start, record, sendAtMs: start.sendAtMs + 20_000, oddities: ['secondStart'] } as OddEvent;
}

function delayRecords(events: OddEvent[], { ratios, random }: Trip): void {
  for (const event of events) {
    if (random.chance(ratios.disorder)) {
      event.sendAtMs += Math.round(random.exponential(2_500));
      event.oddities.push('disorder');
    }
    if (random.chance(ratios.late)) {
      event.sendAtMs += lateMs(random);
      event.oddities.push('late');
    }
  }
}

/** Most late records are late by seconds; one in a hundred was buffered somewhere for most of a day. */
function lateMs(random: Random): number {
  const style = random.next();
  if (style < 0.7) return Math.round(random.between(5_000, 60_000));
  if (style < 0.99) return Math.round(random.between(60_000, 4 * 3_600_000));
  return Math.round(random.between(4 * 3_600_000, 24 * 3_600_000));
}

const optionalFields = [
  'project',
  'source_version',
  'workflow_name',
  'workflow_version',
  'environment',
  'region',
  'correlation_id',
  'attempt',
  'queued_at',
  'queue_ms',
  'cost',
  'cpu_ms',
  'memory_peak_bytes',
  'trigger_type',
  'task_type',
  'pool',
] as const;

function changeFields(events: OddEvent[], { ratios, random }: Trip): void {
  for (const event of events) {
    if (random.chance(ratios.sparse)) {
      const record: Record<string, unknown> = { ...event.record };
      for (const field of optionalFields) {
        // Without its number a second try would pass for the first one.
        const isTold = field === 'attempt' && event.record.attempt !== 1;
        if (!isTold && random.chance(0.5)) delete record[field];
      }
      event.record = record as never;
      event.oddities.push('sparse');
    }
    if (random.chance(ratios.loose)) event.oddities.push('loose');
  }
}

function repeatRecords(events: readonly OddEvent[], { ratios, random, farMs }: Trip): OddEvent[] {
  const repeated: OddEvent[] = [];
  const repeat = (event: OddEvent, afterMs: number, oddity: Oddity) => {
    const sendAtMs = event.sendAtMs + Math.round(afterMs);
    repeated.push({ ...event, sendAtMs, oddities: [...event.oddities, oddity] });
  };
  for (const event of events) {
    if (random.chance(ratios.nearDuplicate))
      repeat(event, random.chance(0.5) ? 0 : random.between(1, 5_000), 'nearDuplicate');
    if (random.chance(ratios.farDuplicate)) repeat(event, farMs * random.between(0.5, 1.5), 'farDuplicate');
  }
  return repeated;
}
