import { type ScenarioName, segmentMsOf } from './scenarios.ts';
import type { SegmentSpec } from './segment.ts';

/**
 * How far a demo has come: written to a topic of its own after what it speaks of was acknowledged. After a crash some
 * records are sent once more, which the pipeline knows for duplicates; none is left out.
 */
export interface DemoState {
  version: 1;
  scenario: ScenarioName;
  seed: number;
  scale: number;
  firstMs: number;
  /** Since when reports are detailed: the first moment of live telemetry. */
  liveFromMs: number;
  /** Segments that still have something to send, and how far each was sent. */
  open: { spec: SegmentSpec; takenMs: number }[];
  /** Where the next segment begins. */
  nextStartMs: number;
}

export interface DemoWishes {
  scenario: ScenarioName;
  seed: number;
  scale: number;
  historyDays: number;
  nowMs: number;
}

const dayMs = 86_400_000;
/** The last day of history is told as it happened; what is older comes as if it was read from an orchestrator's database. */
const toldFromBeginningMs = dayMs;

/** The first start: days of history, and a segment that goes on into the future. */
export function beginDemo({ scenario, seed, scale, historyDays, nowMs }: DemoWishes): DemoState {
  const todayMs = Math.floor(nowMs / dayMs) * dayMs;
  const firstMs = todayMs - historyDays * dayMs;
  const state: DemoState = {
    version: 1,
    scenario,
    seed,
    scale: 1,
    firstMs,
    liveFromMs: nowMs,
    open: [],
    nextStartMs: firstMs,
  };
  // History is of the ordinary size, whatever the rate is afterwards.
  openSegments(state, nowMs);
  if (scale !== 1) changeScale(state, scale, nowMs);
  return state;
}

/** A later start goes on where the last one was; other wishes than then hold from now on. */
export function resumeDemo(state: DemoState, { scenario, seed, scale, nowMs }: DemoWishes): DemoState {
  const resumed = structuredClone(state);
  openSegments(resumed, nowMs);
  if (state.scenario !== scenario || state.seed !== seed) {
    Object.assign(resumed, { scenario, seed, firstMs: nowMs });
    changeScale(resumed, scale, nowMs);
  } else if (state.scale !== scale) changeScale(resumed, scale, nowMs);
  return resumed;
}

/** Nothing new begins in the segments so far, and what comes begins now. */
function changeScale(state: DemoState, scale: number, nowMs: number): void {
  state.scale = scale;
  for (const { spec } of state.open) spec.endMs = Math.min(spec.endMs, Math.max(nowMs, spec.startMs));
  state.nextStartMs = nowMs;
  openSegments(state, nowMs);
}

/** Opens all segments that have begun by now; answers with them. */
export function openSegments(state: DemoState, nowMs: number): SegmentSpec[] {
  const opened: SegmentSpec[] = [];
  const segmentMs = segmentMsOf(state.scale);
  while (state.nextStartMs <= nowMs) {
    const startMs = state.nextStartMs;
    const endMs = (Math.floor(startMs / segmentMs) + 1) * segmentMs;
    const { scenario, seed, scale, firstMs, liveFromMs } = state;
    const told = { detailFromMs: liveFromMs, beginningsFromMs: liveFromMs - toldFromBeginningMs };
    const spec = { startMs, endMs, gridEndMs: endMs, scenario, seed, scale, firstMs, ...told };
    state.open.push({ spec, takenMs: startMs });
    opened.push(spec);
    state.nextStartMs = endMs;
  }
  return opened;
}

export function encodeState(state: DemoState): string {
  return JSON.stringify(state);
}

/** Null for text that is none of ours. */
export function decodeState(text: string): DemoState | null {
  try {
    const state = JSON.parse(text) as DemoState;
    return state.version === 1 && Array.isArray(state.open) ? state : null;
  } catch {
    return null;
  }
}
