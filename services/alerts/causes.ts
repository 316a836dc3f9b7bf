import type { JudgementRow } from '../../clickhouse/tables/alerts.ts';
import type { Finding } from './finding.ts';

/**
 * One cause, one alert. What breaches in a window is set beside everything that breached lately in the same place, and what
 * another breach explains names it: a queue fills because its pool lost workers, a workflow is slow because a task of
 * it is, forty tasks fail because one service is away. Only what stands for itself becomes an alert of its own.
 */
const causeDefaults = {
  /** What breached so long ago still explains what it left behind. */
  rememberedMs: 45 * 60_000,
  /** Runs that began all at once keep a pool busy for longer than they begin. */
  surgeMs: 90 * 60_000,
  /** While what waits because of it still does, a surge is not over; but not for ever. */
  aliveMs: 6 * 3_600_000,
  /** Values that old may still be looked at. */
  lookMs: 6 * 3_600_000,
} as const;

/** From what explains others to what others explain. */
const layers = [
  'leader',
  'scheduler',
  'pool',
  'worker',
  'crowd',
  'failure',
  'slow',
  'surge',
  'load',
  'queue',
  'health',
  'wait',
  'workflow',
  'missing',
  'execution',
] as const;
type Layer = (typeof layers)[number];

/** Which layers explain which, the likeliest first. */
const explainedBy: Record<Layer, readonly Layer[]> = {
  leader: [],
  scheduler: ['leader', 'surge'],
  pool: [],
  worker: ['pool'],
  crowd: ['pool', 'worker'],
  failure: ['pool', 'slow'],
  slow: ['pool', 'worker', 'crowd', 'scheduler', 'surge'],
  surge: ['failure', 'leader'],
  load: ['pool', 'worker', 'failure', 'slow', 'surge', 'leader', 'scheduler', 'crowd'],
  queue: ['pool', 'worker', 'load', 'failure', 'slow', 'surge', 'leader', 'scheduler', 'crowd'],
  health: ['leader', 'scheduler', 'pool', 'worker', 'load', 'queue', 'failure', 'slow', 'surge'],
  wait: ['pool', 'leader', 'scheduler', 'worker', 'load', 'queue', 'failure', 'slow', 'surge', 'crowd'],
  workflow: [
    'failure',
    'slow',
    'pool',
    'leader',
    'scheduler',
    'worker',
    'crowd',
    'load',
    'queue',
    'surge',
    'wait',
    'execution',
  ],
  missing: ['leader', 'scheduler', 'pool', 'load', 'queue', 'surge', 'execution'],
  execution: ['pool', 'leader', 'scheduler', 'slow', 'failure', 'worker', 'crowd', 'load', 'queue', 'surge', 'wait'],
};

interface Breach {
  name: string;
  series: string;
  layer: Layer;
  workspace: string;
  source: string;
  pool: string;
  workflowId: string;
  executionId: string;
  orchestratorId: string;
  errorKey: string;
  /** When it first breached, and by how many runs, of a surge. */
  bornMs: number;
  bornSize: number;
  seenMs: number;
  /** When it, or something that it explains, last breached. */
  aliveMs: number;
  /** From when on there were values that made it breach. */
  sinceMs: number;
  isTimeout: boolean;
  /** Series that explains it, itself when nothing does. */
  root: string;
}

/** Pools that the tasks of a workflow run in. */
export type PoolsOf = (workspace: string, source: string, workflowId: string) => ReadonlySet<string>;

export class Causes {
  readonly #poolsOf: PoolsOf;
  readonly #recent = new Map<string, Breach>();

  constructor(poolsOf: PoolsOf) {
    this.#poolsOf = poolsOf;
  }

  /** Names the cause of each row that is more than quiet; rows and findings go together. */
  assign(rows: readonly { row: JudgementRow; finding: Finding }[], nowMs: number): void {
    for (const [name, breach] of this.#recent) {
      if (nowMs - causeDefaults.lookMs > explainsUntil(breach)) this.#recent.delete(name);
    }
    const loud = rows.filter(({ row }) => row.verdict === 'breach');
    for (const { row, finding } of loud) {
      const breach = toBreach(row, finding, nowMs);
      const { root, bornMs, bornSize } = this.#recent.get(breach.name) ?? breach;
      this.#recent.set(breach.name, { ...breach, root, bornMs, bornSize });
    }
    for (const { row, finding } of rows) {
      if (row.verdict === 'quiet') continue;
      const known = this.#recent.get(causeName(row));
      const breach = known ?? toBreach(row, finding, nowMs);
      const root = this.#findRoot(breach, new Set());
      row.cause = root === breach.name ? '' : root;
      if (known !== undefined) known.root = root;
      if (row.verdict === 'breach' && congestion.has(breach.layer)) this.#keepAlive(root, nowMs);
    }
  }

  /** A surge is over before what it left in queues is; whatever else ends takes what it brought about with it. */
  #keepAlive(root: string, nowMs: number): void {
    const cause = this.#recent.get(root);
    if (cause?.layer === 'surge') cause.aliveMs = Math.min(nowMs, cause.seenMs + causeDefaults.aliveMs);
  }

  #findRoot(breach: Breach, seen: Set<string>): string {
    if (seen.has(breach.name)) return breach.name;
    seen.add(breach.name);
    const cause = this.#findCause(breach, seen);
    return cause === null ? breach.name : this.#findRoot(cause, seen);
  }

  #findCause(breach: Breach, seen: ReadonlySet<string>): Breach | null {
    const others = [...this.#recent.values()].filter(
      (other) =>
        other.workspace === breach.workspace && !seen.has(other.name) && breach.sinceMs <= explainsUntil(other),
    );
    const twin = this.#findTwin(breach, others);
    if (twin !== null) return twin;
    for (const layer of explainedBy[breach.layer]) {
      const found = others.filter((other) => other.layer === layer && this.#isNear(breach, other));
      const oldest = found.toSorted((one, other) => one.seenMs - other.seenMs || (one.name < other.name ? -1 : 1))[0];
      if (oldest !== undefined) return oldest;
    }
    return null;
  }

  /**
   * Of tasks that fail for one and the same reason the first one stands for all; of workflows of one orchestrator that begin far too
   * often the one that did so first, because it may have begun the others.
   */
  #findTwin(breach: Breach, others: readonly Breach[]): Breach | null {
    const alike = others.filter((other) => other.layer === breach.layer && this.#isTwin(breach, other));
    return alike.find(({ root, name }) => root === name) ?? alike[0] ?? null;
  }

  #isTwin(breach: Breach, other: Breach): boolean {
    if (breach.layer === 'failure')
      return breach.errorKey !== '' && other.errorKey === breach.errorKey && other.name < breach.name;
    if (breach.layer !== 'surge' || breach.source !== other.source) return false;
    const order = other.bornMs - breach.bornMs || breach.bornSize - other.bornSize;
    return order === 0 ? other.name < breach.name : order < 0;
  }

  #isNear(breach: Breach, other: Breach): boolean {
    if (breach.executionId !== '' && other.executionId !== '') return breach.executionId === other.executionId;
    if (breach.source !== other.source) return false;
    // That a task takes longer than it may is explained by its own slowness, not by that of others.
    if (breach.layer === 'failure' && other.layer === 'slow') return breach.isTimeout && breach.series === other.series;
    if ([breach.layer, other.layer].some((layer) => ofOrchestrators.has(layer))) {
      return (
        breach.orchestratorId === '' || other.orchestratorId === '' || breach.orchestratorId === other.orchestratorId
      );
    }
    if (breach.workflowId !== '' && breach.workflowId === other.workflowId) return true;
    const own = this.#poolsNear(breach);
    return [...this.#poolsNear(other)].some((pool) => own.has(pool));
  }

  #poolsNear({ pool, workspace, source, workflowId }: Breach): ReadonlySet<string> {
    if (pool !== '') return new Set([pool]);
    return workflowId === '' ? new Set() : this.#poolsOf(workspace, source, workflowId);
  }
}

/** What concerns everything that an orchestrator runs. */
const ofOrchestrators: ReadonlySet<Layer> = new Set(['leader', 'scheduler', 'health']);

/** What is full, or waits, because of others. */
const congestion: ReadonlySet<Layer> = new Set(['load', 'queue', 'wait', 'missing', 'execution']);

const explainsUntil = ({ aliveMs, layer }: Breach): number =>
  aliveMs + (layer === 'surge' ? causeDefaults.surgeMs : causeDefaults.rememberedMs);

/** How a judgement is named where another is explained by it: rule and series. */
export const causeName = ({ ruleId, series }: Pick<JudgementRow, 'ruleId' | 'series'>): string => `${ruleId} ${series}`;

function toBreach(row: JudgementRow, finding: Finding, nowMs: number): Breach {
  const name = causeName(row);
  const { workspace, source, workflowId, executionId, orchestratorId, series } = row;
  return {
    name,
    series,
    layer: layerOf(finding),
    workspace,
    source,
    pool: finding.pool,
    workflowId,
    executionId,
    orchestratorId,
    errorKey: finding.errorKey,
    bornMs: nowMs,
    bornSize: finding.value ?? 0,
    seenMs: nowMs,
    aliveMs: nowMs,
    sinceMs: Math.max(finding.sinceMs ?? nowMs, nowMs - causeDefaults.lookMs),
    isTimeout: finding.isTimeout ?? false,
    root: name,
  };
}

function layerOf({ rule, isIntrinsic, subject }: Finding): Layer {
  switch (rule.id) {
    case 'HIGH_SCHEDULING_LATENCY':
      return 'scheduler';
    case 'ORCHESTRATOR_UNHEALTHY':
      return isIntrinsic ? 'leader' : 'health';
    case 'RESOURCE_EXHAUSTION':
      return 'pool';
    case 'CAPACITY_CRITICAL':
      return isIntrinsic ? 'pool' : 'load';
    case 'TASK_HIGH_FAILURE_RATE':
    case 'DEPENDENCY_ISSUES':
      return 'failure';
    case 'PERFORMANCE_DEGRADATION':
      return 'slow';
    case 'RESOURCE_CONSTRAINT':
      return 'wait';
    case 'QUEUE_BACKLOG':
      return 'queue';
    case 'HIGH_FAILURE_RATE':
    case 'EXCESSIVE_DURATION':
      return 'workflow';
    case 'MISSING_RUN':
      return 'missing';
    case 'EXECUTION_STUCK':
    case 'DEADLINE_MISS_PREDICTED':
      return 'execution';
    case 'ANOMALY':
      return subject.subjectKind === 'worker' ? 'worker' : subject.subjectKind === 'workflow' ? 'surge' : 'crowd';
  }
}
