import type { AntiPattern } from './anti-patterns.ts';
import { roundRatio } from './basis.ts';
import { type ExecutionTrace, isFailure } from './execution-trace.ts';
import { countBy } from './robust-statistics.ts';

/**
 * Retries that come together: in some minutes there are far more of them than usual, nearly every failure brings
 * another attempt, and they come at once instead of one by one. Steady retries of a flaky task are no storm.
 */
export const stormDefaults = {
  windowMs: 600_000,
  attemptsLeast: 10,
  /** Retries that each failure brings. */
  branchingLeast: 0.5,
  shareTimesUsualLeast: 3,
  /** Of so many retries by chance, with attempts as dependent on each other as they usually are. */
  pMost: 1e-4,
  overDispersion: 0.02,
  /** Retries in the busiest window by those in the mean one. */
  peakRatioLeast: 3,
  /** Tasks that are looked at one by one. */
  tasksMost: 200,
};

interface Window {
  startMs: number;
  attempts: number;
  failures: number;
  retries: number;
  tasks: string[];
}

/** A storm of one task is looked for apart, because calm tasks beside it would hide it. */
export function findRetryStorms(executions: readonly ExecutionTrace[]): AntiPattern | null {
  const taskIds = new Set(executions.flatMap(({ tasks }) => tasks.map(({ taskId }) => taskId)));
  const retried = [...taskIds].filter((id) => executions.some(({ tasks }) => tasks.some((own) => isRetried(own, id))));
  const found = [null, ...retried.slice(0, stormDefaults.tasksMost)]
    .map((taskId) => findStorm(countWindows(executions, taskId), 1 + retried.length))
    .filter((storm) => storm !== null);
  if (found.length === 0) return null;
  return describeStorm(found.reduce((most, storm) => (storm.worst.retries > most.worst.retries ? storm : most)));
}

const isRetried = ({ taskId, attempts }: ExecutionTrace['tasks'][number], id: string): boolean =>
  taskId === id && attempts.length > 1;

interface Storm {
  windows: number;
  worst: Window;
  usualShare: number;
  meanRetries: number;
}

/** The more tasks are looked at, the less likely chance has to be in each. */
function findStorm(windows: readonly Window[], looks: number): Storm | null {
  const totals = sumOf(windows);
  if (totals.retries === 0) return null;
  const meanRetries = totals.retries / windows.length;
  const storms = windows.filter((window) => isStorm(window, totals, meanRetries, stormDefaults.pMost / looks));
  if (storms.length === 0) return null;
  const worst = storms.reduce((most, window) => (window.retries > most.retries ? window : most));
  return { windows: storms.length, worst, usualShare: shareElsewhere(worst, totals), meanRetries };
}

function describeStorm({ windows, worst, usualShare, meanRetries }: Storm): AntiPattern {
  const tasks = countBy(worst.tasks).map(({ key }) => key);
  const share = worst.retries / worst.attempts;
  return {
    type: 'retry_storm',
    severity: share > 0.5 ? 'high' : 'medium',
    description: `from ${new Date(worst.startMs).toISOString()} on, ${worst.retries} of ${worst.attempts} attempts were retries`,
    recommendation:
      'Let waits between attempts grow and differ, and stop retrying while what is called is away (circuit breaker).',
    tasks: tasks.slice(0, 10),
    evidence: {
      windows,
      window_ms: stormDefaults.windowMs,
      retries: worst.retries,
      attempts: worst.attempts,
      retry_share: roundRatio(share),
      retry_share_usual: roundRatio(usualShare),
      branching_ratio: roundRatio(worst.retries / Math.max(1, worst.failures)),
      peak_by_mean: roundRatio(worst.retries / meanRetries),
    },
  };
}

/** Of one task, or of all. */
function countWindows(executions: readonly ExecutionTrace[], only: string | null): Window[] {
  const windows = new Map<number, Window>();
  for (const { tasks } of executions) {
    for (const { taskId, attempts } of tasks) {
      if (only !== null && taskId !== only) continue;
      attempts.forEach(({ state, startedAtMs, firstSeenMs }, place) => {
        if (state === 'skipped') return;
        const startMs = Math.floor((startedAtMs ?? firstSeenMs) / stormDefaults.windowMs) * stormDefaults.windowMs;
        const window = windows.get(startMs) ?? { startMs, attempts: 0, failures: 0, retries: 0, tasks: [] };
        windows.set(startMs, window);
        window.attempts++;
        if (isFailure(state)) window.failures++;
        if (place === 0 || !isFailure(attempts[place - 1].state)) return;
        window.retries++;
        window.tasks.push(taskId);
      });
    }
  }
  return [...windows.values()].sort((left, right) => left.startMs - right.startMs);
}

const sumOf = (windows: readonly Window[]): { attempts: number; retries: number } => ({
  attempts: windows.reduce((sum, { attempts }) => sum + attempts, 0),
  retries: windows.reduce((sum, { retries }) => sum + retries, 0),
});

/** Without the window that is judged; as if one retry more had been seen, so that none at all is not impossible. */
const shareElsewhere = ({ attempts, retries }: Window, totals: { attempts: number; retries: number }): number =>
  (totals.retries - retries + 1) / (totals.attempts - attempts + 30);

function isStorm(
  window: Window,
  totals: { attempts: number; retries: number },
  meanRetries: number,
  pMost: number,
): boolean {
  const { attempts, failures, retries } = window;
  if (attempts < stormDefaults.attemptsLeast || retries < 2) return false;
  const usual = shareElsewhere(window, totals);
  if (retries / attempts < stormDefaults.shareTimesUsualLeast * usual) return false;
  if (retries < stormDefaults.branchingLeast * failures || retries < stormDefaults.peakRatioLeast * meanRetries)
    return false;
  return chanceOfMore(retries, attempts, usual) < pMost;
}

/** Beta-binomial tail: at least so many of `attempts`, whose share varies around `mean` from window to window. */
export function chanceOfMore(retries: number, attempts: number, mean: number): number {
  const a = (mean * (1 - stormDefaults.overDispersion)) / stormDefaults.overDispersion;
  const b = ((1 - mean) * (1 - stormDefaults.overDispersion)) / stormDefaults.overDispersion;
  // Probability of none, then each from the one before.
  let log = 0;
  for (let index = 0; index < attempts; index++) log += Math.log((b + index) / (a + b + index));
  let below = 0;
  for (let count = 0; count < retries; count++) {
    below += Math.exp(log);
    log += Math.log(((attempts - count) * (a + count)) / ((count + 1) * (b + attempts - count - 1)));
  }
  return Math.max(0, 1 - below);
}
