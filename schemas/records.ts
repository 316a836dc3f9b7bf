/**
 * The wire contract in TypeScript: the records of avro/*.avsc under their wire names. A test keeps both
 * in step, and the .avsc files hold the meaning and unit of every field. Optional fields may be left out.
 */

/** One sign of health that a running execution reports. */
export interface HealthIndicatorRecord {
  name: string;
  status?: string | null;
  value?: number | null;
  message?: string | null;
}

/** Something that an execution produced. */
export interface ArtifactRecord {
  name: string;
  type?: string | null;
  uri?: string | null;
  bytes?: number | null;
}

/** One error met during an execution, whether or not it ended it. */
export interface ErrorEntryRecord {
  type?: string | null;
  code?: string | null;
  message?: string | null;
  task_id?: string | null;
  at?: number | null;
}

/** One transition of one run of a workflow; topic telemetry.executions, keyed by execution_id. */
export interface ExecutionRecord {
  workspace?: string;
  project?: string | null;
  source?: string;
  source_version?: string | null;
  workflow_id: string;
  workflow_name?: string | null;
  workflow_version?: string | null;
  execution_id: string;
  attempt?: number;
  state: string;
  event_time: number;
  scheduled_at?: number | null;
  queued_at?: number | null;
  started_at?: number | null;
  duration_ms?: number | null;
  queue_ms?: number | null;
  cost?: number | null;
  cpu_ms?: number | null;
  memory_peak_bytes?: number | null;
  cpu_allocated_cores?: number | null;
  memory_allocated_bytes?: number | null;
  storage_bytes?: number | null;
  network_bytes?: number | null;
  environment?: string | null;
  region?: string | null;
  correlation_id?: string | null;
  error_type?: string | null;
  error_code?: string | null;
  error_message?: string | null;
  error_stack?: string | null;
  cancel_reason?: string | null;
  retry_reason?: string | null;
  input?: string | null;
  input_bytes?: number | null;
  input_truncated?: boolean;
  output?: string | null;
  output_bytes?: number | null;
  output_truncated?: boolean;
  tags?: string[];
  labels?: Record<string, string>;
  redacted_fields?: string[];
  execution_number?: number | null;
  progress_ratio?: number | null;
  phase?: string | null;
  substatus?: string | null;
  last_checkpoint?: string | null;
  health_indicators?: HealthIndicatorRecord[];
  trigger_type?: string | null;
  trigger_source?: string | null;
  triggered_by?: string | null;
  trigger_time?: number | null;
  trigger_parameters?: string | null;
  schedule_cron?: string | null;
  schedule_timezone?: string | null;
  trigger_event_type?: string | null;
  trigger_event_id?: string | null;
  tenant?: string | null;
  parent_execution_id?: string | null;
  parent_task_id?: string | null;
  root_execution_id?: string | null;
  child_execution_ids?: string[];
  variables?: string | null;
  quota_usage?: Record<string, number>;
  artifacts?: ArtifactRecord[];
  errors?: ErrorEntryRecord[];
}

/** One task that this task waits for. */
export interface TaskDependencyRecord {
  task_id: string;
  type?: string | null;
  optional?: boolean;
  condition?: string | null;
}

/** One transition of one attempt of a task of a run; topic telemetry.tasks, keyed by execution_id. */
export interface TaskRecord {
  workspace?: string;
  project?: string | null;
  source?: string;
  source_version?: string | null;
  workflow_id: string;
  workflow_name?: string | null;
  workflow_version?: string | null;
  execution_id: string;
  task_id: string;
  task_name?: string | null;
  task_type?: string | null;
  map_index?: number;
  attempt?: number;
  state: string;
  event_time: number;
  scheduled_at?: number | null;
  queued_at?: number | null;
  ready_at?: number | null;
  dispatched_at?: number | null;
  started_at?: number | null;
  duration_ms?: number | null;
  queue_ms?: number | null;
  cost?: number | null;
  cpu_ms?: number | null;
  memory_peak_bytes?: number | null;
  cpu_allocated_cores?: number | null;
  memory_allocated_bytes?: number | null;
  storage_bytes?: number | null;
  network_bytes?: number | null;
  environment?: string | null;
  region?: string | null;
  correlation_id?: string | null;
  error_type?: string | null;
  error_code?: string | null;
  error_message?: string | null;
  error_stack?: string | null;
  cancel_reason?: string | null;
  retry_reason?: string | null;
  input?: string | null;
  input_bytes?: number | null;
  input_truncated?: boolean;
  output?: string | null;
  output_bytes?: number | null;
  output_truncated?: boolean;
  tags?: string[];
  labels?: Record<string, string>;
  redacted_fields?: string[];
  step_order?: number | null;
  loop_iteration?: number | null;
  operator?: string | null;
  task_group?: string | null;
  orchestrator_id?: string | null;
  pool?: string | null;
  queue?: string | null;
  worker_id?: string | null;
  host?: string | null;
  priority?: number | null;
  trigger_rule?: string | null;
  compensates?: string | null;
  child_execution_id?: string | null;
  dependencies?: TaskDependencyRecord[];
  dependents?: string[];
  max_attempts?: number | null;
  retry_delay_ms?: number | null;
  next_retry_at?: number | null;
  error_retryable?: boolean | null;
  cpu_ratio_mean?: number | null;
  cpu_ratio_peak?: number | null;
  memory_mean_bytes?: number | null;
  io_read_ops?: number | null;
  io_write_ops?: number | null;
  io_read_bytes?: number | null;
  io_write_bytes?: number | null;
  io_wait_ms?: number | null;
  network_requests_sent?: number | null;
  network_requests_received?: number | null;
  network_latency_ms?: number | null;
  network_errors?: number | null;
  gc_pause_ms?: number | null;
  concurrency?: number | null;
  cache_status?: string | null;
  cache_saved_ms?: number | null;
}

/** Something that an orchestrator is asked to do. */
export interface CommandRequestRecord {
  command_id: string;
  idempotency_key?: string | null;
  kind: string;
  orchestrator_id?: string | null;
  workflow_id?: string | null;
  execution_id?: string | null;
  task_id?: string | null;
  map_index?: number;
  pool_id?: string | null;
  queue_id?: string | null;
  optimization_id?: string | null;
  parameters?: string;
  requested_by: string;
  reason?: string | null;
  requested_at: number;
  expires_at: number;
  approval_required?: boolean;
  approved_by?: string | null;
  approved_at?: number | null;
  dry_run?: boolean;
}

/** What became of a command. */
export interface CommandOutcomeRecord {
  command_id: string;
  outcome: string;
  message?: string | null;
  reported_by?: string | null;
  at: number;
  result?: string | null;
}

/** One record of topic weir.commands, keyed by command id: a request, the same request once more when it was approved, or an outcome. */
export interface CommandRecord {
  workspace?: string;
  source?: string;
  request?: CommandRequestRecord | null;
  outcome?: CommandOutcomeRecord | null;
}

/** One change of state of one alert; topic weir.alerts, keyed by alert id. */
export interface AlertRecord {
  workspace?: string;
  source?: string | null;
  alert_id: string;
  notification_id: string;
  rule_id: string;
  rule_version?: number;
  severity: string;
  state: string;
  previous_state?: string | null;
  series: string;
  subject_kind: string;
  subject_id: string;
  workflow_id?: string | null;
  execution_id?: string | null;
  task_id?: string | null;
  orchestrator_id?: string | null;
  metric?: string | null;
  value?: number | null;
  threshold?: number | null;
  score?: number | null;
  baseline_id?: string | null;
  window_start?: number | null;
  window_end?: number | null;
  window_version?: number | null;
  title: string;
  description?: string | null;
  recommendations?: string[];
  labels?: Record<string, string>;
  event_time: number;
  first_pending_at?: number | null;
  fired_at?: number | null;
  acknowledged_at?: number | null;
  acknowledged_by?: string | null;
  resolved_at?: number | null;
  silenced_by?: string | null;
  cause_alert_id?: string | null;
}

/** One change of something that people made: rules, silences, acknowledgements, dependencies, keys, subscriptions, definitions, plans; topic weir.state, keyed by workspace, collection and key. */
export interface StateRecord {
  workspace?: string;
  collection: string;
  key: string;
  value?: string | null;
  value_version?: number;
  revision?: number | null;
  deleted?: boolean;
  changed_by: string;
  reason?: string | null;
  request_id?: string | null;
  changed_at: number;
}
