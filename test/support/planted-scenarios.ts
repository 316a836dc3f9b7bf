import { createRandom, type Random } from '../../services/simulator/random.ts';
import { noNoise, type PlantedCause, type PlayedRun, playRuns, type RunNoise, type RunPlan } from './planted-runs.ts';
import { type Block, type PlantedWorkflow, plantWorkflow } from './planted-workflow.ts';

/**
 * Cases with known answers: a seed says everything about one. Whoever changes a method looks at tuning seeds only, as tests
 * do; the bench judges by others that nothing was ever chosen by.
 */
export const firstSeeds = { tuning: 1, judging: 200_000 } as const;

const firstMs = Date.UTC(2026, 0, 5);
const everyMs = 3_600_000;
const allBlocks: Block[] = ['task', 'chain', 'parallel', 'switch', 'loop', 'map', 'scatter', 'saga'];

const drawNoise = (random: Random): RunNoise => ({
  ...noNoise,
  missingEdges: random.pick([0, 0.05, 0.15]),
  missingEnds: random.pick([0, 0, 0.01, 0.03]),
  retryRatio: random.pick([0, 0.02, 0.06]),
  failureRatio: random.pick([0, 0, 0.002]),
  skewMs: random.pick([0, 50, 2000]),
  tellsSkipped: random.chance(0.6),
  loopsBy: random.pick(['iteration', 'attempt']),
});

export interface PatternCase {
  seed: number;
  workflow: PlantedWorkflow;
  noise: RunNoise;
  runs: PlayedRun[];
}

/** Workflows of one to five blocks; of every four, one tells no dependencies at all. */
export function makePatternCase(seed: number): PatternCase {
  const random = createRandom(seed);
  const blocks = Array.from({ length: 1 + random.below(5) }, () => random.pick(allBlocks));
  const workflow = plantWorkflow(`pattern-${seed}`, blocks, random);
  const noise = { ...drawNoise(random), tellsDependencies: !random.chance(0.25) };
  const plan = {
    executions: 60 + random.below(60),
    seed,
    firstMs,
    everyMs,
    cause: null,
    causeFrom: 0,
    sizeSpread: 0.1,
  };
  return { seed, workflow, noise, runs: playRuns({ ...plan, workflow, noise }) };
}

/** A workflow of very many tasks, up to two thousand, and few executions of it. */
export function makeLargePatternCase(seed: number): PatternCase {
  const random = createRandom(seed);
  const count = random.pick([40, 120, 400]);
  const blocks = Array.from({ length: count }, () => random.pick(allBlocks.filter((block) => block !== 'saga')));
  const workflow = plantWorkflow(`large-${seed}`, blocks, random);
  const noise = drawNoise(random);
  const plan = { executions: 40, seed, firstMs, everyMs, cause: null, causeFrom: 0, sizeSpread: 0.1 };
  return { seed, workflow, noise, runs: playRuns({ ...plan, workflow, noise }) };
}

export interface BottleneckCase {
  seed: number;
  workflow: PlantedWorkflow;
  cause: PlantedCause | null;
  /** Executions before the cause, where the analysis may compare with them. */
  before: PlayedRun[];
  runs: PlayedRun[];
}

/** A cause counts as planted if executions take longer by at least so much because of it. */
const plantedShareLeast = 0.15;

export function makeBottleneckCase(seed: number, isHealthy: boolean): BottleneckCase {
  for (let attempt = 0; ; attempt++) {
    const random = createRandom(seed * 1013 + attempt);
    const blocks = Array.from({ length: 2 + random.below(4) }, () =>
      random.pick(allBlocks.filter((block) => block !== 'saga')),
    );
    const workflow = plantWorkflow(`slow-${seed}`, blocks, random);
    const noise = drawNoise(random);
    const hasPast = random.chance(0.5);
    const cause = isHealthy ? null : drawCause(workflow, random, hasPast);
    const plan: RunPlan = {
      workflow,
      executions: 60,
      seed,
      firstMs,
      everyMs,
      noise,
      cause,
      causeFrom: 30,
      sizeSpread: 0.15,
    };
    const runs = playRuns(plan);
    const before = hasPast ? runs.slice(0, 30) : [];
    if (cause === null) return { seed, workflow, cause, before, runs: runs.slice(30) };
    const healthy = playRuns({ ...plan, cause: null });
    const [with_, without] = [sumOf(runs.slice(30)), sumOf(healthy.slice(30))];
    // What lies beside the longest path slows nothing down: another place is drawn.
    if (with_ - without >= plantedShareLeast * with_) return { seed, workflow, cause, before, runs: runs.slice(30) };
  }
}

const sumOf = (runs: readonly PlayedRun[]): number => runs.reduce((sum, { makespanMs }) => sum + makespanMs, 0);

function drawCause({ tasks }: PlantedWorkflow, random: Random, hasPast: boolean): PlantedCause {
  const mapped = tasks.filter(({ instances }) => instances !== null);
  const plain = tasks.filter(
    ({ instances, branch, loopId }) => instances === null && branch === null && loopId === null,
  );
  const kinds: PlantedCause['kind'][] =
    mapped.length > 0 ? ['slow', 'slot_wait', 'retries', 'skewed', 'starved'] : ['slow', 'slot_wait', 'retries'];
  const kind = random.pick(kinds);
  const target = random.pick(kind === 'skewed' || kind === 'starved' ? mapped : plain);
  const taskId = target.id;
  switch (kind) {
    case 'slow':
      // Without a past to compare with, slow is what is slow beside the other tasks.
      return { kind, taskId, factor: (random.between(2, 5) * (hasPast ? target.medianMs : 90_000)) / target.medianMs };
    case 'slot_wait':
      return { kind, taskId, waitMs: random.between(60_000, 240_000) };
    case 'retries':
      return { kind, taskId, failures: 2 + random.below(3) };
    case 'skewed':
      return { kind, taskId, factor: random.between(5, 10) };
    case 'starved':
      return { kind, taskId, slots: 1 };
  }
}

/** A history whose durations follow the size of the input, the hour of the day or a change, or nothing but chance. */
export function makeDurationCase(seed: number): PlayedRun[] {
  const random = createRandom(seed);
  const blocks = Array.from({ length: 2 + random.below(3) }, () =>
    random.pick<Block>(['task', 'chain', 'parallel', 'map', 'scatter']),
  );
  const workflow = plantWorkflow(`duration-${seed}`, blocks, random);
  const noise = { ...noNoise, retryRatio: 0.02, failureRatio: 0.002 };
  const tellsSize = random.chance(0.7);
  const first = workflow.tasks[random.below(workflow.tasks.length)];
  const hasChange = random.chance(0.3);
  const cause: PlantedCause | null = hasChange ? { kind: 'slow', taskId: first.id, factor: 4 } : null;
  const plan = {
    executions: 220,
    seed,
    firstMs,
    everyMs,
    cause,
    causeFrom: 90,
    sizeSpread: random.between(0.3, 0.8),
    tellsSize,
  };
  return playRuns({ ...plan, workflow, noise });
}
