import type {
  ComponentHealthRecord,
  LoadBalancingRecord,
  OrchestratorMetricsRecord,
  QueueInfoRecord,
  QueueMetricsRecord,
  WorkerPoolRecord,
  WorkerRecord,
} from '../../schemas/orchestrator-records.ts';
import { placeId } from './fleet.ts';
import type { QueueLedger } from './ledgers.ts';
import type { Orchestrator, Pool } from './orchestrator.ts';
import type { WorkerState } from './resources.ts';
import { hostOf } from './telemetry.ts';

/** What orchestrators tell of themselves now and then: sums and gauges at one instant. */

const busiestShare = 0.9;
const idlestShare = 0.1;

/** Tells of everything, and begins a new span. */
export function reportPools(owner: Orchestrator, spanMs: number): void {
  owner.send('orchestrator_metrics', describeOrchestrator(owner, spanMs));
  for (const pool of owner.pools.values()) {
    owner.send('worker_pool', describePool(pool, spanMs));
    pool.ledger.closeSpan();
  }
  for (const [name, queue] of owner.queues) {
    const described = describeQueue(owner, queue, spanMs);
    owner.send('queue_metrics', { queue_id: placeId(owner.spec.id, name), queue_name: name, ...described });
    queue.closeSpan();
  }
  owner.ledger.closeSpan();
}

export function reportWorkers(owner: Orchestrator): void {
  for (const pool of owner.pools.values()) {
    for (const worker of pool.line.workers.values()) owner.send('worker', describeWorker(owner, pool, worker));
    owner.send('load_balancing', describeBalance(owner, pool));
  }
}

function describeOrchestrator(owner: Orchestrator, spanMs: number): OrchestratorMetricsRecord {
  const { ledger, engine, random } = owner;
  const nowMs = Math.round(engine.nowMs);
  const seconds = spanMs / 1000;
  const pools = [...owner.pools.values()];
  const total = sum(pools, ({ line }) => line.slotsTotal);
  const used = sum(pools, ({ line }) => line.slotsUsed);
  const waiting = sum(pools, ({ line }) => line.waitingCount);
  const components = describeComponents(owner, seconds);
  const healthScore = scoreHealth(owner, components, waiting, total);
  const latencyMs = tenths(random.logNormal(3, 0.3) * owner.coordination.slowdown);
  const restarts = owner.coordination.term - 1;
  return {
    health_status: statusOf(healthScore),
    health_score: healthScore,
    components,
    last_health_check_at: nowMs - random.below(5_000),
    uptime_ms: nowMs - owner.startedAtMs,
    restarts,
    errors: ledger.recentErrors.map(({ atMs, ...error }) => ({ ...error, at: Math.round(atMs) })),
    warnings: waiting > 4 * total ? [`${waiting} tasks wait for ${total} slots`] : [],
    diagnostics: { leader: owner.coordination.leader, term: String(owner.coordination.term) },
    slots_total: total,
    slots_available: Math.max(0, total - used),
    slots_used: used,
    workflows_active: ledger.running + ledger.suspended,
    workflows_pending: ledger.pending,
    workflows_running: ledger.running,
    workflows_completed: ledger.runsCompleted,
    workflows_failed: ledger.runsFailed,
    capacity_load: ratio(used, total),
    capacity_load_peak: Math.max(ratio(used, total), thousandths(ledger.loadPeak)),
    scaling_enabled: pools.some(({ spec }) => spec.isScaling),
    scaling_min_slots: sum(pools, ({ spec }) => spec.workersMin * spec.slots),
    scaling_max_slots: sum(pools, ({ spec }) => spec.workersMax * spec.slots),
    scaling_target_slots: sum(pools, ({ spec, workersTarget }) => workersTarget * spec.slots),
    scheduling_latency_ms_mean: tenths(ledger.decisions.mean),
    scheduling_latency_ms_p95: ledger.decisions.quantile(0.95),
    scheduling_latency_ms_p99: ledger.decisions.quantile(0.99),
    scheduling_throughput_per_second: thousandths(ledger.decisions.count / seconds),
    scheduling_failures: ledger.schedulingFailures,
    scheduling_queue_depth: waiting,
    scheduling_queue_ms_mean: tenths(ledger.waits.mean),
    scheduling_algorithm: owner.spec.discipline,
    priority_distribution: countPriorities(pools),
    affinity_violations: ledger.affinityViolations,
    affinity_misses: ledger.affinityMisses,
    preemptions: ledger.preemptions,
    resource_contentions: ledger.contentions,
    optimization_score: thousandths(Math.max(0, 1 - ratio(waiting, 10 * total + 1))),
    task_throughput_per_second: thousandths(ledger.tasksEndedSince / seconds),
    task_backlog: waiting,
    queues: [...owner.queues].map(([name, queue]) => ({ name, ...describeQueueInfo(owner, queue, spanMs) })),
    ...describeQueues(owner, seconds),
    tasks_running: used,
    tasks_completed: ledger.tasksCompleted,
    tasks_failed: ledger.tasksFailed,
    execution_ms_mean: tenths(ledger.runDurations.mean),
    ...describeResources(owner),
    network_received_bytes: ledger.bytesReceived,
    network_sent_bytes: ledger.bytesSent,
    network_latency_ms: latencyMs,
    network_errors: ledger.networkErrors,
    network_connections: used + 12,
    persistence_read_ms: tenths(random.logNormal(2, 0.3)),
    persistence_write_ms: tenths(random.logNormal(5, 0.3) * owner.coordination.slowdown),
    persistence_errors: ledger.storeErrors,
    persistence_size_bytes: 2_000_000_000 + (ledger.runsCompleted + ledger.runsFailed) * 40_000,
    persistence_connections: 24,
    availability_ratio: Math.max(0, 1 - ledger.unavailableMs / Math.max(1, nowMs - owner.startedAtMs)),
    mean_time_between_failures_ms: Math.round((nowMs - owner.startedAtMs) / (restarts + 1)),
    mean_time_to_recovery_ms: restarts === 0 ? 0 : Math.round(ledger.unavailableMs / restarts),
    heartbeat_at: nowMs - random.below(1_000),
  };
}

function describeComponents(owner: Orchestrator, seconds: number): ComponentHealthRecord[] {
  const { ledger, random } = owner;
  const last_check_at = Math.round(owner.engine.nowMs) - random.below(5_000);
  const decisionMs = ledger.decisions.mean;
  const failures = ratio(ledger.tasksFailed, ledger.tasksCompleted + ledger.tasksFailed);
  const schedulerStatus = decisionMs > 5_000 ? 'unhealthy' : decisionMs > 1_000 ? 'degraded' : 'healthy';
  const databaseMs = tenths(random.logNormal(4, 0.3) * owner.coordination.slowdown);
  const part = (
    name: string,
    type: string,
    status: string,
    latency_ms: number,
    perSecond: number,
    error_ratio = 0,
  ) => ({
    name,
    type,
    status,
    latency_ms: tenths(latency_ms),
    throughput_per_second: thousandths(perSecond),
    error_ratio,
    last_check_at,
    issues:
      status === 'healthy'
        ? []
        : [
            {
              code: `${name}_slow`,
              severity: status === 'unhealthy' ? 'high' : 'medium',
              message: `${name} is ${status}`,
            },
          ],
  });
  const isSplit = owner.coordination.rival !== null;
  return [
    part('scheduler', 'scheduler', schedulerStatus, decisionMs, ledger.decisions.count / seconds),
    part('executor', 'executor', 'healthy', ledger.waits.mean, ledger.tasksEndedSince / seconds, failures),
    part('queue', 'queue', 'healthy', random.logNormal(2, 0.3), ledger.waits.count / seconds),
    part('database', 'database', isSplit ? 'unhealthy' : 'healthy', databaseMs, (ledger.decisions.count * 6) / seconds),
    part('api', 'api', 'healthy', random.logNormal(18, 0.3), 0.5 + ledger.runDurations.count / seconds),
  ];
}

function scoreHealth(owner: Orchestrator, components: ComponentHealthRecord[], waiting: number, slots: number): number {
  const well = components.filter(({ status }) => status === 'healthy').length / components.length;
  const pools = [...owner.pools.values()];
  const lost = sum(pools, ({ ledger }) => ledger.workersLost);
  const workers = sum(pools, ({ line }) => line.workers.size);
  const crowd = Math.min(1, waiting / (20 * Math.max(1, slots)));
  const isSplit = owner.coordination.rival !== null;
  const score = 1 - 1.2 * (1 - well) - 0.4 * ratio(lost, workers + lost) - 0.3 * crowd - (isSplit ? 0.3 : 0);
  return thousandths(Math.max(0, Math.min(1, score)));
}

const statusOf = (score: number): string =>
  score >= 0.85 ? 'healthy' : score >= 0.7 ? 'degraded' : score > 0.5 ? 'unhealthy' : 'critical';

function countPriorities(pools: readonly Pool[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { line } of pools) {
    if (line.waitingCount === 0) continue;
    for (const { priority } of line.waiting) counts[priority] = (counts[priority] ?? 0) + 1;
  }
  return counts;
}

function describeQueues(owner: Orchestrator, seconds: number) {
  const queues = [...owner.queues.values()];
  const size = sum(queues, ({ waiting }) => waiting.size);
  const processed = sum(queues, ({ processing }) => processing.count);
  const waits = owner.ledger.waits;
  return {
    messages_total: size,
    queue_processing_rate_per_second: thousandths(processed / seconds),
    backlog_size: size,
    queue_wait_ms_mean: tenths(waits.mean),
    queue_wait_ms_max: tenths(waits.most),
    dead_letters: sum(queues, ({ deadLetters }) => deadLetters),
    poison_messages: sum(queues, ({ poison }) => poison),
    queue_latency_ms: tenths(owner.random.logNormal(2, 0.3)),
    queue_throughput_per_second: thousandths(processed / seconds),
  };
}

function describeResources(owner: Orchestrator) {
  const workers = [...owner.pools.values()].flatMap(({ line }) => [...line.workers.values()]);
  return {
    cpu_allocated_cores: sum(workers, ({ cpuCores }) => cpuCores),
    cpu_used_cores: tenths(sum(workers, ({ cpuCoresUsed }) => cpuCoresUsed)),
    memory_allocated_bytes: sum(workers, ({ memoryBytes }) => memoryBytes),
    memory_used_bytes: Math.round(sum(workers, ({ memoryBytesUsed }) => memoryBytesUsed)),
    storage_used_bytes: 80_000_000_000 + owner.ledger.tasksCompleted * 20_000,
  };
}

function describePool(pool: Pool, spanMs: number): WorkerPoolRecord {
  const { line, ledger, spec } = pool;
  const workers = [...line.workers.values()];
  const busy = workers.filter(({ slotsUsed }) => slotsUsed > 0).length;
  const records = workers.map(({ id }) => pool.workers.get(id));
  const unhealthy = records.filter((record) => (record?.health ?? 1) < 0.7).length;
  const cpu = workers.map((worker) => cpuLoadOf(pool, worker));
  const memory = workers.map((worker) => memoryLoadOf(pool, worker));
  const ended = ledger.durations.count;
  const needed = (line.slotsUsed + line.waitingCount) / spec.slots / 0.8;
  return {
    pool_id: pool.id,
    pool_name: pool.name,
    worker_type: spec.workerType,
    workers_total: workers.length + ledger.workersLost,
    workers_active: workers.length,
    workers_idle: workers.length - busy,
    workers_busy: busy,
    workers_failed: ledger.workersLost,
    workers_pending: ledger.workersPending,
    worker_load: ratio(busy, workers.length),
    workers_healthy: workers.length - unhealthy,
    workers_unhealthy: unhealthy + ledger.workersLost,
    health_mean: thousandths(mean(records.map((record) => record?.health ?? 1))),
    failure_ratio: ratio(ledger.failedSince, ended),
    restarts: ledger.restarts,
    communication_errors: ledger.communicationErrors,
    resource_exhaustions: ledger.exhaustions,
    cpu_load: thousandths(mean(cpu)),
    memory_load: thousandths(mean(memory)),
    disk_load: thousandths(0.3 + 0.2 * mean(memory)),
    network_bytes_per_second: Math.round((ended * 220_000) / (spanMs / 1000)),
    slots_total: line.slotsTotal,
    slots_used: line.slotsUsed,
    tasks_queued: line.waitingCount,
    tasks_completed: ledger.completed,
    tasks_failed: ledger.failed,
    throughput_per_second: thousandths(ended / (spanMs / 1000)),
    task_ms_mean: tenths(ledger.durations.mean),
    task_ms_p95: tenths(ledger.durations.quantile(0.95)),
    queue_ms_mean: tenths(ledger.waits.mean),
    scaling_enabled: spec.isScaling,
    workers_min: spec.workersMin,
    workers_max: spec.workersMax,
    workers_target: pool.workersTarget,
    scaling_efficiency: thousandths(Math.min(1, (needed + 1) / Math.max(1, workers.length))),
    cost_optimization: ratio(Math.max(0, spec.workersMax - workers.length), spec.workersMax),
    predicted_demand: Math.round(needed * 10) / 10,
    cost_per_hour: Math.round(workers.length * spec.costPerHour * 1000) / 1000,
  };
}

function describeWorker(owner: Orchestrator, pool: Pool, worker: WorkerState): WorkerRecord {
  const { random, engine } = owner;
  const record = pool.workers.get(worker.id);
  const nowMs = Math.round(engine.nowMs);
  const busy = worker.slotsUsed > 0;
  return {
    worker_id: worker.id,
    pool_id: pool.id,
    host: hostOf(worker.id),
    status: worker.isDraining ? 'terminating' : (record?.health ?? 1) < 0.3 ? 'failed' : busy ? 'busy' : 'idle',
    current_task: record?.currentTask || null,
    tasks_completed: record?.completed ?? 0,
    tasks_failed: record?.failed ?? 0,
    cpu_load: thousandths(cpuLoadOf(pool, worker)),
    memory_load: thousandths(memoryLoadOf(pool, worker)),
    disk_load: thousandths(random.between(0.28, 0.42)),
    network_bytes_per_second: Math.round(worker.slotsUsed * random.logNormal(120_000, 0.4)),
    uptime_ms: nowMs - Math.round(record?.bornMs ?? nowMs),
    last_heartbeat_at: nowMs - random.below(4_000),
    health_score: thousandths(record?.health ?? 1),
    slots_total: worker.slots,
    slots_used: worker.slotsUsed,
  };
}

function cpuLoadOf(pool: Pool, worker: WorkerState): number {
  const stolen = pool.workers.get(worker.id)?.stolenCores ?? 0;
  return Math.min(1, 0.04 + (0.7 * worker.cpuCoresUsed + stolen) / worker.cpuCores);
}

function memoryLoadOf(pool: Pool, worker: WorkerState): number {
  const leaked = pool.workers.get(worker.id)?.leakedBytes ?? 0;
  return Math.min(1, 0.12 + (0.6 * worker.memoryBytesUsed + leaked) / worker.memoryBytes);
}

function describeQueueInfo(owner: Orchestrator, queue: QueueLedger, spanMs: number): Omit<QueueInfoRecord, 'name'> {
  const levels: Record<string, number> = {};
  for (const { priority } of queue.waiting.values()) levels[priority] = (levels[priority] ?? 0) + 1;
  const oldestMs = queue.oldestMs;
  return {
    type: owner.spec.discipline === 'priority' ? 'priority' : 'fifo',
    size: queue.waiting.size,
    consumers: sum([...owner.pools.values()], ({ line }) => line.workers.size),
    processing_rate_per_second: thousandths(queue.processing.count / (spanMs / 1000)),
    error_ratio: ratio(queue.failedSince, queue.processing.count),
    processing_ms_mean: tenths(queue.processing.mean),
    // An empty queue has no oldest message.
    oldest_message_at: oldestMs === null ? null : Math.round(oldestMs),
    priority_levels: levels,
  };
}

function describeQueue(
  owner: Orchestrator,
  queue: QueueLedger,
  spanMs: number,
): Omit<QueueMetricsRecord, 'queue_id' | 'queue_name'> {
  const { type, ...info } = describeQueueInfo(owner, queue, spanMs);
  return {
    ...info,
    queue_type: type,
    enqueued: queue.enqueued,
    processed: queue.processed,
    wait_ms_mean: tenths(queue.waits.mean),
    wait_ms_max: tenths(queue.waits.most),
    latency_ms: tenths(owner.random.logNormal(2, 0.3)),
    throughput_per_second: thousandths(queue.waits.count / (spanMs / 1000)),
    dead_letters: queue.deadLetters,
    poison_messages: queue.poison,
  };
}

function describeBalance(owner: Orchestrator, pool: Pool): LoadBalancingRecord {
  const { ledger, line } = pool;
  const workers = [...line.workers.values()];
  const loads = workers.map((worker) => cpuLoadOf(pool, worker));
  const variance = mean(loads.map((load) => (load - mean(loads)) ** 2));
  const deviation = Math.sqrt(variance);
  const checks = workers.length + ledger.workersLost;
  ledger.healthChecks += checks;
  ledger.healthCheckFailures += ledger.workersLost;
  const jain =
    loads.length === 0 ? 1 : sum(loads, (load) => load) ** 2 / (loads.length * sum(loads, (load) => load ** 2));
  const done = workers.map(({ id }) => pool.workers.get(id)?.completed ?? 0);
  return {
    algorithm: owner.spec.balancing,
    pool_id: pool.id,
    worker_loads: Object.fromEntries(workers.map(({ id }, index) => [id, thousandths(loads[index])])),
    load_standard_deviation: thousandths(deviation),
    imbalance_score: thousandths(Math.min(1, mean(loads) === 0 ? 0 : deviation / mean(loads))),
    hotspots: workers.filter((_, index) => loads[index] >= busiestShare).map(({ id }) => id),
    underutilized: workers.filter((_, index) => loads[index] <= idlestShare).map(({ id }) => id),
    redistributions: ledger.redistributions,
    load_variance: Math.round(variance * 1e6) / 1e6,
    response_time_variance: tenths(ledger.durations.variance()),
    throughput_balance: thousandths(1 - Math.min(1, spread(done))),
    resource_balance: thousandths(1 - Math.min(1, spread(loads))),
    fairness_index: thousandths(Math.min(1, jain)),
    health_checks: ledger.healthChecks,
    health_check_failures: ledger.healthCheckFailures,
    health_check_ms_mean: tenths(owner.random.logNormal(12, 0.3)),
    failovers: ledger.failovers,
    failover_failures: 0,
    failover_ms_mean: ledger.failovers === 0 ? 0 : Math.round(ledger.failoverMsTotal / ledger.failovers),
  };
}

/** Deviation over mean; 0 is even. */
function spread(values: readonly number[]): number {
  const middle = mean(values);
  return middle === 0 ? 0 : Math.sqrt(mean(values.map((value) => (value - middle) ** 2))) / middle;
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  let total = 0;
  for (const item of items) total += of(item);
  return total;
}
const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : sum(values, (value) => value) / values.length;
const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : thousandths(Math.min(1, part / whole)));
const tenths = (value: number): number => Math.round(value * 10) / 10;
const thousandths = (value: number): number => Math.round(value * 1000) / 1000;
