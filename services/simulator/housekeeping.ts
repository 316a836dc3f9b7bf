import type { Orchestrator } from './orchestrator.ts';
import type { Random } from './random.ts';
import { reportPools, reportWorkers } from './reports.ts';
import { type ScalingMemory, scalePools, scalingDefaults } from './scaling.ts';

/** How often an orchestrator tells of itself. */
export interface ReportRhythm {
  poolsEveryMs: number;
  workersEveryMs: number;
  /** One decision in so many is told. */
  decisionsEvery: number;
}

export const reportRhythms = {
  sparse: { poolsEveryMs: 1_800_000, workersEveryMs: 3_600_000, decisionsEvery: 60 },
  coarse: { poolsEveryMs: 600_000, workersEveryMs: 1_800_000, decisionsEvery: 20 },
  detailed: { poolsEveryMs: 10_000, workersEveryMs: 30_000, decisionsEvery: 1 },
} as const;

interface HouseOptions {
  startMs: number;
  /** What comes after is told by another world. */
  endMs: number;
  /** From here on the rhythm is another. */
  detailFromMs: number;
  rhythm: () => ReportRhythm;
  random: Random;
}

// Elections and locks are rare enough to be told one by one; how nodes get on otherwise is told now and then.
const summaryEveryMs = 600_000;
const lockEveryMs = 3_600_000;
const lockTimeoutMs = 2_500;

/** What an orchestrator does beside running work: it reports, scales its pools and agrees on a leader. */
export function keepHouse(owner: Orchestrator, options: HouseOptions): void {
  keepReporting(owner, options);
  keepScaling(owner, options);
  keepAgreeing(owner, options);
}

function keepReporting(owner: Orchestrator, options: HouseOptions): void {
  const { startMs, detailFromMs, rhythm } = options;
  const { engine } = owner;
  // What is coarse stops where the detail begins, so that the first minutes there are not silent.
  const toNext = (everyMs: number) =>
    engine.nowMs < detailFromMs && engine.nowMs + everyMs > detailFromMs ? detailFromMs - engine.nowMs : everyMs;
  let reportedAtMs = startMs;
  const report = () => {
    reportPools(owner, Math.max(1_000, engine.nowMs - reportedAtMs));
    reportedAtMs = engine.nowMs;
  };
  repeat(owner, options, startMs + 5_000, () => toNext(rhythm().poolsEveryMs), report);
  repeat(
    owner,
    options,
    startMs + 7_000,
    () => toNext(rhythm().workersEveryMs),
    () => reportWorkers(owner),
  );
}

function keepScaling(owner: Orchestrator, options: HouseOptions): void {
  const memory: ScalingMemory = new Map();
  const { everyMs } = scalingDefaults;
  repeat(
    owner,
    options,
    options.startMs + everyMs,
    () => everyMs,
    () => scalePools(owner, memory),
  );
}

/** Leaders change now and then; some tasks meet a lock that another holds. */
function keepAgreeing(owner: Orchestrator, options: HouseOptions): void {
  const { startMs, random } = options;
  const { coordination, ledger, engine } = owner;
  const summarise = () => {
    owner.send('coordination_event', coordination.summarise(ledger.decisions.count, ledger.running));
  };
  const elect = () => {
    const { event, failoverMs } = coordination.elect(engine.nowMs, 'the leader was deployed anew');
    owner.leaderlessUntilMs = engine.nowMs + failoverMs;
    ledger.unavailableMs += failoverMs;
    owner.send('coordination_event', event);
  };
  const meetLock = () => {
    const waitMs = Math.round(random.logNormal(180, 1));
    const lock = `workflow:${random.below(20)}`;
    owner.send('coordination_event', coordination.waitForLock(lock, waitMs, waitMs > lockTimeoutMs));
  };
  const electionGap = () => random.exponential(coordination.spec.electionEveryMs);
  const lockGap = () => random.exponential(lockEveryMs);
  repeat(owner, options, startMs + 20_000, () => summaryEveryMs, summarise);
  repeat(owner, options, startMs + electionGap(), electionGap, elect);
  repeat(owner, options, startMs + lockGap(), lockGap, meetLock);
}

function repeat(
  { engine }: Orchestrator,
  { endMs }: HouseOptions,
  firstMs: number,
  everyMs: () => number,
  action: () => void,
): void {
  const planAt = (atMs: number) => {
    if (atMs < endMs) engine.at(Math.ceil(atMs), turn);
  };
  const turn = () => {
    action();
    planAt(engine.nowMs + everyMs());
  };
  planAt(firstMs);
}
