import type { OrchestratorKind } from '../../schemas/orchestrator-events.ts';

/**
 * What minutes, hours and days of orchestrators hold, kind by kind. A measure is called like the column of the report that
 * it is taken from; the few that no report says are explained where they are read.
 *
 * - A *gauge* is a value at an instant: how many were reported, their sum, least, greatest and last.
 * - A *spread* is a gauge of which percentiles make sense (waits, latencies, loads, depths): it has a histogram besides.
 * - A *counter* only grows until whoever counts begins anew. What counts is by how much it grew within a window, summed
 *   over steps from one reading to the next; a reading below the one before is a new beginning and adds itself.
 * - A *state* is a number for a text; what counts is how often it changed within a window.
 */
export type MeasureType = 'gauge' | 'spread' | 'counter' | 'state';

export interface Measure {
  name: string;
  type: MeasureType;
}

const ofType =
  (type: MeasureType) =>
  (...names: string[]): Measure[] =>
    names.map((name) => ({ name, type }));
const gauges = ofType('gauge');
const spreads = ofType('spread');
const counters = ofType('counter');
const states = ofType('state');

/** Every kind counts its reports under this name, by what they say happened or in which state something is. */
export const reportsMeasure = 'reports';
/** By their names SQL tells states from counters. */
export const stateEnding = '_state';

export const orchestratorMeasures: Record<OrchestratorKind, readonly Measure[]> = {
  orchestrator_metrics: [
    ...spreads(
      'capacity_load',
      'scheduling_latency_us_mean',
      'scheduling_queue_depth',
      'task_backlog',
      'backlog_size',
      'queue_wait_us_mean',
      'queue_latency_us',
      'execution_us_mean',
      'heartbeat_age_us',
    ),
    ...gauges(
      'health_score',
      'uptime_us',
      'slots_total',
      'slots_available',
      'slots_used',
      'workflows_active',
      'workflows_pending',
      'workflows_running',
      'capacity_load_peak',
      'scaling_min_slots',
      'scaling_max_slots',
      'scaling_target_slots',
      'scheduling_latency_us_p95',
      'scheduling_latency_us_p99',
      'scheduling_throughput_per_second',
      'scheduling_queue_us_mean',
      'optimization_score',
      'task_throughput_per_second',
      'messages_total',
      'queue_processing_rate_per_second',
      'queue_wait_us_max',
      'queue_throughput_per_second',
      'tasks_running',
      'cpu_allocated_cores',
      'cpu_used_cores',
      'memory_allocated_bytes',
      'memory_used_bytes',
      'storage_used_bytes',
      'network_latency_us',
      'network_connections',
      'persistence_read_us',
      'persistence_write_us',
      'persistence_size_bytes',
      'persistence_connections',
      'availability_ratio',
      'mean_time_between_failures_us',
      'mean_time_to_recovery_us',
    ),
    ...counters(
      'restarts',
      'workflows_completed',
      'workflows_failed',
      'scheduling_failures',
      'affinity_violations',
      'affinity_misses',
      'preemptions',
      'resource_contentions',
      'dead_letters',
      'poison_messages',
      'tasks_completed',
      'tasks_failed',
      'network_received_bytes',
      'network_sent_bytes',
      'network_errors',
      'persistence_errors',
    ),
    ...states('health_state'),
  ],
  worker_pool: [
    ...spreads('worker_load', 'cpu_load', 'memory_load', 'disk_load', 'tasks_queued', 'task_us_mean', 'queue_us_mean'),
    ...gauges(
      'workers_total',
      'workers_active',
      'workers_idle',
      'workers_busy',
      'workers_failed',
      'workers_pending',
      'workers_healthy',
      'workers_unhealthy',
      'health_mean',
      'failure_ratio',
      'network_bytes_per_second',
      'slots_total',
      'slots_used',
      'throughput_per_second',
      'task_us_p95',
      'workers_min',
      'workers_max',
      'workers_target',
      'scaling_efficiency',
      'cost_optimization',
      'predicted_demand',
      'cost_micros_per_hour',
    ),
    ...counters('restarts', 'communication_errors', 'resource_exhaustions', 'tasks_completed', 'tasks_failed'),
  ],
  worker: [
    ...spreads('cpu_load', 'memory_load', 'disk_load', 'heartbeat_age_us'),
    ...gauges('network_bytes_per_second', 'uptime_us', 'health_score', 'slots_total', 'slots_used'),
    ...counters('tasks_completed', 'tasks_failed'),
    ...states('health_state'),
  ],
  scheduling_decision: [
    ...spreads('scheduling_latency_us', 'queue_us'),
    ...gauges('cpu_required_cores', 'memory_required_bytes', 'storage_required_bytes'),
  ],
  queue_metrics: [
    ...spreads('size', 'processing_us_mean', 'wait_us_mean', 'latency_us', 'oldest_age_us'),
    ...gauges('consumers', 'processing_rate_per_second', 'error_ratio', 'wait_us_max', 'throughput_per_second'),
    ...counters('enqueued', 'processed', 'dead_letters', 'poison_messages'),
  ],
  coordination_event: [
    ...spreads('consensus_us', 'election_us_mean', 'failover_us', 'lock_wait_us', 'state_sync_us'),
    ...gauges(
      'locks_active',
      'state_size_bytes',
      'state_replicas',
      'reorder_us_mean',
      'conflict_resolution_us_mean',
      'partition_us',
      'partitioned_nodes',
      'coordination_overhead_ratio',
    ),
    ...counters(
      'election_count',
      'split_brain_incidents',
      'lock_contentions',
      'deadlocks',
      'lock_timeouts',
      'distributed_transactions',
      'out_of_order_messages',
      'conflicts',
      'conflicts_resolved',
      'partitions',
    ),
  ],
  load_balancing: [
    ...spreads('imbalance_score', 'fairness_index', 'health_check_us_mean', 'failover_us_mean'),
    ...gauges(
      'load_standard_deviation',
      'load_variance',
      'response_time_variance',
      'throughput_balance',
      'resource_balance',
    ),
    ...counters('redistributions', 'health_checks', 'health_check_failures', 'failovers', 'failover_failures'),
  ],
  scaling_event: [...spreads('duration_us'), ...gauges('workers_from', 'workers_to', 'cost_micros_impact')],
};
