import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { alertWindowMs, type WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import { planIncidents } from '../../services/simulator/incident-plan.ts';
import { scenarios } from '../../services/simulator/scenarios.ts';
import type { TruthRecord } from '../../services/simulator/truth.ts';
import { World, type WorldEvent, type WorldSink } from '../../services/simulator/world.ts';
import { firstVisibleMs } from './alert-matching.ts';
import { WindowFold } from './window-fold.ts';

/** A stretch of simulated days: some with incidents, some quiet, with the windows that the evaluator would be given. */
export interface SimulatedStretch {
  windows: Iterable<WindowInput>;
  endMs: number;
  workflows: number;
  incidents: Incident[];
}

/** What was planted, and when it first showed; null where it left no mark. */
export interface Incident {
  truth: TruthRecord;
  visibleMs: number | null;
}

export interface StretchSpec {
  seed: number;
  days: number;
  /** Begin of the first day, `stretchStartMs` where none is given. */
  startMs?: number;
  /** Incidents on a day, counted from the first. */
  incidentsPerDay(day: number): number;
}

export const dayMs = 86_400_000;
/** A Monday. */
export const stretchStartMs = Date.UTC(2026, 5, 1);
const rhythm = { poolsEveryMs: 100_000, workersEveryMs: 150_000, decisionsEvery: 100 } as const;
/** Runs are played for so long after the begin of their day. */
export const playedMs = 4 * dayMs;

/**
 * Plays day after day, and gives the windows that a day completes: runs of a day may end on the next, so the last day has none.
 * Whoever listens hears every event that is folded.
 */
export function* foldDays(spec: StretchSpec, listener: WorldSink): Generator<WindowInput[], void, void> {
  const { seed, days, startMs = stretchStartMs, incidentsPerDay } = spec;
  const fold = new WindowFold();
  const event = (happened: WorldEvent) => {
    fold.add(happened);
    listener.event(happened);
  };
  const perDay = dayMs / alertWindowMs;
  const first = startMs / alertWindowMs;
  for (let day = 0; day < days; day++) {
    const fromMs = startMs + day * dayMs;
    const scenario = { ...scenarios.demo, incidentsPerDay: incidentsPerDay(day) };
    const catalogue = scenario.catalogue(0, 1);
    const world = new World({
      seed,
      startMs: fromMs,
      endMs: fromMs + dayMs,
      catalogue,
      load: scenario.load,
      incidents: planIncidents({ ...scenario, catalogue, seed, startMs: fromMs, endMs: fromMs + dayMs }),
      rhythm: { coarse: rhythm, detailed: rhythm, detailFromMs: Number.POSITIVE_INFINITY },
      sink: { event, truth: (record) => listener.truth(record) },
    });
    world.runUntil(fromMs + playedMs);
    const begin = first + (day - 1) * perDay;
    yield day === 0 ? [] : Array.from({ length: perDay }, (_, index) => fold.take(begin + index));
  }
}

/** What the evaluator would have been given, and what was planted. */
export function simulateStretch(spec: StretchSpec): SimulatedStretch {
  const truths: TruthRecord[] = [];
  const listener: WorldSink = { event: () => {}, truth: (record) => void truths.push(record) };
  const windows = [...foldDays(spec, listener)].flat();
  return {
    windows,
    endMs: windows.at(-1)?.endMs ?? stretchStartMs,
    workflows: new Set(windows.flatMap(({ runs }) => runs.map(({ workflowId }) => workflowId))).size,
    incidents: truths.map((truth) => ({ truth, visibleMs: firstVisibleMs(truth, windows) })),
  };
}

/** Windows as they are kept: one that is looked at is unpacked, and forgotten. */
class PackedWindows implements Iterable<WindowInput> {
  readonly #packed: readonly Uint8Array[];

  constructor(packed: readonly Uint8Array[]) {
    this.#packed = packed;
  }

  *[Symbol.iterator](): Iterator<WindowInput> {
    for (const window of this.#packed) yield deserialize(window) as WindowInput;
  }
}

/** Kept in a folder, where one is given: simulating takes ten times as long as judging. */
export function keepStretch(spec: StretchSpec, folder: string | undefined): SimulatedStretch {
  if (folder === undefined) return simulateStretch(spec);
  const file = path.join(folder, `stretch-${spec.seed}.bin`);
  if (!existsSync(file)) {
    const { windows, ...stretch } = simulateStretch(spec);
    mkdirSync(folder, { recursive: true });
    const packed = Array.from(windows, (window) => serialize(window));
    writeFileSync(`${file}.part`, serialize({ ...stretch, packed }));
    renameSync(`${file}.part`, file);
  }
  const { packed, ...stretch } = deserialize(readFileSync(file));
  return { ...stretch, windows: new PackedWindows(packed) };
}
