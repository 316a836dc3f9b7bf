import type { ReportKind, ReportWindow } from '../../clickhouse/queries/alert-inputs.ts';
import type { AlertSubject } from '../../clickhouse/tables/alerts.ts';
import type { AlertRuleId } from '../../schemas/alerts.ts';
import { RecordExcess, type RecordFinding } from './detectors/record-excess.ts';
import type { Finding } from './finding.ts';
import type { EffectiveRule, Rules } from './rules.ts';
import { describeDuration, describeShare, rounded } from './wording.ts';

/** What orchestrators report of themselves, their pools, queues and workers. */
const reportDefaults = {
  /** How far the use of memory has to go beyond its usual high. */
  memoryTimes: 1.4,
  memoryMore: 0.08,
  /** Windows that a pool has to be full. */
  fullWindows: 5,
  /** Share of a pool's workers that have to be lost. */
  lostShare: 0.2,
  /** Slots that are left of the least there were. */
  slotsLeft: 0.5,
  /** Waiting tasks, or messages, from which a load matters. */
  leastWaiting: 5,
  /** A record of messages counts when as many wait. */
  leastBacklog: 20,
  /** Times the record that alarm soon; what is less far has to last as a full pool has. */
  farTimes: 2.5,
  farWindows: 2,
  /** Times the threshold from which one window of slow decisions says enough. */
  farLatency: 2,
  /** Below this a worker is not well. */
  workerHealth: 0.7,
  workerCpu: 0.85,
  /** A worker stands out when its peers are well: the share of them that are. */
  peersWell: 0.5,
} as const;

/** Differences below these mean nothing. */
const leastSpreads: Record<string, number> = {
  memory_load: 0.05,
  slots_load: 0.1,
  tasks_queued: 2,
  size: 2,
  scheduling_latency_ms_mean: 100,
};

class ReportMemory {
  readonly #records = new Map<string, RecordExcess>();
  /** Windows in a row with a full pool. */
  fullWindows = 0;
  /** Windows in a row with more messages than ever. */
  longWindows = 0;
  /** Two nodes lead, and nobody said that it is over. */
  isSplit = false;

  judge(measure: string, value: number, endMs: number): RecordFinding | null {
    const record = this.#records.get(measure) ?? new RecordExcess(leastSpreads[measure] ?? 1e-3);
    this.#records.set(measure, record);
    return record.judge(value, endMs);
  }
}

const forgottenAfterMs = 14 * 86_400_000;

export class ReportJudge {
  readonly #book: Rules;
  readonly #memories = new Map<string, { memory: ReportMemory; seenMs: number }>();

  constructor(book: Rules) {
    this.#book = book;
  }

  get size(): number {
    return this.#memories.size;
  }

  *judge(reports: readonly ReportWindow[], endMs: number): Generator<Finding> {
    const workersByPool = Map.groupBy(
      reports.filter(({ kind }) => kind === 'worker'),
      ({ workspace, source, pool }) => `${workspace} ${source} ${pool}`,
    );
    for (const report of reports) {
      if (report.kind === 'orchestrator') yield* this.#judgeOrchestrator(report, endMs);
      else if (report.kind === 'worker_pool') yield* this.#judgePool(report, endMs);
      else if (report.kind === 'queue') yield* this.#judgeQueue(report, endMs);
    }
    for (const workers of workersByPool.values()) yield* this.#judgeWorkers(workers);
  }

  forget(nowMs: number): void {
    for (const [series, { seenMs }] of this.#memories) {
      if (nowMs - seenMs > forgottenAfterMs) this.#memories.delete(series);
    }
  }

  #remember(report: ReportWindow, endMs: number): ReportMemory {
    const key = `${report.workspace} ${reportSeries(report)}`;
    const known = this.#memories.get(key) ?? { memory: new ReportMemory(), seenMs: endMs };
    known.seenMs = endMs;
    this.#memories.set(key, known);
    return known.memory;
  }

  #start(ruleId: AlertRuleId, report: ReportWindow): Finding {
    const rule: EffectiveRule = this.#book.rule(ruleId, report.workspace, '', report.orchestratorId);
    return {
      rule,
      series: reportSeries(report),
      subject: subjectOf(report),
      pool: report.pool,
      metric: rule.metric,
      value: null,
      threshold: rule.threshold,
      expected: null,
      score: null,
      effect: null,
      baselineId: '',
      facts: [],
      contributions: report.contributions,
      strength: 'none',
      p: null,
      errorKey: '',
      isIntrinsic: false,
    };
  }

  *#judgeOrchestrator(report: ReportWindow, endMs: number): Generator<Finding> {
    const { health_score: health, scheduling_latency_ms_mean: latencyMs, split_brains: splits = 0 } = report.measures;
    const memory = this.#remember(report, endMs);
    if (health !== undefined || splits > 0) {
      const finding = this.#start('ORCHESTRATOR_UNHEALTHY', report);
      const isLow = health !== undefined && health < finding.rule.threshold;
      memory.isSplit = splits > 0 || (memory.isSplit && isLow);
      const isCritical = memory.isSplit || (health !== undefined && health <= 0.5);
      yield {
        ...finding,
        rule: isCritical ? { ...finding.rule, severity: 'critical' } : finding.rule,
        value: health ?? null,
        strength: isLow || splits > 0 ? 'strong' : 'none',
        isIntrinsic: memory.isSplit,
        facts: [
          ...(memory.isSplit ? ['Two nodes believe that they lead'] : []),
          `Its health score is ${rounded(health ?? 0)}`,
        ],
      };
    }
    if (latencyMs === undefined) return;
    const record = memory.judge('scheduling_latency_ms_mean', latencyMs, endMs);
    const finding = this.#start('HIGH_SCHEDULING_LATENCY', report);
    const isBeyond = record === null || latencyMs > record.highest;
    yield {
      ...finding,
      value: latencyMs,
      score: record?.score ?? null,
      // Where seconds are usual only a record is news, and by itself only one that is far out; staying there keeps it.
      strength:
        latencyMs <= finding.rule.threshold
          ? 'none'
          : isBeyond && latencyMs > reportDefaults.farLatency * finding.rule.threshold
            ? 'strong'
            : 'weak',
      isIntrinsic: true,
      facts: [
        `Decisions take ${describeDuration(latencyMs)} on average`,
        ...(record === null ? [] : [`The longest before were ${describeDuration(record.highest)}`]),
      ],
    };
  }

  *#judgePool(report: ReportWindow, endMs: number): Generator<Finding> {
    const memory = this.#remember(report, endMs);
    yield this.#judgeMemory(report, memory, endMs);
    yield this.#judgeCapacity(report, memory, endMs);
  }

  #judgeMemory(report: ReportWindow, memory: ReportMemory, endMs: number): Finding {
    const finding = this.#start('RESOURCE_EXHAUSTION', report);
    const { memory_load: load, resource_exhaustions: kills = 0 } = report.measures;
    const record = load === undefined ? null : memory.judge('memory_load', load, endMs);
    const isFull = load !== undefined && load > finding.rule.threshold;
    const { memoryTimes, memoryMore } = reportDefaults;
    const isRecord =
      record !== null &&
      load !== undefined &&
      record.above > 0.05 &&
      load > Math.max(memoryTimes * record.high, record.high + memoryMore);
    return {
      ...finding,
      value: load ?? null,
      expected: record?.highest ?? null,
      score: record?.score ?? null,
      strength: isFull || kills > 0 || isRecord ? 'strong' : 'none',
      isIntrinsic: true,
      facts: [
        ...(kills > 0 ? [`${Math.ceil(kills)} workers were killed for want of memory`] : []),
        ...(load === undefined ? [] : [`${describeShare(load)} of its memory is used`]),
        ...(record === null ? [] : [`The most before was ${describeShare(record.highest)}`]),
      ],
    };
  }

  #judgeCapacity(report: ReportWindow, memory: ReportMemory, endMs: number): Finding {
    const finding = this.#start('CAPACITY_CRITICAL', report);
    const { measures } = report;
    const { slots_load: load, slots_total: slots, tasks_queued: waiting = 0 } = measures;
    const { workers_failed: lost = 0, workers_total: workers = 0 } = measures;
    const slotRecord = slots === undefined ? null : memory.judge('slots_total', slots, endMs);
    const waitRecord = memory.judge('tasks_queued', waiting, endMs);
    const { lostShare, slotsLeft, leastWaiting } = reportDefaults;
    const isLost = workers > 0 && lost / workers >= lostShare;
    const isCut = slotRecord !== null && (slots ?? 0) < slotsLeft * slotRecord.low;
    const isFull = load !== undefined && load > finding.rule.threshold && waiting >= leastWaiting;
    memory.fullWindows = isFull ? memory.fullWindows + 1 : 0;
    const isBeyond = waitRecord !== null && waitRecord.above > 0.25 && memory.fullWindows > reportDefaults.fullWindows;
    return {
      ...finding,
      // Of no slots none is free.
      value: load ?? (slots === 0 ? 1 : null),
      score: waitRecord?.score ?? null,
      strength: isLost || isCut ? 'strong' : !isFull ? 'none' : isBeyond ? 'strong' : 'none',
      isIntrinsic: isLost || isCut,
      facts: [
        ...(isLost ? [`${rounded(lost)} of ${rounded(workers)} workers are lost`] : []),
        ...(isCut
          ? [`It has ${rounded(slots ?? 0)} slots, and usual are at least ${rounded(slotRecord?.low ?? 0)}`]
          : []),
        ...(load === undefined
          ? waiting > 0
            ? [`${rounded(waiting)} tasks wait`]
            : []
          : [`${describeShare(load)} of its slots are in use, ${rounded(waiting)} tasks wait`]),
      ],
    };
  }

  *#judgeQueue(report: ReportWindow, endMs: number): Generator<Finding> {
    const { size, oldest_age_ms: ageMs } = report.measures;
    if (size === undefined) return;
    const memory = this.#remember(report, endMs);
    const record = memory.judge('size', size, endMs);
    const finding = this.#start('QUEUE_BACKLOG', report);
    const isBeyond = record !== null && record.above > 0.05 && size >= reportDefaults.leastBacklog;
    memory.longWindows = isBeyond ? memory.longWindows + 1 : 0;
    const isFar =
      isBeyond && size > reportDefaults.farTimes * record.highest && memory.longWindows >= reportDefaults.farWindows;
    yield {
      ...finding,
      value: size,
      threshold:
        record === null
          ? finding.rule.threshold
          : Math.min(finding.rule.threshold, Math.max(record.highest, reportDefaults.leastBacklog)),
      score: record?.score ?? null,
      strength:
        size > finding.rule.threshold || isFar || memory.longWindows > reportDefaults.fullWindows ? 'strong' : 'none',
      facts: [
        `${rounded(size)} messages wait${ageMs === undefined ? '' : `, the oldest for ${describeDuration(ageMs)}`}`,
        ...(record === null ? [] : [`The most before were ${rounded(record.highest)}`]),
      ],
    };
  }

  /** A worker that is not well among peers that are. */
  *#judgeWorkers(workers: readonly ReportWindow[]): Generator<Finding> {
    const { workerHealth, workerCpu, peersWell } = reportDefaults;
    const isIll = ({ measures }: ReportWindow) =>
      (measures.health_score ?? 1) < workerHealth || (measures.cpu_load ?? 0) > workerCpu;
    const ill = workers.filter(isIll).length;
    for (const worker of workers) {
      const stands =
        isIll(worker) && (workers.length < 2 || (workers.length - ill) / (workers.length - 1) >= peersWell);
      const { health_score: health, cpu_load: cpu, memory_load: memory } = worker.measures;
      const finding = this.#start('ANOMALY', worker);
      yield {
        ...finding,
        metric: health !== undefined && health < workerHealth ? 'health_score' : 'cpu_load',
        value: health !== undefined && health < workerHealth ? health : (cpu ?? null),
        threshold: health !== undefined && health < workerHealth ? workerHealth : workerCpu,
        strength: stands ? 'strong' : 'none',
        isIntrinsic: true,
        facts: [
          `Its health is ${rounded(health ?? 1)}, CPU ${describeShare(cpu ?? 0)}, memory ${describeShare(memory ?? 0)}`,
          `${workers.length - ill} of the ${workers.length} workers of ${worker.pool} are well`,
        ],
      };
    }
  }
}

const kindOf: Record<ReportKind, AlertSubject['subjectKind']> = {
  orchestrator: 'orchestrator',
  worker_pool: 'worker_pool',
  queue: 'queue',
  worker: 'worker',
};

const reportSeries = ({ kind, source, id }: Pick<ReportWindow, 'kind' | 'source' | 'id'>): string =>
  `${kind}:${source}/${id}`;

function subjectOf(report: ReportWindow): AlertSubject {
  return {
    workspace: report.workspace,
    source: report.source,
    subjectKind: kindOf[report.kind],
    subjectId: report.id,
    workflowId: '',
    executionId: '',
    taskId: '',
    orchestratorId: report.orchestratorId,
  };
}
