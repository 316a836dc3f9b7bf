import { counts, distributions, quantities } from '../clickhouse/tables/measures.ts';
import type { EndState, TaskState } from '../schemas/events.ts';
import { endStates, taskStates } from '../schemas/events.ts';
import type { Cell, CellTable, Dims } from './cells.ts';
import type { Name } from './thing-table.ts';
import type { Subject } from './waiting-entities.ts';

/**
 * The version of what this folder makes of a record. Raise it when the same record would go into other dimensions or
 * values; rows and cells of older versions are then superseded chunk by chunk. A change of what is valid, of
 * identity, event time or sorting key needs a new stream epoch instead.
 */
export const foldVersion = 1;

/** How far back an event may revise or join another one. */
const lookBackMs = 7 * 24 * 3600 * 1000;

/** What the fold needs to know of an accepted record; a stored raw row gives back exactly this. */
export interface Fact {
  offset: number;
  state: TaskState;
  attempt: number;
  eventTimeMs: number;
  /** The record itself says when the attempt began, or how long it took. */
  selfContained: boolean;
  /** Of an end that says neither, these are filled in from its start. */
  durationUs: number | null;
  queueUs: number | null;
  costMicros: number | null;
  cpuUs: number | null;
  memoryPeakBytes: number | null;
  /** Coordinates of a republished record's origin, '' for all others. */
  origin: string;
  dims: Dims;
}

interface Start {
  eventTimeMs: number;
  queueUs: number | null;
}

interface Attempt {
  attempt: number;
  /** Its first start in the log, and the others in the order of the log. */
  start: Start | null;
  moreStarts: Start[] | null;
  /** The end that counts for this attempt: the latest by event time, then offset. */
  counted: Fact | null;
  /** Ends still without their start. */
  unjoined: Fact[] | null;
}

const countIndex = Object.fromEntries(counts.map((count, index) => [count, index])) as Record<
  (typeof counts)[number],
  number
>;
const distributionIndex = Object.fromEntries(distributions.map((entry, index) => [entry, index])) as Record<
  (typeof distributions)[number],
  number
>;
const quantityIndex = Object.fromEntries(quantities.map((entry, index) => [entry, index])) as Record<
  (typeof quantities)[number],
  number
>;
const ends = new Set<string>(endStates);

export const isEnd = (state: string): state is EndState => ends.has(state);

function add(cell: Cell, count: keyof typeof countIndex, by: number): void {
  const index = countIndex[count];
  cell.counts[index] = (cell.counts[index] as number) + by;
}

/** Beyond so many records a thing's identities are looked up rather than searched. */
const searchedIdentities = 32;
/** Attempt and state in one number. */
const stateCodes = new Map<string, number>(taskStates.map((state, index) => [state, index]));
const codeOf = (fact: Fact): number => fact.attempt * 16 + (stateCodes.get(fact.state) as number);

/**
 * Everything said so far, by smaller offsets of the same partition, of one execution or task. What a record contributes
 * follows from this alone, so folding the same log again decides the same.
 */
export class Thing implements Name, Subject {
  readonly workspace: string;
  readonly source: string;
  readonly ownerId: string;
  readonly taskId: string | null;
  readonly mapIndex: number;
  readonly low: number;
  readonly high: number;
  /** The next one in the same slot of the table that holds it. */
  next: Thing | null = null;
  lastOffset = -1;
  /** How many records it stands for: what it weighs in memory. */
  weight = 0;
  /** Its row that waits for the next flush, which the writer keeps here. */
  waiting: Subject['waiting'] = null;
  /**
   * What tells one record from another: attempt with state, and event time, one pair a record. Most things have two, which
   * stand in fields; more go into a list, thousands into an index. Republished records are known by their origin.
   */
  #firstCode = -1;
  #firstTimeMs = 0;
  #secondCode = -1;
  #secondTimeMs = 0;
  #pairs: number[] | null = null;
  #pairsByTime: Map<number, number[]> | null = null;
  #origins: Set<string> | null = null;
  #started = false;
  /** Most things have one attempt, which then needs no list. */
  #attempt: Attempt | null = null;
  #moreAttempts: Attempt[] | null = null;
  #counted: Fact | null = null;

  constructor(name: Name) {
    this.workspace = name.workspace;
    this.source = name.source;
    this.ownerId = name.ownerId;
    this.taskId = name.taskId;
    this.mapIndex = name.mapIndex;
    this.low = name.low;
    this.high = name.high;
  }

  /** An earlier record carries the same identity. */
  knows(fact: Fact): boolean {
    if (fact.origin !== '') return this.#origins?.has(fact.origin) ?? false;
    const code = codeOf(fact);
    const { eventTimeMs } = fact;
    if (this.#firstCode === code && this.#firstTimeMs === eventTimeMs) return true;
    if (this.#secondCode === code && this.#secondTimeMs === eventTimeMs) return true;
    if (this.#pairsByTime !== null) return this.#pairsByTime.get(eventTimeMs)?.includes(code) ?? false;
    const pairs = this.#pairs;
    if (pairs === null) return false;
    for (let at = 0; at < pairs.length; at += 2) {
      if (pairs[at + 1] === eventTimeMs && pairs[at] === code) return true;
    }
    return false;
  }

  #remember(fact: Fact): void {
    this.weight++;
    if (fact.offset > this.lastOffset) this.lastOffset = fact.offset;
    if (fact.origin !== '') {
      this.#origins ??= new Set();
      this.#origins.add(fact.origin);
      return;
    }
    this.#rememberPair(codeOf(fact), fact.eventTimeMs);
  }

  #rememberPair(code: number, eventTimeMs: number): void {
    if (this.#firstCode < 0) {
      this.#firstCode = code;
      this.#firstTimeMs = eventTimeMs;
    } else if (this.#secondCode < 0) {
      this.#secondCode = code;
      this.#secondTimeMs = eventTimeMs;
    } else if (this.#pairsByTime !== null) {
      this.#indexPair(this.#pairsByTime, code, eventTimeMs);
    } else {
      this.#pairs ??= [];
      this.#pairs.push(code, eventTimeMs);
      if (this.#pairs.length >= searchedIdentities * 2) this.#buildIndex(this.#pairs);
    }
  }

  #buildIndex(pairs: readonly number[]): void {
    const index = new Map<number, number[]>();
    for (let at = 0; at < pairs.length; at += 2) this.#indexPair(index, pairs[at] as number, pairs[at + 1] as number);
    this.#pairsByTime = index;
    this.#pairs = null;
  }

  #indexPair(index: Map<number, number[]>, code: number, eventTimeMs: number): void {
    const codes = index.get(eventTimeMs);
    if (codes === undefined) index.set(eventTimeMs, [code]);
    else codes.push(code);
  }

  #attemptOf(number: number): Attempt {
    if (this.#attempt === null) {
      this.#attempt = { attempt: number, start: null, moreStarts: null, counted: null, unjoined: null };
      return this.#attempt;
    }
    if (this.#attempt.attempt === number) return this.#attempt;
    this.#moreAttempts ??= [];
    const known = this.#moreAttempts.findLast((attempt) => attempt.attempt === number);
    if (known !== undefined) return known;
    const attempt: Attempt = { attempt: number, start: null, moreStarts: null, counted: null, unjoined: null };
    this.#moreAttempts.push(attempt);
    return attempt;
  }

  /** Takes in an accepted record and adds what it contributes to the cells; null takes it in as history only. */
  accept(fact: Fact, cells: CellTable | null): void {
    this.#remember(fact);
    const cell = cells === null ? null : cells.at(fact.dims, fact.eventTimeMs);
    if (cell !== null) add(cell, 'contributions', 1);
    if (fact.state === 'running') this.#start(fact, cell, cells);
    else if (isEnd(fact.state)) this.#end(fact, cell, cells);
    else if (cell !== null) add(cell, fact.state, 1);
  }

  #start(fact: Fact, cell: Cell | null, cells: CellTable | null): void {
    const attempt = this.#attemptOf(fact.attempt);
    if (cell !== null) {
      if (!this.#started) add(cell, 'started', 1);
      if (attempt.start === null) add(cell, 'attempt_started', 1);
    }
    this.#started = true;
    const start: Start = { eventTimeMs: fact.eventTimeMs, queueUs: fact.queueUs };
    if (attempt.start === null) {
      attempt.start = start;
    } else {
      attempt.moreStarts ??= [];
      attempt.moreStarts.push(start);
    }
    if (attempt.unjoined === null) return;
    const still = attempt.unjoined.filter((end) => {
      if (!mayJoin(start, end)) return true;
      this.#joinLate(start, end, attempt, cells);
      return false;
    });
    attempt.unjoined = still.length === 0 ? null : still;
  }

  /** A start that came after its end gives the end its duration, in the end's window. */
  #joinLate(start: Start, end: Fact, attempt: Attempt, cells: CellTable | null): void {
    const queueFromStart = end.queueUs === null;
    join(start, end);
    if (cells === null) return;
    const cell = cells.at(end.dims, end.eventTimeMs);
    add(cell, 'contributions', 1);
    add(cell, 'joined', 1);
    const durationUs = end.durationUs as number;
    if (this.#counted === end) {
      cell.distribute(durationOf(end), durationUs, 1);
      if (queueFromStart && end.queueUs !== null) cell.distribute(distributionIndex.queue_us, end.queueUs, 1);
    }
    if (attempt.counted === end) cell.distribute(distributionIndex.attempt_duration_us, durationUs, 1);
  }

  #end(end: Fact, cell: Cell | null, cells: CellTable | null): void {
    const attempt = this.#attemptOf(end.attempt);
    if (!end.selfContained) {
      if (cell !== null) add(cell, 'ends_to_join', 1);
      const start = newestStart(attempt, end);
      if (start === null) {
        attempt.unjoined ??= [];
        attempt.unjoined.push(end);
      } else {
        join(start, end);
        if (cell !== null) add(cell, 'joined', 1);
      }
    }
    this.#countThing(end, cell, cells);
    this.#countAttempt(end, attempt, cell, cells);
  }

  #countThing(end: Fact, cell: Cell | null, cells: CellTable | null): void {
    const counted = this.#counted;
    if (counted !== null && !isLater(end, counted)) return;
    this.#counted = end;
    if (cell === null || cells === null) return;
    if (counted !== null) {
      if (isBeyondRevision(counted, end)) add(cell, 'reopened', 1);
      else contributeThing(removalCell(counted, cells), counted, -1);
    }
    contributeThing(cell, end, 1);
  }

  #countAttempt(end: Fact, attempt: Attempt, cell: Cell | null, cells: CellTable | null): void {
    const { counted } = attempt;
    if (counted !== null && !isLater(end, counted)) return;
    attempt.counted = end;
    if (cell === null || cells === null) return;
    if (counted !== null && !isBeyondRevision(counted, end)) {
      contributeAttempt(removalCell(counted, cells), counted, -1);
    }
    contributeAttempt(cell, end, 1);
  }
}

/** The start with the greatest smaller offset that fits the end. */
function newestStart(attempt: Attempt, end: Fact): Start | null {
  const later = attempt.moreStarts?.findLast((candidate) => mayJoin(candidate, end));
  if (later !== undefined) return later;
  return attempt.start !== null && mayJoin(attempt.start, end) ? attempt.start : null;
}

const isLater = (fact: Fact, than: Fact): boolean =>
  fact.attempt !== than.attempt
    ? fact.attempt > than.attempt
    : fact.eventTimeMs !== than.eventTimeMs
      ? fact.eventTimeMs > than.eventTimeMs
      : fact.offset > than.offset;

/** An end that long past stays where it is: its cells may have expired already. */
const isBeyondRevision = (earlier: Fact, later: Fact): boolean => earlier.eventTimeMs < later.eventTimeMs - lookBackMs;

const mayJoin = (start: Start, end: Fact): boolean =>
  start.eventTimeMs <= end.eventTimeMs && start.eventTimeMs >= end.eventTimeMs - lookBackMs;

function join(start: Start, end: Fact): void {
  end.durationUs = (end.eventTimeMs - start.eventTimeMs) * 1000;
  end.queueUs ??= start.queueUs;
}

function removalCell(end: Fact, cells: CellTable): Cell {
  const cell = cells.at(end.dims, end.eventTimeMs);
  add(cell, 'contributions', 1);
  return cell;
}

const durationOf = (end: Fact): number =>
  end.state === 'completed' ? distributionIndex.completed_duration_us : distributionIndex.other_duration_us;

function contributeThing(cell: Cell, end: Fact, sign: 1 | -1): void {
  add(cell, end.state as EndState, sign);
  add(cell, 'retries', sign * (end.attempt - 1));
  if (end.durationUs !== null) cell.distribute(durationOf(end), end.durationUs, sign);
  if (end.queueUs !== null) cell.distribute(distributionIndex.queue_us, end.queueUs, sign);
  if (end.costMicros !== null) cell.accumulate(quantityIndex.cost_micros, end.costMicros, sign);
  if (end.cpuUs !== null) cell.accumulate(quantityIndex.cpu_us, end.cpuUs, sign);
  if (end.memoryPeakBytes !== null) cell.accumulate(quantityIndex.memory_peak_bytes, end.memoryPeakBytes, sign);
}

function contributeAttempt(cell: Cell, end: Fact, sign: 1 | -1): void {
  add(cell, `attempt_${end.state as EndState}`, sign);
  if (end.durationUs !== null) cell.distribute(distributionIndex.attempt_duration_us, end.durationUs, sign);
  if (end.costMicros !== null) cell.accumulate(quantityIndex.attempt_cost_micros, end.costMicros, sign);
  if (end.cpuUs !== null) cell.accumulate(quantityIndex.attempt_cpu_us, end.cpuUs, sign);
}
