import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';

/**
 * What the minute cells of one partition must hold, computed the plain way: all records of a thing are laid side by
 * side and walked in offset order. It shares no code with the fold of the pipeline, so an error would have to be
 * made twice to go unseen. Every value of a cell is one entry of a map, `queue_us_hist[512]` as well as `started`.
 */

/** What a record says that matters to the cells; of two million of these the verifier must hold at once. */
export interface AcceptedRecord {
  offset: number;
  /** The execution or task spoken of. */
  thing: string;
  /** The dimensions of its cells, as JSON. */
  dims: string;
  attempt: number;
  state: string;
  eventTimeMs: number;
  startedAtMs: number | null;
  durationUs: number | null;
  queueUs: number | null;
  costMicros: number | null;
  cpuUs: number | null;
  memoryPeakBytes: number | null;
  /** Coordinates of the record that this one republishes, as text, or null. */
  origin: string | null;
}

/** One addition to one value of one cell, and the record that made it happen. */
interface Contribution {
  dims: string;
  windowMs: number;
  atOffset: number;
  field: string;
  value: bigint;
}
type Contribute = (contribution: Contribution) => void;

export type CellValues = Map<string, bigint>;

/** The cells of one partition by `cellKey`, each the fold of one chunk. */
export interface Recomputation {
  cells: Map<string, CellValues>;
  duplicates: Set<number>;
}

export interface RecomputeOptions {
  chunkRecords: number;
  /** Up to which offset records count for this cell of this chunk; a live pipeline writes cells before its ledger. */
  limitOf: (key: string) => number;
  /** Called for every contribution that counts, so that a difference can name the records behind it. */
  trace?: (key: string, field: string, atOffset: number) => void;
}

const minuteMs = 60_000;
const joinReachMs = 7 * 86_400_000;
const ends = new Set(['completed', 'failed', 'cancelled', 'timeout', 'partial', 'skipped']);
const countedStates = new Set(['pending', 'queued', 'suspended', 'retrying']);
const logBase = Math.log(1.01 / 0.99);

export function cellKey(dims: string, windowMs: number, chunk: number): string {
  return `${chunk} ${windowMs} ${dims}`;
}

export function splitCellKey(key: string): { chunk: number; windowMs: number; dims: string } {
  const [chunk, windowMs] = key.split(' ', 2);
  return {
    chunk: Number(chunk),
    windowMs: Number(windowMs),
    dims: key.slice(chunk.length + windowMs.length + 2),
  };
}

/** The canonical event reduced to what cells are made of. */
export function acceptedRecord(event: ExecutionEvent | TaskEvent, offset: number): AcceptedRecord {
  const { workspace, project, source, workflowId, workflowVersion, executionId, origin } = event;
  const shared = [workspace, project, source, workflowId, workflowVersion];
  const isTask = event.kind === 'task';
  return {
    offset,
    thing: JSON.stringify(
      isTask ? [workspace, source, executionId, event.taskId, event.mapIndex] : [workspace, source, executionId],
    ),
    dims: JSON.stringify(
      isTask ? [...shared, event.taskId, event.taskType, event.pool] : [...shared, event.triggerType],
    ),
    attempt: event.attempt,
    state: event.state,
    eventTimeMs: event.eventTimeMs,
    startedAtMs: event.startedAtMs,
    durationUs: event.durationUs,
    queueUs: event.queueUs,
    costMicros: event.costMicros,
    cpuUs: event.cpuUs,
    memoryPeakBytes: event.memoryPeakBytes,
    origin: origin === null ? null : JSON.stringify([origin.topic, origin.partition, origin.offset, origin.item]),
  };
}

/** Records of one partition, in offset order, to the cells they must have made. */
export function recompute(records: readonly AcceptedRecord[], options: RecomputeOptions): Recomputation {
  const things = new Map<string, AcceptedRecord[]>();
  for (const record of records) {
    const ofThing = things.get(record.thing);
    if (ofThing === undefined) things.set(record.thing, [record]);
    else ofThing.push(record);
  }
  const duplicates = new Set<number>();
  const { cells, contribute } = collectCells(options);
  for (const ofThing of things.values()) {
    foldThing(dropDuplicates(ofThing, duplicates), contribute);
  }
  return { cells, duplicates };
}

function collectCells({ chunkRecords, limitOf, trace }: RecomputeOptions) {
  const cells = new Map<string, CellValues>();
  let last = { dims: '', windowMs: -1, chunk: -1, key: '', limit: -1 };
  const contribute: Contribute = ({ dims, windowMs, atOffset, field, value }) => {
    const chunk = Math.floor(atOffset / chunkRecords);
    // One record contributes ten times to one cell, and keys are long.
    if (last.dims !== dims || last.windowMs !== windowMs || last.chunk !== chunk) {
      const key = cellKey(dims, windowMs, chunk);
      last = { dims, windowMs, chunk, key, limit: limitOf(key) };
    }
    if (atOffset > last.limit) return;
    trace?.(last.key, field, atOffset);
    let cell = cells.get(last.key);
    if (cell === undefined) {
      cell = new Map();
      cells.set(last.key, cell);
    }
    cell.set(field, mergeValue(field, cell.get(field), value));
  };
  return { cells, contribute };
}

function mergeValue(field: string, before: bigint | undefined, value: bigint): bigint {
  if (before === undefined) return value;
  if (field.endsWith('_min')) return value < before ? value : before;
  if (field.endsWith('_max')) return value > before ? value : before;
  return before + value;
}

/** The first record of each identity stays; records with an origin are compared among themselves only. */
function dropDuplicates(records: readonly AcceptedRecord[], duplicates: Set<number>): AcceptedRecord[] {
  const seen = new Set<string>();
  return records.filter((record) => {
    const identity = record.origin ?? `${record.attempt} ${record.state} ${record.eventTimeMs}`;
    if (seen.has(identity)) {
      duplicates.add(record.offset);
      return false;
    }
    seen.add(identity);
    return true;
  });
}

/** An end of an attempt with what is known of it at some moment: a start that comes later may still complete it. */
interface End {
  record: AcceptedRecord;
  needsJoin: boolean;
  isJoined: boolean;
  durationUs: number | null;
  queueUs: number | null;
}

/** Two levels of counting: the thing by its latest end, and each of its attempts by that attempt's latest end. */
interface Level {
  fieldsOf: (end: End) => [field: string, value: number | null][];
  isLater: (record: AcceptedRecord, counted: AcceptedRecord) => boolean;
  countsReopened: boolean;
}

/**
 * The walk. `contributions` stands once for the record itself, once for every end that it takes out at either level,
 * and once for every earlier end that it joins.
 */
function foldThing(records: readonly AcceptedRecord[], contribute: Contribute): void {
  const starts: AcceptedRecord[] = [];
  const endsSoFar: End[] = [];
  const countedOfAttempt = new Map<number, End>();
  let countedOfThing: End | undefined;

  for (const record of records) {
    const atOffset = record.offset;
    add(contribute, record, atOffset, 'contributions', 1);
    if (countedStates.has(record.state)) add(contribute, record, atOffset, record.state, 1);
    if (record.state === 'running') {
      if (starts.length === 0) add(contribute, record, atOffset, 'started', 1);
      if (!starts.some((start) => start.attempt === record.attempt)) {
        add(contribute, record, atOffset, 'attempt_started', 1);
      }
      starts.push(record);
      for (const end of endsSoFar) {
        if (!end.needsJoin || end.isJoined || !canStart(record, end.record)) continue;
        joinLater(end, record, countedOfThing === end, countedOfAttempt.get(end.record.attempt) === end, contribute);
      }
    }
    if (ends.has(record.state)) {
      const end = openEnd(record, starts);
      endsSoFar.push(end);
      if (end.needsJoin) add(contribute, record, atOffset, 'ends_to_join', 1);
      if (end.isJoined) add(contribute, record, atOffset, 'joined', 1);
      countedOfThing = supersede(thingLevel, countedOfThing, end, contribute);
      const ofAttempt = supersede(attemptLevel, countedOfAttempt.get(record.attempt), end, contribute);
      countedOfAttempt.set(record.attempt, ofAttempt);
    }
  }
}

function canStart(start: AcceptedRecord, end: AcceptedRecord): boolean {
  return (
    start.attempt === end.attempt &&
    start.eventTimeMs <= end.eventTimeMs &&
    start.eventTimeMs >= end.eventTimeMs - joinReachMs
  );
}

/** The newest start before the end in the log is taken, though its event time may not be the newest. */
function openEnd(record: AcceptedRecord, starts: readonly AcceptedRecord[]): End {
  // A skipped task never ran, so no start is missing.
  const needsJoin = record.state !== 'skipped' && record.startedAtMs === null && record.durationUs === null;
  const end: End = {
    record,
    needsJoin,
    isJoined: false,
    durationUs: record.durationUs,
    queueUs: record.queueUs,
  };
  const start = needsJoin ? starts.findLast((candidate) => canStart(candidate, record)) : undefined;
  if (start !== undefined) takeStart(end, start);
  return end;
}

function takeStart(end: End, start: AcceptedRecord): void {
  end.isJoined = true;
  end.durationUs = (end.record.eventTimeMs - start.eventTimeMs) * 1000;
  end.queueUs ??= start.queueUs;
}

/** A start that came after its end adds only what the end could not yet say, and only where it still counts. */
function joinLater(
  end: End,
  start: AcceptedRecord,
  countsForThing: boolean,
  countsForAttempt: boolean,
  contribute: Contribute,
): void {
  const { record } = end;
  const queueWasUnknown = end.queueUs === null;
  takeStart(end, start);
  add(contribute, record, start.offset, 'contributions', 1);
  add(contribute, record, start.offset, 'joined', 1);
  if (countsForThing) {
    addSample(contribute, record, start.offset, durationField(record), end.durationUs, 1);
    if (queueWasUnknown) addSample(contribute, record, start.offset, 'queue_us', end.queueUs, 1);
  }
  if (countsForAttempt) addSample(contribute, record, start.offset, 'attempt_duration_us', end.durationUs, 1);
}

const durationField = (record: AcceptedRecord): string =>
  record.state === 'completed' ? 'completed_duration_us' : 'other_duration_us';

/** An end of equal rank that comes later in the log is the later one; the walk sees offsets in order. */
const thingLevel: Level = {
  fieldsOf: ({ record, durationUs, queueUs }) => [
    [record.state, 1],
    ['retries', record.attempt - 1],
    [durationField(record), durationUs],
    ['queue_us', queueUs],
    ['cost_micros', record.costMicros],
    ['cpu_us', record.cpuUs],
    ['memory_peak_bytes', record.memoryPeakBytes],
  ],
  isLater: (record, counted) =>
    record.attempt !== counted.attempt ? record.attempt > counted.attempt : record.eventTimeMs >= counted.eventTimeMs,
  countsReopened: true,
};
const attemptLevel: Level = {
  fieldsOf: ({ record, durationUs }) => [
    [`attempt_${record.state}`, 1],
    ['attempt_duration_us', durationUs],
    ['attempt_cost_micros', record.costMicros],
    ['attempt_cpu_us', record.cpuUs],
  ],
  isLater: (record, counted) => record.eventTimeMs >= counted.eventTimeMs,
  countsReopened: false,
};

/** Puts the end in the place of the counted one if it is the later of the two, and answers which counts now. */
function supersede(level: Level, counted: End | undefined, end: End, contribute: Contribute): End {
  const { record } = end;
  if (counted !== undefined) {
    if (!level.isLater(record, counted.record)) return counted;
    if (record.eventTimeMs - counted.record.eventTimeMs > joinReachMs) {
      if (level.countsReopened) add(contribute, record, record.offset, 'reopened', 1);
    } else {
      add(contribute, counted.record, record.offset, 'contributions', 1);
      addFields(level, counted, record.offset, -1, contribute);
    }
  }
  addFields(level, end, record.offset, 1, contribute);
  return end;
}

function addFields(level: Level, end: End, atOffset: number, sign: 1 | -1, contribute: Contribute): void {
  for (const [field, value] of level.fieldsOf(end)) {
    if (/_(us|micros|bytes)$/.test(field)) addSample(contribute, end.record, atOffset, field, value, sign);
    else if (value !== null) add(contribute, end.record, atOffset, field, value * sign);
  }
}

function add(
  contribute: Contribute,
  { dims, eventTimeMs }: AcceptedRecord,
  atOffset: number,
  field: string,
  value: number,
): void {
  const windowMs = Math.floor(eventTimeMs / minuteMs) * minuteMs;
  contribute({ dims, windowMs, atOffset, field, value: BigInt(value) });
}

const hasHistogram = /^(completed_duration|other_duration|queue|attempt_duration)_us$/;

/** A sample of a distribution or of a quantity; taking one out leaves least and greatest as they are. */
function addSample(
  contribute: Contribute,
  record: AcceptedRecord,
  atOffset: number,
  field: string,
  value: number | null,
  sign: 1 | -1,
): void {
  if (value === null) return;
  add(contribute, record, atOffset, `${field}_sum`, value * sign);
  if (sign === 1) add(contribute, record, atOffset, `${field}_max`, value);
  if (hasHistogram.test(field)) {
    add(contribute, record, atOffset, `${field}_hist[${bucketOf(value)}]`, sign);
    if (sign === 1) add(contribute, record, atOffset, `${field}_min`, value);
  } else {
    add(contribute, record, atOffset, `${field}_n`, sign);
  }
}

function bucketOf(valueUs: number): number {
  return valueUs <= 0 ? -32768 : Math.ceil(Math.log(valueUs) / logBase);
}
