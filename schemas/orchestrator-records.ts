/** What orchestrators report of themselves, on the wire; records.ts says how these and avro/*.avsc are kept in step. */

/** One known trouble of a component. */
export interface ComponentIssueRecord {
  code?: string | null;
  severity?: string | null;
  message?: string | null;
}

/** Health of one component of an orchestrator. */
export interface ComponentHealthRecord {
  name: string;
  type?: string | null;
  status?: string | null;
  latency_ms?: number | null;
  throughput_per_second?: number | null;
  error_ratio?: number | null;
  last_check_at?: number | null;
  issues?: ComponentIssueRecord[];
}

/** One error of an orchestrator itself. */
export interface OrchestratorErrorRecord {
  type?: string | null;
  code?: string | null;
  message?: string | null;
  component?: string | null;
  at?: number | null;
}

/** One queue as an orchestrator sees it. */
export interface QueueInfoRecord {
  name: string;
  type?: string | null;
  size?: number | null;
  consumers?: number | null;
  processing_rate_per_second?: number | null;
  error_ratio?: number | null;
  processing_ms_mean?: number | null;
  oldest_message_at?: number | null;
  priority_levels?: Record<string, number>;
}

/** State of one orchestrator instance at one instant. */
export interface OrchestratorMetricsRecord {
  health_status?: string | null;
  health_score?: number | null;
  components?: ComponentHealthRecord[];
  last_health_check_at?: number | null;
  uptime_ms?: number | null;
  restarts?: number | null;
  errors?: OrchestratorErrorRecord[];
  warnings?: string[];
  diagnostics?: Record<string, string>;
  slots_total?: number | null;
  slots_available?: number | null;
  slots_used?: number | null;
  workflows_active?: number | null;
  workflows_pending?: number | null;
  workflows_running?: number | null;
  workflows_completed?: number | null;
  workflows_failed?: number | null;
  capacity_load?: number | null;
  capacity_load_peak?: number | null;
  scaling_enabled?: boolean | null;
  scaling_min_slots?: number | null;
  scaling_max_slots?: number | null;
  scaling_target_slots?: number | null;
  scheduling_latency_ms_mean?: number | null;
  scheduling_latency_ms_p95?: number | null;
  scheduling_latency_ms_p99?: number | null;
  scheduling_throughput_per_second?: number | null;
  scheduling_failures?: number | null;
  scheduling_queue_depth?: number | null;
  scheduling_queue_ms_mean?: number | null;
  scheduling_algorithm?: string | null;
  priority_distribution?: Record<string, number>;
  affinity_violations?: number | null;
  affinity_misses?: number | null;
  preemptions?: number | null;
  resource_contentions?: number | null;
  optimization_score?: number | null;
  task_throughput_per_second?: number | null;
  task_backlog?: number | null;
  queues?: QueueInfoRecord[];
  messages_total?: number | null;
  queue_processing_rate_per_second?: number | null;
  backlog_size?: number | null;
  queue_wait_ms_mean?: number | null;
  queue_wait_ms_max?: number | null;
  dead_letters?: number | null;
  poison_messages?: number | null;
  queue_latency_ms?: number | null;
  queue_throughput_per_second?: number | null;
  tasks_running?: number | null;
  tasks_completed?: number | null;
  tasks_failed?: number | null;
  execution_ms_mean?: number | null;
  cpu_allocated_cores?: number | null;
  cpu_used_cores?: number | null;
  memory_allocated_bytes?: number | null;
  memory_used_bytes?: number | null;
  storage_used_bytes?: number | null;
  network_received_bytes?: number | null;
  network_sent_bytes?: number | null;
  network_latency_ms?: number | null;
  network_errors?: number | null;
  network_connections?: number | null;
  persistence_read_ms?: number | null;
  persistence_write_ms?: number | null;
  persistence_errors?: number | null;
  persistence_size_bytes?: number | null;
  persistence_connections?: number | null;
  availability_ratio?: number | null;
  mean_time_between_failures_ms?: number | null;
  mean_time_to_recovery_ms?: number | null;
  heartbeat_at?: number | null;
}

/** State of one worker pool at one instant. */
export interface WorkerPoolRecord {
  pool_id: string;
  pool_name?: string | null;
  worker_type?: string | null;
  workers_total?: number | null;
  workers_active?: number | null;
  workers_idle?: number | null;
  workers_busy?: number | null;
  workers_failed?: number | null;
  workers_pending?: number | null;
  worker_load?: number | null;
  workers_healthy?: number | null;
  workers_unhealthy?: number | null;
  health_mean?: number | null;
  failure_ratio?: number | null;
  restarts?: number | null;
  communication_errors?: number | null;
  resource_exhaustions?: number | null;
  cpu_load?: number | null;
  memory_load?: number | null;
  disk_load?: number | null;
  network_bytes_per_second?: number | null;
  slots_total?: number | null;
  slots_used?: number | null;
  tasks_queued?: number | null;
  tasks_completed?: number | null;
  tasks_failed?: number | null;
  throughput_per_second?: number | null;
  task_ms_mean?: number | null;
  task_ms_p95?: number | null;
  queue_ms_mean?: number | null;
  scaling_enabled?: boolean | null;
  workers_min?: number | null;
  workers_max?: number | null;
  workers_target?: number | null;
  scaling_efficiency?: number | null;
  cost_optimization?: number | null;
  predicted_demand?: number | null;
  cost_per_hour?: number | null;
}

/** State of one worker at one instant. */
export interface WorkerRecord {
  worker_id: string;
  pool_id?: string | null;
  host?: string | null;
  status?: string | null;
  current_task?: string | null;
  tasks_completed?: number | null;
  tasks_failed?: number | null;
  cpu_load?: number | null;
  memory_load?: number | null;
  disk_load?: number | null;
  network_bytes_per_second?: number | null;
  uptime_ms?: number | null;
  last_heartbeat_at?: number | null;
  health_score?: number | null;
  slots_total?: number | null;
  slots_used?: number | null;
}

/** One decision of a scheduler about where work runs. */
export interface SchedulingDecisionRecord {
  decision_id?: string | null;
  workflow_id?: string | null;
  execution_id?: string | null;
  task_id?: string | null;
  scheduling_latency_ms?: number | null;
  selected_worker?: string | null;
  selected_pool?: string | null;
  placement_constraints?: Record<string, string>;
  cpu_required_cores?: number | null;
  memory_required_bytes?: number | null;
  storage_required_bytes?: number | null;
  resource_requirements?: Record<string, string>;
  priority?: number | null;
  queue_ms?: number | null;
  decision_factors?: Record<string, number>;
  algorithm?: string | null;
  outcome?: string | null;
}

/** State of one queue at one instant. */
export interface QueueMetricsRecord {
  queue_id: string;
  queue_name?: string | null;
  queue_type?: string | null;
  size?: number | null;
  consumers?: number | null;
  processing_rate_per_second?: number | null;
  error_ratio?: number | null;
  processing_ms_mean?: number | null;
  oldest_message_at?: number | null;
  priority_levels?: Record<string, number>;
  enqueued?: number | null;
  processed?: number | null;
  wait_ms_mean?: number | null;
  wait_ms_max?: number | null;
  latency_ms?: number | null;
  throughput_per_second?: number | null;
  dead_letters?: number | null;
  poison_messages?: number | null;
}

/** One event, or a summary, of how the parts of an orchestrator agree. */
export interface CoordinationEventRecord {
  event_id?: string | null;
  event_type: string;
  details?: Record<string, string>;
  participants?: string[];
  consensus_ms?: number | null;
  outcome?: string | null;
  errors?: OrchestratorErrorRecord[];
  consensus_protocol?: string | null;
  leader?: string | null;
  election_count?: number | null;
  last_election_at?: number | null;
  election_ms_mean?: number | null;
  failover_ms?: number | null;
  split_brain_incidents?: number | null;
  locks_active?: number | null;
  lock_wait_ms?: number | null;
  lock_contentions?: number | null;
  deadlocks?: number | null;
  lock_timeouts?: number | null;
  distributed_transactions?: number | null;
  state_size_bytes?: number | null;
  state_sync_ms?: number | null;
  state_replicas?: number | null;
  out_of_order_messages?: number | null;
  reorder_ms_mean?: number | null;
  conflicts?: number | null;
  conflicts_resolved?: number | null;
  conflict_resolution_ms_mean?: number | null;
  partitions?: number | null;
  partition_ms?: number | null;
  partitioned_nodes?: number | null;
  coordination_overhead_ratio?: number | null;
}

/** How work lies over the workers at one instant. */
export interface LoadBalancingRecord {
  algorithm: string;
  pool_id?: string | null;
  worker_loads?: Record<string, number>;
  load_standard_deviation?: number | null;
  imbalance_score?: number | null;
  hotspots?: string[];
  underutilized?: string[];
  redistributions?: number | null;
  load_variance?: number | null;
  response_time_variance?: number | null;
  throughput_balance?: number | null;
  resource_balance?: number | null;
  fairness_index?: number | null;
  health_checks?: number | null;
  health_check_failures?: number | null;
  health_check_ms_mean?: number | null;
  failovers?: number | null;
  failover_failures?: number | null;
  failover_ms_mean?: number | null;
}

/** One change, or decided non-change, of the size of a pool. */
export interface ScalingEventRecord {
  scaling_id?: string | null;
  pool_id: string;
  action: string;
  workers_from?: number | null;
  workers_to?: number | null;
  reason?: string | null;
  trigger_metrics?: Record<string, number>;
  success?: boolean | null;
  duration_ms?: number | null;
  cost_impact?: number | null;
  command_id?: string | null;
}

/** One report about an orchestrator; topic telemetry.orchestrators, keyed by orchestrator_id. The branch of body says which kind. */
interface OrchestratorHeader {
  workspace?: string;
  project?: string | null;
  source?: string;
  source_version?: string | null;
  orchestrator_id: string;
  orchestrator_type?: string | null;
  instance_id?: string | null;
  cluster_name?: string | null;
  event_time: number;
  environment?: string | null;
  region?: string | null;
  labels?: Record<string, string>;
  redacted_fields?: string[];
}

/** The bodies of the union, by the kind that names them. */
export interface OrchestratorBodies {
  orchestrator_metrics: OrchestratorMetricsRecord;
  worker_pool: WorkerPoolRecord;
  worker: WorkerRecord;
  scheduling_decision: SchedulingDecisionRecord;
  queue_metrics: QueueMetricsRecord;
  coordination_event: CoordinationEventRecord;
  load_balancing: LoadBalancingRecord;
  scaling_event: ScalingEventRecord;
}

/** `kind` names the branch that `body` takes in the Avro union. */
export type OrchestratorRecord = OrchestratorHeader &
  { [Kind in keyof OrchestratorBodies]: { kind: Kind; body: OrchestratorBodies[Kind] } }[keyof OrchestratorBodies];
