import type { OrchestratorRecord } from '../../schemas/orchestrator-records.ts';
import type { ExecutionRecord, TaskRecord } from '../../schemas/records.ts';
import { type LoadFactor, nextArrival, runsOfArrival } from './arrivals.ts';
import { type CatalogueEntry, everyTask } from './catalogue.ts';
import { describeDecision } from './decisions.ts';
import { ActiveEffects } from './effects.ts';
import { Engine } from './engine.ts';
import { fleet, type OrchestratorSpec } from './fleet.ts';
import { keepHouse, type ReportRhythm, reportRhythms } from './housekeeping.ts';
import { IncidentDesk } from './incident-desk.ts';
import type { PlannedIncident } from './incident-stage.ts';
import { Orchestrator } from './orchestrator.ts';
import { type AttemptMoment, Play, type PlayEffects } from './play.ts';
import type { ExecutionChange, TaskChange } from './play-changes.ts';
import { releasedVersion } from './releases.ts';
import { TimedResultCache } from './result-cache.ts';
import { beginRun, type Run, type RunCause, runIdOf } from './runs.ts';
import { randomFor } from './seeds.ts';
import { describeExecution, describeTask } from './telemetry.ts';
import type { TruthRecord } from './truth.ts';
import type { WorkflowDefinition } from './workflow-model.ts';

/** One record of telemetry as it leaves its source. */
export type WorldEvent = { key: string; atMs: number } & (
  | { topic: 'executions'; record: ExecutionRecord }
  | { topic: 'tasks'; record: TaskRecord }
  | { topic: 'orchestrators'; record: OrchestratorRecord }
);

export interface WorldSink {
  event(event: WorldEvent): void;
  truth(record: TruthRecord): void;
}

export interface WorldOptions {
  seed: number;
  startMs: number;
  /** No run begins by itself from here on; those under way are played to their end. */
  endMs: number;
  catalogue: readonly CatalogueEntry[];
  orchestrators?: readonly OrchestratorSpec[];
  load?: LoadFactor;
  incidents?: readonly PlannedIncident[];
  /** How far clocks of workers are off, at most. */
  clockSkewMsMost?: number;
  /** Slots of each worker, compared with the ordinary; for more load than that. */
  slotFactor?: number;
  /** Before `detailFromMs` reports come seldom, as history would otherwise be mostly reports. */
  rhythm?: { coarse: ReportRhythm; detailed: ReportRhythm; detailFromMs: number };
  /**
   * Before this, of an attempt is told how it ended, with all its times, and reports are sparse: what an orchestrator's own database
   * still knows.
   */
  beginningsFromMs?: number;
  sink: WorldSink;
}

// Runs that are over can still be retried for a while.
const finishedRunsKept = 500;

/**
 * Orchestrators, their workers and the workflows that they run, in virtual time. A function of its options: the same
 * seed gives the same events in the same order.
 */
export class World {
  readonly engine: Engine;
  readonly options: WorldOptions;
  readonly orchestrators = new Map<string, Orchestrator>();
  readonly runs = new Map<string, Run>();
  readonly #entries: Map<string, CatalogueEntry>;
  readonly #followers = new Map<string, CatalogueEntry[]>();
  readonly #effects = new ActiveEffects((moment) => this.#crowding(moment));
  readonly #versions = new Map<string, WorkflowDefinition>();
  readonly #overrides = new Map<string, string>();
  readonly #limits = new Map<string, number>();
  readonly #active = new Map<string, number>();
  readonly #waiting = new Map<string, Run[]>();
  readonly #numbers = new Map<string, number>();
  readonly #muted = new Map<string, (() => void)[]>();
  readonly #skews = new Map<string, number>();
  readonly #finished: string[] = [];
  readonly #paused = new Set<string>();
  readonly #cache = new TimedResultCache();
  readonly #desk: IncidentDesk;
  readonly tag: string;
  #decisions = 0;
  #openRuns = 0;

  constructor(options: WorldOptions) {
    this.options = options;
    this.engine = new Engine(options.startMs);
    this.tag = Math.floor(options.startMs / 1000).toString(36);
    this.#entries = new Map(options.catalogue.map((entry) => [entry.definition.id, entry]));
    for (const spec of options.orchestrators ?? fleet) this.#addOrchestrator(spec);
    for (const entry of options.catalogue) this.#expectRuns(entry);
    this.#desk = new IncidentDesk(this, options.incidents ?? []);
  }

  /** When something happens next; null when everything is over. */
  get nextMs(): number | null {
    return this.isOver ? null : this.engine.nextMs;
  }

  /** Nothing begins any more, and nothing is under way. */
  get isOver(): boolean {
    return this.engine.nowMs >= this.options.endMs && this.#openRuns === 0;
  }

  get openRuns(): number {
    return this.#openRuns;
  }

  runUntil(timeMs: number): void {
    for (let next = this.nextMs; next !== null && next <= timeMs; next = this.nextMs) this.engine.step();
    if (!this.isOver) this.engine.runUntil(timeMs);
  }

  #addOrchestrator(spec: OrchestratorSpec): void {
    const { seed, startMs, slotFactor = 1 } = this.options;
    const own = this.options.catalogue.filter(({ orchestratorId }) => orchestratorId === spec.id);
    // One that runs nothing is not there.
    if (own.length === 0) return;
    const poolNames = new Set<string>();
    for (const { definition } of own) {
      for (const task of everyTask(definition)) if (task.kind === 'work') poolNames.add(task.pool);
    }
    const owner = new Orchestrator({
      engine: this.engine,
      spec,
      slotFactor,
      poolNames: [...poolNames].toSorted(),
      random: randomFor(seed, spec.id, startMs),
      idTag: this.tag,
      emit: (record) => this.#emit({ topic: 'orchestrators', key: spec.id, atMs: this.engine.nowMs, record }),
    });
    this.orchestrators.set(spec.id, owner);
    const { endMs, rhythm } = this.options;
    const detailFromMs = rhythm?.detailFromMs ?? Number.POSITIVE_INFINITY;
    const electing = randomFor(seed, spec.id, 'elections', startMs);
    keepHouse(owner, { startMs, endMs, detailFromMs, rhythm: () => this.#rhythm(), random: electing });
  }

  #rhythm(): ReportRhythm {
    const { rhythm, beginningsFromMs = 0 } = this.options;
    if (this.engine.nowMs < beginningsFromMs) return reportRhythms.sparse;
    if (rhythm === undefined) return reportRhythms.coarse;
    return this.engine.nowMs >= rhythm.detailFromMs ? rhythm.detailed : rhythm.coarse;
  }

  #expectRuns(entry: CatalogueEntry): void {
    const { pattern, definition } = entry;
    if (pattern.kind === 'chain') {
      const known = this.#followers.get(pattern.afterWorkflowId) ?? [];
      this.#followers.set(pattern.afterWorkflowId, [...known, entry]);
      return;
    }
    const { seed, startMs, endMs, load = () => 1 } = this.options;
    const random = randomFor(seed, definition.id, 'arrivals', startMs);
    const expectAfter = (afterMs: number) => {
      const nextMs = nextArrival(pattern, afterMs, random, load);
      if (nextMs >= endMs) return;
      this.engine.at(nextMs, () => {
        const runs = runsOfArrival(pattern, random);
        for (let run = 0; run < runs; run++) this.startRun(definition.id, { kind: 'arrival', scheduledAtMs: nextMs });
        expectAfter(nextMs);
      });
    };
    // A moment at the very start belongs to this world, not to the one before.
    expectAfter(startMs - 1);
  }

  /** Begins a run, or answers null where the workflow is switched off. */
  startRun(workflowId: string, cause: RunCause): string | null {
    const entry = this.#entries.get(workflowId);
    const missed = this.#muted.get(workflowId);
    if (entry === undefined) return null;
    if (missed !== undefined && missed.length > 0 && cause.kind === 'arrival') {
      for (const onMissed of missed) onMissed();
      return null;
    }
    const owner = this.orchestrators.get(entry.orchestratorId);
    if (owner === undefined) return null;
    const number = (this.#numbers.get(workflowId) ?? 0) + 1;
    this.#numbers.set(workflowId, number);
    const definition = this.definitionOf(entry);
    const executionId = runIdOf(owner.spec, definition, this.engine.nowMs, `${this.tag}${number.toString(36)}`);
    const run = beginRun({
      owner,
      definition,
      executionId,
      cause,
      number: this.#firstNumber() + number,
      atMs: this.engine.nowMs,
      random: randomFor(this.options.seed, executionId),
      quotaRatio: Math.min(1, (this.#active.get(workflowId) ?? 0) / 50),
    });
    run.play = this.#createPlay(run);
    this.runs.set(executionId, run);
    this.#openRuns++;
    run.play.announce();
    const waiting = this.#waiting.get(workflowId);
    if (waiting === undefined) this.#waiting.set(workflowId, [run]);
    else waiting.push(run);
    // The scheduler looks at new runs now and then, and more seldom when it is slow.
    const noticeMs = Math.round(run.random.logNormal(owner.spec.decisionMsMedian, 0.4) * owner.decisionSlowdown);
    this.engine.after(noticeMs, () => this.startWaiting(workflowId));
    this.#desk.runBegan(workflowId, executionId);
    return executionId;
  }

  /** Numbers grow from day to day, and days do not know of each other: each has room for what it may bring. */
  #firstNumber(): number {
    return Math.floor((this.options.startMs - Date.UTC(2025, 0)) / 60_000) * 20;
  }

  #createPlay(run: Run): Play {
    const { owner } = run;
    return new Play({
      engine: this.engine,
      definition: run.definition,
      executionId: run.executionId,
      random: run.random,
      variables: run.variables,
      scheduledAtMs: run.cause.kind === 'arrival' ? run.cause.scheduledAtMs : null,
      pools: (name) => owner.poolNamed(name).line,
      childDefinition: (id) => {
        const entry = this.#entries.get(id);
        return entry === undefined ? undefined : this.definitionOf(entry);
      },
      cache: this.#cache,
      effects: this.#effects.combined,
      observer: {
        execution: (change) => this.#executionChanged(run, change),
        task: (change) => this.#taskChanged(run, change),
      },
    });
  }

  /** Starts what waits, in the order of arrival, as far as limits and pauses allow. */
  startWaiting(workflowId: string): void {
    const waiting = this.#waiting.get(workflowId) ?? [];
    while (waiting.length > 0 && this.#mayStart(workflowId)) {
      const run = waiting.shift() as Run;
      if (run.play.state !== 'pending') continue;
      this.#active.set(workflowId, (this.#active.get(workflowId) ?? 0) + 1);
      run.isCounted = true;
      run.play.start();
    }
  }

  #mayStart(workflowId: string): boolean {
    if (this.#paused.has(workflowId)) return false;
    const limit = this.#limits.get(workflowId) ?? this.#entries.get(workflowId)?.definition.concurrencyLimit;
    return (this.#active.get(workflowId) ?? 0) < (limit ?? Number.POSITIVE_INFINITY);
  }

  setConcurrency(workflowId: string, limit: number): void {
    this.#limits.set(workflowId, limit);
    this.startWaiting(workflowId);
  }

  /** Runs that come wait, those under way go on. */
  pauseWorkflow(workflowId: string): boolean {
    if (!this.#entries.has(workflowId) || this.#paused.has(workflowId)) return false;
    this.#paused.add(workflowId);
    return true;
  }

  resumeWorkflow(workflowId: string): boolean {
    if (!this.#paused.delete(workflowId)) return false;
    this.startWaiting(workflowId);
    return true;
  }

  hasWorkflow(workflowId: string): boolean {
    return this.#entries.has(workflowId);
  }

  /** The run that an execution is, or is a part of. */
  runOf(executionId: string): Run | undefined {
    const own = this.runs.get(executionId);
    if (own !== undefined) return own;
    for (const run of this.runs.values()) if (run.stories.has(executionId)) return run;
    return undefined;
  }

  #executionChanged(run: Run, change: ExecutionChange): void {
    const story = run.storyOf(change);
    run.owner.countExecution(change, run.states.get(change.executionId) ?? null);
    run.states.set(change.executionId, change.state);
    const record = describeExecution(change, story);
    this.#emit({ topic: 'executions', key: change.executionId, atMs: change.atMs, record });
    if (change.executionId !== run.executionId) return;
    const isOver = change.endedAtMs !== null;
    if (isOver !== run.isOver) this.#openRuns += isOver ? -1 : 1;
    run.isOver = isOver;
    if (isOver) this.#runOver(run, change);
  }

  #runOver(run: Run, change: ExecutionChange): void {
    const workflowId = run.definition.id;
    if (run.isCounted) this.#active.set(workflowId, (this.#active.get(workflowId) ?? 1) - 1);
    run.isCounted = false;
    this.#finished.push(run.executionId);
    while (this.#finished.length > finishedRunsKept) {
      const oldest = this.#finished.shift() as string;
      if (this.runs.get(oldest)?.isOver) this.runs.delete(oldest);
    }
    this.startWaiting(workflowId);
    this.#desk.runEnded(workflowId, change.state);
    for (const { definition, pattern } of this.#followers.get(workflowId) ?? []) {
      if (pattern.kind !== 'chain') continue;
      const isMet = pattern.on === 'any' || pattern.on === change.state;
      if (isMet && run.random.chance(pattern.ratio)) {
        this.startRun(definition.id, { kind: 'chain', executionId: run.executionId, workflowId });
      }
    }
  }

  #taskChanged(run: Run, change: TaskChange): void {
    // That a task will come is no news; that it waits is.
    if (change.state === 'pending') return;
    const { owner } = run;
    const story = run.stories.get(change.executionId) ?? run.story;
    owner.countTask(change);
    if (change.state === 'queued' && !owner.spec.tellsQueued) return;
    if (this.#isTold(change)) {
      const record = describeTask(change, story, (worker) => this.#skewOf(worker));
      this.#emit({ topic: 'tasks', key: change.executionId, atMs: change.atMs, record });
    }
    if (change.state !== 'running' || change.worker === null) return;
    const latencyMs = owner.takeDecision(change);
    if (latencyMs === null || this.#decisions++ % this.#rhythm().decisionsEvery !== 0) return;
    owner.send('scheduling_decision', describeDecision(owner, change, latencyMs), change.dispatchedAtMs ?? change.atMs);
  }

  #isTold({ state, atMs }: TaskChange): boolean {
    const { beginningsFromMs = 0 } = this.options;
    return atMs >= beginningsFromMs || (state !== 'queued' && state !== 'running');
  }

  #skewOf(worker: string | null): number {
    const { clockSkewMsMost = 0, seed } = this.options;
    if (worker === null || clockSkewMsMost === 0) return 0;
    const known = this.#skews.get(worker);
    if (known !== undefined) return known;
    const skewMs = Math.round(randomFor(seed, 'clock', worker).between(-clockSkewMsMost, clockSkewMsMost));
    this.#skews.set(worker, skewMs);
    return skewMs;
  }

  #emit(event: WorldEvent): void {
    this.options.sink.event(event);
  }

  /** The version in use at this moment; versions come and go without the definition being written anew. */
  definitionOf({ definition }: CatalogueEntry): WorkflowDefinition {
    const version = this.versionOf(definition.id);
    const key = `${definition.id} ${version}`;
    const known = this.#versions.get(key) ?? { ...definition, version };
    this.#versions.set(key, known);
    return known;
  }

  versionOf(workflowId: string): string {
    const written = this.#entries.get(workflowId)?.definition.version ?? '1';
    return this.#overrides.get(workflowId) ?? releasedVersion(workflowId, written, this.options.startMs);
  }

  release(workflowId: string, version: string): void {
    this.#overrides.set(workflowId, version);
  }

  affect(effects: PlayEffects): () => void {
    return this.#effects.add(effects);
  }

  mute(workflowId: string, onMissed: () => void): () => void {
    this.#muted.set(workflowId, [...(this.#muted.get(workflowId) ?? []), onMissed]);
    return () => {
      const left = (this.#muted.get(workflowId) ?? []).filter((listener) => listener !== onMissed);
      this.#muted.set(workflowId, left);
    };
  }

  /** Neighbours on a busy worker cost up to a quarter of its speed. */
  #crowding({ executionId, worker }: AttemptMoment): number {
    const pool = worker === null ? undefined : this.runOf(executionId)?.owner.pools.get(worker.pool);
    const state = pool?.line.workers.get(worker?.workerId ?? '');
    return state === undefined ? 1 : 1 + 0.25 * (state.slotsUsed / state.slots) ** 2;
  }
}
