import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { findAntiPatterns } from '../../services/analysis/anti-patterns.ts';
import { findBottlenecks } from '../../services/analysis/bottlenecks.ts';
import { findCriticalPath } from '../../services/analysis/critical-path.ts';
import { type ExecutionTrace, gatherExecutions } from '../../services/analysis/execution-trace.ts';
import { findStructuralPatterns } from '../../services/analysis/structural-patterns.ts';
import { timeRun } from '../../services/analysis/timed-run.ts';
import { timeWorkflow } from '../../services/analysis/workflow-runs.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { drawRun, gatherOne } from '../services/analysis/told-runs.ts';
import { makeHabitCase, plantedHabits } from '../support/planted-anti-patterns.ts';
import type { PlayedRun } from '../support/planted-runs.ts';
import {
  firstSeeds,
  makeBottleneckCase,
  makeDurationCase,
  makeLargePatternCase,
  makePatternCase,
  type PatternCase,
} from '../support/planted-scenarios.ts';
import { plantedKinds } from '../support/planted-workflow.ts';
import { type Estimate, judgeEstimates, replayEstimates } from './estimates.ts';
import { type Forecast, judgeForecasts, replayForecasts } from './forecasts.ts';
import { type Bar, finishBench, median, round } from './report.ts';
import { isWaitedFor, shareOfRun, simulateFleet } from './simulated-fleet.ts';

/**
 * How often the analyses of executions are right: on generated workflows whose answers are known, and on the simulated
 * fleet. Seeds are others than those that anything was tuned on; `--tuning` looks at those instead. `--cases N` sets how
 * many workflows of each kind, `--only scale` or any other part leaves out the rest.
 */
const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
};
const cases = Number(option('--cases') ?? 300);
const only = option('--only');
const firstSeed = process.argv.includes('--tuning') ? firstSeeds.tuning : firstSeeds.judging;
const rows: Record<string, string | number>[] = [];
const bars: Bar[] = [];

const gather = (runs: readonly PlayedRun[]) => gatherExecutions(runs.flatMap(({ events }) => events));

/** Two sets of tasks are the same pattern if they share at least half of what either holds. */
function isSame(left: readonly string[], right: readonly string[]): boolean {
  const own = new Set(left);
  const shared = right.filter((task) => own.has(task)).length;
  return shared >= 0.5 * (left.length + right.length - shared);
}

function judgePatterns(what: string, count: number, makeCase: (seed: number) => PatternCase): void {
  const scores = new Map(
    plantedKinds.map((kind) => [kind, { right: 0, missed: 0, wrong: 0, untoldRight: 0, untoldAll: 0 }]),
  );
  let tasksMost = 0;
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const { workflow, runs, noise } = makeCase(seed);
    tasksMost = Math.max(tasksMost, workflow.tasks.length);
    const found = findStructuralPatterns(timeWorkflow(gather(runs)));
    const used = new Set<number>();
    for (const { kind, tasks } of workflow.patterns) {
      const score = scores.get(kind);
      if (score === undefined) continue;
      const place = found.findIndex((own, index) => own.kind === kind && !used.has(index) && isSame(own.tasks, tasks));
      if (place >= 0) used.add(place);
      score[place >= 0 ? 'right' : 'missed']++;
      if (noise.tellsDependencies) continue;
      score.untoldAll++;
      if (place >= 0) score.untoldRight++;
    }
    found.forEach(({ kind }, index) => {
      const score = scores.get(kind);
      if (score !== undefined && !used.has(index)) score.wrong++;
    });
  }
  for (const [kind, { right, missed, wrong, untoldRight, untoldAll }] of scores) {
    if (right + missed === 0) continue;
    const f1 = (2 * right) / (2 * right + missed + wrong);
    const precision = round(right / Math.max(1, right + wrong));
    const recall = round(right / Math.max(1, right + missed));
    const untold = round(untoldRight / Math.max(1, untoldAll));
    rows.push({
      what: `${what} ${kind}`,
      planted: right + missed,
      precision,
      recall,
      f1: round(f1),
      'recall untold': untoldAll === 0 ? '' : untold,
      'tasks at most': tasksMost,
    });
    bars.push({ name: `${what}-${kind}-f1`, value: f1, unit: '', direction: 'at least', bound: 0.9 });
  }
}

function judgeBottlenecks(): void {
  let [first, alarms] = [0, 0];
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    for (const isHealthy of [false, true]) {
      const { runs, before, cause } = makeBottleneckCase(seed, isHealthy);
      const past = before.length === 0 ? null : timeWorkflow(gather(before));
      const answer = findBottlenecks(timeWorkflow(gather(runs)), past);
      const [top] = 'refused' in answer ? [] : answer.bottlenecks;
      if (cause !== null && top?.task === cause.taskId) first++;
      if (cause === null && top !== undefined) alarms++;
    }
  }
  rows.push({
    what: 'bottlenecks',
    planted: cases,
    'top 1': round(first / cases),
    'false alarms': round(alarms / cases),
  });
  bars.push({ name: 'bottleneck-top-1', value: first / cases, unit: 'of planted', direction: 'at least', bound: 0.95 });
  bars.push({
    name: 'bottleneck-false-alarms',
    value: alarms / cases,
    unit: 'of healthy',
    direction: 'at most',
    bound: 0.05,
  });
}

/** Each habit is looked for where it was planted, where another was, and where none was. */
function judgeHabits(count: number): void {
  const scores = new Map(plantedHabits.map((habit) => [habit, { right: 0, missed: 0, wrong: 0 }]));
  for (const planted of [...plantedHabits, null]) {
    for (let seed = firstSeed; seed < firstSeed + count; seed++) {
      const answer = findAntiPatterns(timeWorkflow(gatherExecutions(makeHabitCase(seed, planted).events)));
      const found = new Set('refused' in answer ? [] : answer.anti_patterns.map(({ type }) => type));
      for (const [habit, score] of scores) {
        if (habit === planted) score[found.has(habit) ? 'right' : 'missed']++;
        else if (found.has(habit)) score.wrong++;
      }
    }
  }
  for (const [habit, { right, missed, wrong }] of scores) {
    const f1 = (2 * right) / (2 * right + missed + wrong);
    const [precision, recall] = [round(right / Math.max(1, right + wrong)), round(right / Math.max(1, right + missed))];
    rows.push({ what: `anti-pattern ${habit}`, planted: right + missed, precision, recall, f1: round(f1) });
    bars.push({ name: `anti-pattern-${habit}-f1`, value: f1, unit: '', direction: 'at least', bound: 0.9 });
  }
}

/** Every path through a graph, one by one. */
function longestByForce({ tasks }: ReturnType<typeof drawRun>): number {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  const lengthTo = (id: string): number => {
    const task = byId.get(id);
    if (task === undefined) return 0;
    return (task.end ?? 0) - (task.ready ?? 0) + Math.max(0, ...(task.after ?? []).map(lengthTo));
  };
  return Math.max(...tasks.map(({ id }) => lengthTo(id)));
}

function judgePaths(): void {
  let [equal, exact] = [0, 0];
  for (let seed = firstSeed; seed < firstSeed + cases; seed++) {
    const told = drawRun(createRandom(seed), 14);
    const { segments, duration } = findCriticalPath(timeRun(gatherOne(told)));
    const sumMs = segments.reduce((sum, { duration_ms }) => sum + duration_ms, 0);
    const pathMs = segments.reduce((sum, { kind, duration_ms }) => sum + (kind === 'closing' ? 0 : duration_ms), 0);
    if (pathMs === 1000 * longestByForce(told)) equal++;
    if (sumMs === duration) exact++;
  }
  rows.push({
    what: 'critical path',
    planted: cases,
    'as by force': round(equal / cases),
    'sums exact': round(exact / cases),
  });
  bars.push({
    name: 'critical-path-as-by-force',
    value: equal / cases,
    unit: 'of graphs',
    direction: 'at least',
    bound: 1,
  });
  bars.push({ name: 'critical-path-sums', value: exact / cases, unit: 'of graphs', direction: 'at least', bound: 1 });
}

function judgePredictions(
  what: string,
  histories: readonly (readonly ExecutionTrace[])[],
  hasErrorBars: boolean,
): void {
  const forecasts: Forecast[] = histories.flatMap((history) => replayForecasts(history, 100, 40));
  const { coverage, toRolling, toLast } = judgeForecasts(forecasts);
  rows.push({
    what: `prediction ${what}`,
    planted: forecasts.length,
    coverage: round(coverage),
    'to rolling': round(toRolling),
    'to last': round(toLast),
  });
  bars.push({
    name: `prediction-${what}-coverage-low`,
    value: coverage,
    unit: 'held',
    direction: 'at least',
    bound: 0.87,
  });
  bars.push({
    name: `prediction-${what}-coverage-high`,
    value: coverage,
    unit: 'held',
    direction: 'at most',
    bound: 0.93,
  });
  if (!hasErrorBars) return;
  bars.push({
    name: `prediction-${what}-to-rolling-median`,
    value: toRolling,
    unit: 'times its error',
    direction: 'at most',
    bound: 0.9,
  });
  bars.push({
    name: `prediction-${what}-to-last`,
    value: toLast,
    unit: 'times its error',
    direction: 'at most',
    bound: 0.7,
  });
}

function judgeRunning(what: string, histories: readonly (readonly ExecutionTrace[])[], from: number): void {
  const estimates: Estimate[] = histories.flatMap((history) => replayEstimates(history, from, 15));
  const shares = [...new Set(estimates.map(({ share }) => share))];
  for (const share of shares) {
    const { error, toPlain, coverage } = judgeEstimates(estimates.filter((own) => own.share === share));
    const about = { what: `end ${what} after ${100 * share} %`, planted: estimates.length / shares.length };
    rows.push({ ...about, error: round(error), 'to plain': round(toPlain), coverage: round(coverage) });
  }
  const { toPlain, coverage } = judgeEstimates(estimates);
  const bar = { name: `end-${what}-to-plain`, value: toPlain, unit: 'times its error' };
  bars.push({ ...bar, direction: 'at most', bound: 0.9 });
  bars.push({ name: `end-${what}-coverage`, value: coverage, unit: 'held', direction: 'at least', bound: 0.85 });
}

interface Scale {
  path: number;
  replay: number;
  graph: number;
  /** Of the whole process: the events it was made from, the program and all. */
  peakMb: number;
}

function measureScale(): void {
  const script = path.join(import.meta.dirname, 'insight-scale.ts');
  for (const shape of ['chain', 'map', 'layers']) {
    for (const tasks of [1000, 10_000, 100_000]) {
      const printed = execFileSync(process.execPath, [script, shape, `${tasks}`], { encoding: 'utf8' });
      const { path: onPath, replay, graph, peakMb } = JSON.parse(printed) as Scale;
      rows.push({
        what: `${shape} of ${tasks}`,
        'path s': round(onPath),
        'replay s': round(replay),
        'graph s': round(graph),
        'peak MB': round(peakMb),
      });
      if (tasks < 100_000) continue;
      bars.push({
        name: `critical-path-${shape}-100000`,
        value: onPath,
        unit: 's of one core',
        direction: 'at most',
        bound: 2,
      });
      bars.push({ name: `graph-${shape}-100000`, value: graph, unit: 's of one core', direction: 'at most', bound: 2 });
      bars.push({ name: `memory-${shape}-100000`, value: peakMb, unit: 'MB', direction: 'at most', bound: 1000 });
    }
  }
}

/** Slow tasks that the simulator planted, against the same workflow before; and workflows in which it planted nothing. */
async function judgeFleet(): Promise<void> {
  const quiet = await simulateFleet('quiet-fleet', 90_011);
  let [judged, alarms] = [0, 0];
  for (const history of quiet.histories.filter((own) => own.length >= 40)) {
    const middle = history.length >> 1;
    const answer = findBottlenecks(timeWorkflow(history.slice(middle)), timeWorkflow(history.slice(0, middle)));
    judged++;
    if (!('refused' in answer) && answer.bottlenecks.length > 0) alarms++;
  }
  rows.push({ what: 'simulated quiet fleet', planted: judged, 'false alarms': round(alarms / Math.max(1, judged)) });
  let [planted, first] = [0, 0];
  for (let seed = 90_012; seed < 90_032; seed++) {
    const { histories, truths } = await simulateFleet('incidents', seed);
    for (const { kind, workflowIds, taskIds, startMs, endMs } of truths) {
      const history = histories.find((own) => own[0].workflowId === workflowIds[0]) ?? [];
      const during = history.filter((run) => (run.startedAtMs ?? 0) >= startMs && (run.startedAtMs ?? 0) < endMs);
      const before = history.filter((run) => (run.endedAtMs ?? Number.POSITIVE_INFINITY) < startMs);
      if (kind !== 'slow_task' || during.length < 3 || before.length < 3) continue;
      if (!isWaitedFor(workflowIds[0], taskIds[0])) continue;
      // By definition no bottleneck: an hour's wait for a person's answer does not end sooner for it.
      if (median(during.map((run) => shareOfRun(run, taskIds[0]))) < 0.05) continue;
      planted++;
      const answer = findBottlenecks(timeWorkflow(during), timeWorkflow(before));
      if (!('refused' in answer) && answer.bottlenecks[0]?.task === taskIds[0]) first++;
    }
  }
  const topShare = first / Math.max(1, planted);
  rows.push({ what: 'simulated slow tasks', planted, 'top 1': round(topShare) });
  const bar = { name: 'bottleneck-simulated-top-1', value: topShare, unit: 'of planted' };
  bars.push({ ...bar, direction: 'at least', bound: 0.95 });
  const long = quiet.histories.filter((own) => own.length >= 140);
  judgePredictions('simulated', long, false);
  judgeRunning('simulated', long, 100);
}

const durationCases = Math.max(4, Math.round(cases / 25));
const parts: Record<string, () => void | Promise<void>> = {
  paths: judgePaths,
  patterns: () => judgePatterns('pattern', cases, makePatternCase),
  large: () => judgePatterns('large-pattern', Math.max(3, Math.round(cases / 30)), makeLargePatternCase),
  bottlenecks: judgeBottlenecks,
  habits: () => judgeHabits(Math.max(5, Math.round(cases / 5))),
  durations: () => {
    const histories = Array.from({ length: durationCases }, (_, index) => gather(makeDurationCase(firstSeed + index)));
    judgePredictions('generated', histories, true);
    judgeRunning('generated', histories, 100);
  },
  scale: measureScale,
  fleet: judgeFleet,
};
for (const [name, judge] of Object.entries(parts)) if (only === undefined || only === name) await judge();

finishBench('insight', rows, bars);
