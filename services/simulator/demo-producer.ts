import type { CommandOutcomeRecord, CommandRecord } from '../../schemas/records.ts';
import { type DemoState, openSegments } from './demo-state.ts';
import { type AcceptedCommand, acceptanceResult, type CommandBook, type Deed } from './obey.ts';
import { type OutgoingMessage, packMessages } from './outgoing-messages.ts';
import { type ScenarioName, scenarios } from './scenarios.ts';
import { Segment, type SegmentSpec } from './segment.ts';
import type { TruthRecord } from './truth.ts';

/** The world outside. Each call resolves when the brokers have what it was given. */
export interface DemoRim {
  send(messages: OutgoingMessage[]): Promise<void>;
  sendTruths(records: TruthRecord[]): Promise<void>;
  sendOutcome(record: CommandRecord): Promise<void>;
  saveState(state: DemoState): Promise<void>;
  nowMs(): number;
  sleep(ms: number): Promise<void>;
  /** How much of the history is sent. */
  progress(done: { ratio: number; records: number; isComplete: boolean }): void;
}

interface OpenSegment {
  segment: Segment;
  saved: DemoState['open'][number];
}

const pollMs = 100;
const saveEveryMs = 2_000;
/** History is made in slices, between which live telemetry has its turn. */
const sliceMs = 600_000;
/** What is sent later than this after its time is history. */
const historyAgeMs = 60_000;

/**
 * Sends the telemetry of a demo: what is live when its time comes, and history as fast as brokers take it, both at
 * once. While brokers are away nothing is skipped, and afterwards it catches up.
 */
export class DemoProducer {
  readonly #state: DemoState;
  readonly #book: CommandBook;
  readonly #rim: DemoRim;
  readonly #live: OpenSegment[] = [];
  readonly #historyMs: { from: number; to: number };
  #pendingRequests: CommandRecord[] = [];
  #savedAtMs = 0;
  #isStopping = false;
  #sent = 0;
  #historyRecords = 0;
  #isCaughtUp = false;
  #lastDeedMs = 0;
  #answers: Promise<void>[] = [];

  constructor(state: DemoState, book: CommandBook, rim: DemoRim) {
    this.#state = state;
    this.#book = book;
    this.#rim = rim;
    const nowMs = rim.nowMs();
    const behind = state.open.filter(({ spec }) => spec.endMs <= nowMs);
    this.#historyMs = { from: sumTaken(behind), to: sumLengths(behind) };
  }

  /** Records acknowledged so far. */
  get sent(): number {
    return this.#sent;
  }

  /** Live telemetry flows. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp;
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    await this.#rim.saveState(this.#state);
    const history = this.#runHistory();
    await this.#runLive();
    await history;
    await this.#save();
  }

  stop(): void {
    this.#isStopping = true;
  }

  request(record: CommandRecord): void {
    this.#book.note(record);
    this.#pendingRequests.push(record);
  }

  async #runLive(): Promise<void> {
    const { nowMs } = this.#rim;
    const current = this.#state.open.filter(({ spec }) => spec.endMs > nowMs());
    // The latest first: it is the one that goes on.
    for (const saved of current.toReversed())
      this.#live.push({ segment: this.#makeSegment(saved.spec, saved.takenMs), saved });
    while (!this.#isStopping) {
      const dueMs = nowMs();
      for (const spec of openSegments(this.#state, dueMs)) this.#joinLive(spec);
      for (const open of [...this.#live]) await this.#sendLive(open, dueMs);
      if (!this.#isStopping) this.#isCaughtUp = true;
      await this.#answerRequests();
      if (dueMs - this.#savedAtMs >= saveEveryMs) await this.#save();
      if (!this.#isStopping && nowMs() - dueMs < pollMs) await this.#rim.sleep(pollMs);
    }
  }

  #joinLive(spec: SegmentSpec): void {
    const saved = this.#state.open.find((entry) => entry.spec === spec) as OpenSegment['saved'];
    this.#live.push({ segment: this.#makeSegment(spec, spec.startMs), saved });
  }

  /** Catches up in slices, so that a stop or a command does not wait for a whole day. */
  async #sendLive(open: OpenSegment, dueMs: number): Promise<void> {
    const { segment, saved } = open;
    while (segment.takenMs < dueMs && !this.#isStopping) {
      await this.#sendSlice(open, Math.min(dueMs, segment.takenMs + sliceMs));
      if (segment.isOver) break;
    }
    if (!segment.isOver) return;
    this.#live.splice(this.#live.indexOf(open), 1);
    this.#state.open.splice(this.#state.open.indexOf(saved), 1);
  }

  /** Days that are over, from the first on; what still runs when all of them was sent goes on as live. */
  async #runHistory(): Promise<void> {
    const past = this.#state.open.filter(({ spec }) => spec.endMs <= this.#rim.nowMs());
    for (const saved of past) {
      if (this.#isStopping) return;
      const open = { segment: this.#makeSegment(saved.spec, saved.takenMs), saved };
      while (!this.#isStopping && !open.segment.isOver && open.segment.takenMs < this.#rim.nowMs()) {
        const before = this.#sent;
        await this.#sendSlice(open, Math.min(this.#rim.nowMs(), open.segment.takenMs + sliceMs));
        this.#historyRecords += this.#sent - before;
        this.#tellProgress(past, false);
      }
      if (open.segment.isOver) this.#state.open.splice(this.#state.open.indexOf(saved), 1);
      else if (!this.#isStopping) this.#live.push(open);
    }
    if (past.length > 0 && !this.#isStopping) this.#tellProgress(past, true);
  }

  #tellProgress(past: DemoState['open'], isComplete: boolean): void {
    const { from, to } = this.#historyMs;
    const ratio = isComplete ? 1 : Math.min(1, (sumTaken(past) - from) / Math.max(1, to - from));
    this.#rim.progress({ ratio, records: this.#historyRecords, isComplete });
  }

  #makeSegment(spec: SegmentSpec, takenMs: number): Segment {
    const segment = new Segment(spec, scenarios[spec.scenario as ScenarioName], (command, deed) => {
      if (!command.isAnswered) this.#answers.push(this.#answerDeed(command, deed));
    });
    for (const accepted of this.#book.accepted) if (accepted.segmentMs === spec.startMs) segment.command(accepted);
    segment.skipUntil(takenMs);
    return segment;
  }

  async #sendSlice({ segment, saved }: OpenSegment, toMs: number): Promise<void> {
    const liveFromMs = this.#rim.nowMs() - historyAgeMs;
    for (const messages of packMessages(segment.takeUntil(toMs), liveFromMs)) {
      await this.#rim.send(messages);
      this.#sent += messages.length;
    }
    const truths = segment.takeTruths();
    if (truths.length > 0) await this.#rim.sendTruths(truths);
    await Promise.all(this.#answers.splice(0));
    saved.takenMs = segment.takenMs;
  }

  async #save(): Promise<void> {
    this.#savedAtMs = this.#rim.nowMs();
    await this.#rim.saveState(this.#state);
  }

  async #answerRequests(): Promise<void> {
    const requests = this.#pendingRequests;
    this.#pendingRequests = [];
    for (const record of requests) {
      if (this.#isStopping) return;
      const { carryOut, outcome } = this.#book.judge(record, this.#rim.nowMs());
      if (carryOut) await this.#carryOut(record);
      else await this.#answer(record, { ...outcome, at: this.#rim.nowMs(), reported_by: reporter });
    }
  }

  /** Accepted on the topic first, then done: a crash between the two is mended by the next start. */
  async #carryOut(record: CommandRecord): Promise<void> {
    const { request } = record;
    const open = this.#findSegment(request?.execution_id ?? '');
    if (request == null || open === undefined) return;
    const atMs = Math.max(this.#rim.nowMs(), this.#lastDeedMs + 1, open.segment.takenMs);
    this.#lastDeedMs = atMs;
    await this.#sendSlice(open, atMs);
    const outcome = { command_id: request.command_id, outcome: 'accepted', message: 'it is carried out' };
    const result = acceptanceResult(open.segment.spec.startMs);
    await this.#answer(record, { ...outcome, at: atMs, reported_by: reporter, result });
    const accepted = this.#book.accepted.find((entry) => entry.request.command_id === request.command_id);
    if (accepted === undefined) return;
    open.segment.command(accepted);
    await this.#sendSlice(open, atMs);
  }

  /** The one that knows the execution, else the one that new runs begin in. */
  #findSegment(executionId: string): OpenSegment | undefined {
    const knows = this.#live.find(({ segment }) => segment.world.runs.has(executionId));
    return knows ?? this.#live.toSorted((one, other) => other.segment.spec.startMs - one.segment.spec.startMs)[0];
  }

  async #answerDeed(command: AcceptedCommand, { outcome, message, result }: Deed): Promise<void> {
    const { workspace, source, request, atMs } = command;
    const answer = { command_id: request.command_id, outcome, message, reported_by: reporter, at: atMs };
    await this.#answer({ workspace, source }, { ...answer, result: JSON.stringify(result) });
  }

  async #answer({ workspace, source }: CommandRecord, outcome: CommandOutcomeRecord): Promise<void> {
    const record = { workspace, source, request: null, outcome };
    await this.#rim.sendOutcome(record);
    this.#book.note(record);
  }
}

const reporter = 'reference-orchestrator';

function sumTaken(open: DemoState['open']): number {
  return open.reduce((sum, { spec, takenMs }) => sum + Math.min(takenMs, spec.endMs) - spec.startMs, 0);
}

function sumLengths(open: DemoState['open']): number {
  return open.reduce((sum, { spec }) => sum + spec.endMs - spec.startMs, 0);
}
