/**
 * Where every member and column that the source documents 000 to 003 name is kept. One line each:
 *
 *     member : table.column        a typed column (several where the member is split)
 *     member > structure           an object whose own members are mapped below, one by one
 *     member = question            derived when asked; the text says from what
 *     member - reason              nobody reports it; answers say null with this reason
 *
 * Names of structures are those of the documents: interfaces, classes and tables. Raw tables are named by
 * letters: E execution_events, T task_events, O orchestrator_metrics_events, P worker_pool_events,
 * W worker_events, D scheduling_decision_events, Q queue_metrics_events, C coordination_events,
 * L load_balancing_events, S scaling_events.
 */

export type SourceTarget =
  | { kind: 'columns'; columns: { table: string; column: string }[] }
  | { kind: 'structure'; structure: string }
  | { kind: 'derived'; question: string }
  | { kind: 'no source'; reason: string };

const tables: Record<string, string> = {
  E: 'execution_events',
  T: 'task_events',
  O: 'orchestrator_metrics_events',
  P: 'worker_pool_events',
  W: 'worker_events',
  D: 'scheduling_decision_events',
  Q: 'queue_metrics_events',
  C: 'coordination_events',
  L: 'load_balancing_events',
  S: 'scaling_events',
};

const mapText: Record<string, string> = {
  '000.WorkflowExecution': `
id : E.execution_id
workflowId : E.workflow_id
workflowName : E.workflow_name
workflowVersion : E.workflow_version
executionNumber : E.execution_number
status > 000.ExecutionStatus
trigger > 000.WorkflowTrigger
startTime : E.started_at
endTime = event_time of the row with the last end in execution_events
duration : E.duration_us
tasks > 000.TaskExecution
context > 000.ExecutionContext
resources > 000.ResourceUsage
artifacts : E.artifacts
errors : E.errors
retries = rows of earlier attempts in execution_events, with retry_reason
metadata : E.labels`,
  '000.ExecutionStatus': `
state : E.state
progress : E.progress_ratio
phase : E.phase
substatus : E.substatus
healthIndicators : E.health_indicators
lastCheckpoint : E.last_checkpoint`,
  '000.TaskExecution': `
id : T.task_id, T.map_index
taskName : T.task_name
taskType : T.task_type
status : T.state
startTime : T.started_at
endTime = event_time of the row with the last end in task_events
duration : T.duration_us
attempts : T.attempt
dependencies : T.dependencies
dependents : T.dependents
input : T.input
output : T.output
resources : T.cpu_us, T.memory_peak_bytes, T.memory_mean_bytes, T.storage_bytes, T.network_bytes, T.cost_micros, T.cpu_allocated_cores, T.memory_allocated_bytes
performance : T.queue_us, T.cpu_ratio_mean, T.cpu_ratio_peak, T.io_wait_us, T.gc_pause_us, T.network_latency_us
errors : T.error_type, T.error_code, T.error_message, T.error_stack, T.error_retryable`,
  '000.WorkflowTrigger': `
type : E.trigger_type
source : E.trigger_source
triggeredBy : E.triggered_by
triggerTime : E.trigger_time
parameters : E.trigger_parameters
schedule : E.schedule_cron, E.schedule_timezone
event : E.trigger_event_type, E.trigger_event_id`,
  '000.ExecutionContext': `
environment : E.environment
region : E.region
tenant : E.tenant
correlationId : E.correlation_id
parentExecutionId : E.parent_execution_id
childExecutionIds : E.child_execution_ids
variables : E.variables
secrets - secrets are never stored; redacted_fields says that there were some
tags : E.tags`,
  '000.ResourceUsage': `
cpuSeconds : E.cpu_us
memoryMB : E.memory_peak_bytes
storageGB : E.storage_bytes
networkGB : E.network_bytes
cost : E.cost_micros
quotaUsage : E.quota_usage
resourceAllocation : E.cpu_allocated_cores, E.memory_allocated_bytes`,
  '000.WorkflowOrchestration': `
id : O.instance_id
orchestratorId : O.orchestrator_id
orchestratorType : O.orchestrator_type
activeWorkflows : O.workflows_active
queuedWorkflows : O.workflows_pending
workerPool > 000.WorkerPool
scheduling > 000.SchedulingMetrics
coordination > 003.CoordinationMetrics
reliability : O.availability_ratio, O.mean_time_between_failures_us, O.mean_time_to_recovery_us, O.restarts`,
  '000.WorkerPool': `
totalWorkers : P.workers_total
activeWorkers : P.workers_active
idleWorkers : P.workers_idle
pendingWorkers : P.workers_pending
workerUtilization : P.worker_load
workerHealth : W.health_score, W.status, W.worker_id
scalingMetrics > 003.AutoScalingMetrics`,
  '000.SchedulingMetrics': `
avgQueueTime : O.scheduling_queue_us_mean
avgSchedulingLatency : O.scheduling_latency_us_mean
taskThroughput : O.task_throughput_per_second
taskBacklog : O.task_backlog
priorityDistribution : O.priority_distribution
affinityMisses : O.affinity_misses
preemptions : O.preemptions`,
  '000.WorkflowPattern': `
id = pattern detection: hash of the pattern's signature
patternType = pattern detection over task_events of a workflow
frequency = pattern detection: executions that show it
avgDuration = pattern detection: mean of duration_us over those executions
successRate = pattern detection: completed of finished over those executions
resourceEfficiency = pattern detection: cpu_us of cpu_allocated_cores times duration_us
commonErrors = pattern detection: error_type counts over those executions
optimizationOpportunities = pattern detection: hints by pattern type`,
  '000.DependencyGraph': `
nodes > 000.GraphNode
edges > 000.GraphEdge
criticalPath = critical path analysis of the graph
parallelizationFactor = dependency graph: sum of durations over critical path
maxDepth = dependency graph: longest path in edges
bottlenecks = bottleneck analysis of the graph
cycles = dependency graph: strongly connected components`,
  '000.GraphNode': `
id : T.task_id
taskName : T.task_name
taskType : T.task_type
avgDuration = tasks_1m: duration sum over finished
variance = tasks_1m: from the duration histogram
criticality = critical path analysis: share of executions with the task on the path
parallelizable = critical path analysis: slack and shared ancestors
resourceRequirements : T.cpu_allocated_cores, T.memory_allocated_bytes, T.storage_bytes`,
  '000.GraphEdge': `
from : T.dependencies
to : T.task_id
dependencyType : T.dependencies
weight = dependency graph: mean of start less end of the dependency
optional : T.dependencies
condition : T.dependencies`,
  '000.WorkflowOptimization': `
workflowId : E.workflow_id
analysisTime = optimisation plan: instant of the analysis, kept on weir.state
currentPerformance > 000.PerformanceMetrics
optimizations > 000.Optimization
expectedImprovement = optimisation plan: simulated against the present
riskAssessment = optimisation plan: risk of each change
implementationPlan = optimisation plan: steps in order`,
  '000.Optimization': `
type = optimisation plan: kind of the change
description = optimisation plan: text of the change
targetTasks = optimisation plan: tasks it touches
estimatedImpact = optimisation plan: simulated difference
estimatedImpact.durationReduction = optimisation plan: simulated difference of duration
estimatedImpact.costReduction = optimisation plan: simulated difference of cost
estimatedImpact.reliabilityIncrease = optimisation plan: simulated difference of the success rate
complexity = optimisation plan: by kind of change
prerequisites = optimisation plan: by kind of change`,
  '000.PerformanceMetrics': `
avgDuration = executions_1m: duration sum over finished
p50Duration = executions_1m: percentile of the duration histogram
p95Duration = executions_1m: percentile of the duration histogram
p99Duration = executions_1m: percentile of the duration histogram
successRate = executions_1m: completed over finished
avgCost = executions_1m: cost sum over reports of cost
resourceEfficiency = execution_events: cpu_us over cpu_allocated_cores times duration_us
throughput = executions_1m: finished over the length of the range`,
  '000.workflow_executions': `
id : E.execution_id
workflow_id : E.workflow_id
workflow_name : E.workflow_name
workflow_version : E.workflow_version
execution_number : E.execution_number
status > 000.ExecutionStatus
trigger > 000.WorkflowTrigger
start_time : E.started_at
end_time = event_time of the row with the last end in execution_events
duration_ms : E.duration_us
context > 000.ExecutionContext
resources > 000.ResourceUsage
artifacts : E.artifacts
errors : E.errors
retries = rows of earlier attempts in execution_events, with retry_reason
metadata : E.labels
created_at = least event_time of the execution
updated_at = greatest event_time of the execution`,
  '000.task_executions': `
id : T.task_id, T.map_index
execution_id : T.execution_id
task_name : T.task_name
task_type : T.task_type
status : T.state
start_time : T.started_at
end_time = event_time of the row with the last end in task_events
duration_ms : T.duration_us
attempts : T.attempt
dependencies : T.dependencies
dependents : T.dependents
input : T.input
output : T.output
resources : T.cpu_us, T.memory_peak_bytes, T.storage_bytes, T.network_bytes, T.cost_micros
performance : T.queue_us, T.cpu_ratio_mean, T.cpu_ratio_peak, T.io_wait_us
errors : T.error_type, T.error_code, T.error_message, T.error_stack
created_at = least event_time of the task`,
  '000.workflow_orchestration': `
id : O.instance_id
orchestrator_id : O.orchestrator_id
orchestrator_type : O.orchestrator_type
active_workflows : O.workflows_active
queued_workflows : O.workflows_pending
worker_pool > 000.WorkerPool
scheduling_metrics > 000.SchedulingMetrics
coordination_metrics > 003.CoordinationMetrics
reliability_metrics : O.availability_ratio, O.mean_time_between_failures_us, O.mean_time_to_recovery_us, O.restarts
last_heartbeat : O.heartbeat_at
created_at = least event_time of the orchestrator
updated_at = greatest event_time of the orchestrator`,
  '000.workflow_patterns': `
id = pattern detection: hash of the signature
pattern_type = pattern detection over task_events of a workflow
pattern_signature = pattern detection: the canonical form of the pattern
frequency = pattern detection: executions that show it
avg_duration_ms = pattern detection: mean of duration_us
success_rate = pattern detection: completed over finished
resource_efficiency = pattern detection: cpu used of cpu reserved
common_errors = pattern detection: error_type counts
optimization_hints = pattern detection: hints by pattern type
first_seen = pattern detection: least event_time
last_seen = pattern detection: greatest event_time
created_at = pattern detection: first run that found it`,
  '000.dependency_graphs': `
id = dependency graph: workflow and version
workflow_id : T.workflow_id
version : T.workflow_version
graph_data > 000.DependencyGraph
critical_path = critical path analysis of the graph
parallelization_factor = dependency graph: sum of durations over critical path
max_depth = dependency graph: longest path in edges
bottlenecks = bottleneck analysis of the graph
cycles = dependency graph: strongly connected components
analysis_time = dependency graph: watermark of the rows it was built from
created_at = dependency graph: least event_time of the version`,
  '000.workflow_optimizations': `
id = optimisation plan: key of the record on weir.state
workflow_id : E.workflow_id
analysis_time = optimisation plan: instant of the analysis
current_performance > 000.PerformanceMetrics
optimizations > 000.Optimization
expected_improvement = optimisation plan: simulated against the present
risk_assessment = optimisation plan: risk of each change
implementation_plan = optimisation plan: steps in order
status = optimisation plan: latest state on weir.state
applied_at = optimisation plan: instant of its change to applied
created_at = optimisation plan: first record on weir.state`,
  '000.workflow_performance_metrics': `
workflow_id : E.workflow_id
workflow_name : E.workflow_name
time_bucket = executions_1m: window start, merged to hours
execution_count = executions_1m: finished in the window
avg_duration_ms = executions_1m: duration sum over finished
p50_duration = executions_1m: percentile of the duration histogram
p95_duration = executions_1m: percentile of the duration histogram
p99_duration = executions_1m: percentile of the duration histogram
successful_executions = executions_1m: completed
failed_executions = executions_1m: failed and timeout
avg_cost = executions_1m: cost sum over reports of cost`,
  '001.TaskPerformanceMetrics': `
id : T.task_id, T.workflow_id
taskId : T.task_id
taskName : T.task_name
taskType : T.task_type
executionStats > 001.ExecutionStatistics
resourceUsage > 001.TaskResourceMetrics
failureAnalysis > 001.FailureMetrics
dependencies > 001.DependencyMetrics
concurrency : T.concurrency
cachingMetrics : T.cache_status, T.cache_saved_us
costAnalysis : T.cost_micros
metadata : T.labels`,
  '001.ExecutionStatistics': `
totalExecutions = tasks_1m: finished
successfulExecutions = tasks_1m: completed
failedExecutions = tasks_1m: failed
retriedExecutions = tasks_1m: retries
timeoutExecutions = tasks_1m: timeout
avgDuration = tasks_1m: duration sum over finished
minDuration = tasks_1m: least duration
maxDuration = tasks_1m: greatest duration
p50Duration = tasks_1m: percentile of the duration histogram
p95Duration = tasks_1m: percentile of the duration histogram
p99Duration = tasks_1m: percentile of the duration histogram
standardDeviation = tasks_1m: from the duration histogram
trendDirection = trend test over windows of tasks_1m`,
  '001.TaskResourceMetrics': `
cpuUsage : T.cpu_us, T.cpu_ratio_mean, T.cpu_ratio_peak
cpuUsage.average : T.cpu_ratio_mean
cpuUsage.peak : T.cpu_ratio_peak
cpuUsage.baseline = baseline: median of cpu_ratio_mean over final windows
cpuUsage.efficiency = task_events: cpu_us over cpu_allocated_cores times duration_us
memoryUsage : T.memory_mean_bytes, T.memory_peak_bytes
memoryUsage.average : T.memory_mean_bytes
memoryUsage.peak : T.memory_peak_bytes
memoryUsage.leaks - no orchestrator reports memory leaks of a task
memoryUsage.gcPressure : T.gc_pause_us
ioMetrics : T.io_read_ops, T.io_write_ops, T.io_read_bytes, T.io_write_bytes, T.io_wait_us
ioMetrics.readOps : T.io_read_ops
ioMetrics.writeOps : T.io_write_ops
ioMetrics.readBytes : T.io_read_bytes
ioMetrics.writeBytes : T.io_write_bytes
ioMetrics.iowait : T.io_wait_us
networkMetrics : T.network_requests_sent, T.network_requests_received, T.network_bytes, T.network_latency_us, T.network_errors
networkMetrics.requestsSent : T.network_requests_sent
networkMetrics.requestsReceived : T.network_requests_received
networkMetrics.bytesTransferred : T.network_bytes
networkMetrics.latency : T.network_latency_us
networkMetrics.errors : T.network_errors`,
  '001.FailureMetrics': `
failureRate = tasks_1m: failed and timeout over finished
commonErrors > 001.ErrorPattern
retrySuccess = task_events: failed attempts followed by a completed one
retryAttempts = task_events: distribution of attempt
failureCascades = failure analysis: failed dependents after a failed task
rootCauses = failure analysis: first failure upstream, by error_type
recoveryTime = task_events: from a failed end to the next completed one
impactRadius = failure analysis: tasks downstream of a failure`,
  '001.ErrorPattern': `
errorType : T.error_type
errorCode : T.error_code
frequency = task_events: rows by error_type and error_code
message : T.error_message
stackTrace : T.error_stack
correlatedFactors = failure analysis: dimensions over-represented among failures
resolution = failure analysis: what preceded later successes
preventionMeasures = failure analysis: advice by kind of error`,
  '001.DependencyMetrics': `
upstreamDependencies : T.dependencies
downstreamDependents : T.dependents
waitTime : T.ready_at, T.dispatched_at, T.queue_us
blockingTime = task_events: start of dependents less end of the task
dependencyFailures = task_events: dependencies with a failed end
criticalPathContribution = critical path analysis: share of its duration
parallelizationPotential = critical path analysis: slack of the task`,
  '001.DependencyInfo': `
taskId : T.dependencies
taskName : T.task_name
dependencyType : T.dependencies
averageWaitTime = task_events: start less end of the dependency
failureImpact = task_events: failures after a failure of the dependency
optional : T.dependencies`,
  '001.TaskOptimization': `
taskId : T.task_id
optimizationType = task optimisation: kind of the change
currentPerformance > 001.PerformanceBaseline
proposedChanges > 001.ProposedChange
expectedImprovement = task optimisation: simulated against the present
implementationComplexity = task optimisation: by kind of change
risks = task optimisation: by kind of change
validation = task optimisation: what to measure afterwards`,
  '001.ProposedChange': `
changeType = task optimisation: kind of the change
description = task optimisation: text of the change
implementation = task optimisation: settings before and after
impact = task optimisation: simulated difference
rollbackPlan = task optimisation: settings before`,
  '001.PerformanceBaseline': `
executionTime = tasks_1m: duration sum over finished
resourceCost = tasks_1m: cost sum over reports of cost
failureRate = tasks_1m: failed and timeout over finished
throughput = tasks_1m: finished over the length of the range
efficiency = task_events: cpu_us over cpu_allocated_cores times duration_us
qualityScore - no source says how good the result of a task is`,
  '001.TaskPattern': `
id = task pattern detection: hash of the signature
patternName = task pattern detection: name by kind
patternType = task pattern detection over tasks_1m
frequency = task pattern detection: windows that show it
tasks = task pattern detection: tasks that show it
characteristics > 001.PatternCharacteristics
impact = task pattern detection: difference to other windows
recommendations = task pattern detection: advice by kind`,
  '001.PatternCharacteristics': `
timeDistribution > 001.TimePattern
resourceProfile = task pattern detection: cpu_us and memory_peak_bytes over time
failureSignature = task pattern detection: error_type over time
dependencyStructure = task pattern detection: dependencies of the task`,
  '001.TimePattern': `
periodicty = periodicity test over windows of tasks_1m
peakTimes = tasks_1m: starts by hour of day
seasonality = seasonal decomposition of tasks_1m
burstiness = task_events: variation of the gaps between starts
predictability = seasonal decomposition of tasks_1m: share explained`,
  '001.TaskComparison': `
baselineTask : T.task_id
comparisonTasks : T.task_id
metrics > 001.ComparisonMetrics
analysis = comparison of tasks_1m
insights > 001.ComparisonInsight
recommendations = comparison of tasks_1m: advice by kind of insight`,
  '001.ComparisonMetrics': `
performanceComparison = comparison of tasks_1m: durations
resourceComparison = comparison of task_events: cpu_us, memory_peak_bytes
reliabilityComparison = comparison of tasks_1m: failures and retries
costComparison = comparison of tasks_1m: cost`,
  '001.ComparisonInsight': `
type = comparison of tasks_1m: kind of insight
description = comparison of tasks_1m: text
severity = comparison of tasks_1m: size of the difference
affectedTasks = comparison of tasks_1m: tasks
potentialSavings = comparison of tasks_1m: cost or time of the difference
actionRequired = comparison of tasks_1m: by severity`,
  '001.task_performance_metrics': `
id : T.task_id, T.workflow_id
task_id : T.task_id
task_name : T.task_name
task_type : T.task_type
execution_stats > 001.ExecutionStatistics
resource_usage > 001.TaskResourceMetrics
failure_analysis > 001.FailureMetrics
dependencies > 001.DependencyMetrics
concurrency_metrics : T.concurrency
caching_metrics : T.cache_status, T.cache_saved_us
cost_analysis : T.cost_micros
metadata : T.labels
calculated_at = tasks_1m: watermark of the newest window
created_at = least event_time of the task
updated_at = greatest event_time of the task`,
  '001.task_execution_history': `
id : T.task_id, T.map_index, T.attempt
task_id : T.task_id
workflow_execution_id : T.execution_id
task_name : T.task_name
start_time : T.started_at
end_time = event_time of the row with the last end in task_events
duration_ms : T.duration_us
status : T.state
attempt_number : T.attempt
input_size_bytes : T.input_bytes
output_size_bytes : T.output_bytes
cpu_time_ms : T.cpu_us
memory_peak_mb : T.memory_peak_bytes
io_operations : T.io_read_ops, T.io_write_ops
network_calls : T.network_requests_sent
error_details : T.error_type, T.error_code, T.error_message, T.error_stack
retry_reason : T.retry_reason
created_at : T.event_time`,
  '001.task_failures': `
id : T.execution_id, T.task_id, T.attempt
task_id : T.task_id
task_execution_id : T.execution_id, T.task_id, T.map_index
failure_time : T.event_time
error_type : T.error_type
error_code : T.error_code
error_message : T.error_message
stack_trace : T.error_stack
retry_attempted = task_events: a later attempt exists
retry_successful = task_events: a later attempt completed
recovery_time_ms = task_events: from the failed end to the next completed one
impact_scope = failure analysis: tasks downstream
root_cause = failure analysis: first failure upstream
created_at : T.event_time`,
  '001.task_dependencies': `
id : T.workflow_id, T.task_id, T.dependencies
task_id : T.dependencies
dependent_task_id : T.task_id
dependency_type : T.dependencies
average_wait_time_ms = task_events: start less end of the dependency, mean
max_wait_time_ms = task_events: start less end of the dependency, greatest
dependency_failures = task_events: failed ends of the dependency
optional : T.dependencies
created_at = least event_time that shows the edge
updated_at = greatest event_time that shows the edge`,
  '001.task_patterns': `
id = task pattern detection: hash of the signature
pattern_name = task pattern detection: name by kind
pattern_type = task pattern detection over tasks_1m
pattern_signature = task pattern detection: canonical form
frequency = task pattern detection: windows that show it
task_ids = task pattern detection: tasks that show it
characteristics > 001.PatternCharacteristics
impact = task pattern detection: difference to other windows
recommendations = task pattern detection: advice by kind
first_detected = task pattern detection: least window
last_seen = task pattern detection: greatest window
created_at = task pattern detection: first run that found it`,
  '001.task_optimizations': `
id = task optimisation: key of the record on weir.state
task_id : T.task_id
optimization_type = task optimisation: kind of the change
current_performance > 001.PerformanceBaseline
proposed_changes > 001.ProposedChange
expected_improvement = task optimisation: simulated against the present
implementation_complexity = task optimisation: by kind of change
risks = task optimisation: by kind of change
validation_plan = task optimisation: what to measure afterwards
status = task optimisation: latest state on weir.state
implemented_at = task optimisation: instant of its change to applied
created_at = task optimisation: first record on weir.state`,
  '001.task_resource_profiles': `
id : T.workflow_id, T.task_id
task_id : T.task_id
profile_name : T.task_name
cpu_requirements : T.cpu_us, T.cpu_ratio_mean, T.cpu_ratio_peak, T.cpu_allocated_cores
memory_requirements : T.memory_mean_bytes, T.memory_peak_bytes, T.memory_allocated_bytes
io_requirements : T.io_read_ops, T.io_write_ops, T.io_read_bytes, T.io_write_bytes, T.io_wait_us
network_requirements : T.network_bytes, T.network_requests_sent, T.network_requests_received, T.network_latency_us
optimal_concurrency = resource profile: duration_us against concurrency
scaling_characteristics = resource profile: duration_us against input_bytes
cost_profile : T.cost_micros
created_at = least event_time of the task
updated_at = greatest event_time of the task`,
  '001.task_performance_summary': `
task_id : T.task_id
task_name : T.task_name
total_executions = tasks_1m: finished
successful_executions = tasks_1m: completed
failed_executions = tasks_1m: failed and timeout
avg_duration_ms = tasks_1m: duration sum over finished
median_duration = tasks_1m: percentile of the duration histogram
p95_duration = tasks_1m: percentile of the duration histogram
avg_cpu_time = tasks_1m: cpu sum over reports of cpu
avg_memory_mb = tasks_1m: memory sum over reports of memory
time_bucket = tasks_1m: window start, merged to hours`,
  '002.WorkflowExecutionTimeline': `
execution_id : E.execution_id
workflow_id : E.workflow_id
status : E.state
started_at : E.started_at
completed_at = event_time of the row with the last end in execution_events
total_duration_seconds : E.duration_us
step_count = task_events: tasks of the execution
completed_step_count = task_events: tasks whose last end is completed
failed_step_count = task_events: tasks whose last end is failed or timeout
skipped_step_count = task_events: tasks whose last end is skipped
step_timeline > 002.WorkflowStepTimelineEntry
error_message : E.error_message`,
  '002.WorkflowStepTimelineEntry': `
step_id : T.task_id
step_name : T.task_name
step_order : T.step_order
status : T.state
started_at : T.started_at
completed_at = event_time of the row with the last end in task_events
duration_seconds : T.duration_us
retry_count = greatest attempt of the task less 1
error_message : T.error_message
input_summary : T.input, T.input_truncated
output_summary : T.output, T.output_truncated`,
  '002.WorkflowMetricsSummary': `
total_duration_seconds = executions_1m: duration sum
success_rate = executions_1m: completed over finished, in per cent
total_executions = executions_1m: finished
successful_executions = executions_1m: completed
failed_executions = executions_1m: failed and timeout
average_duration_seconds = executions_1m: duration sum over finished
min_duration_seconds = executions_1m: least duration
max_duration_seconds = executions_1m: greatest duration`,
  '002.workflow_executions': `
id : E.execution_id
workflow_id : E.workflow_id
workspace_id : E.workspace
project_id : E.project
execution_number : E.execution_number
status : E.state
started_at : E.started_at
completed_at = event_time of the row with the last end in execution_events
duration : E.duration_us
input_variables : E.input, E.variables
results : E.output
error_message : E.error_message
error_details : E.error_type, E.error_code, E.error_stack`,
  '002.workflow_step_executions': `
id : T.execution_id, T.task_id, T.map_index
execution_id : T.execution_id
step_id : T.task_id
status : T.state
started_at : T.started_at
completed_at = event_time of the row with the last end in task_events
duration : T.duration_us
input_data : T.input
output_data : T.output
retry_count = greatest attempt of the task less 1
error_message : T.error_message`,
  '003.OrchestratorMetrics': `
id : O.orchestrator_id
orchestratorType : O.orchestrator_type
instanceId : O.instance_id
clusterName : O.cluster_name
health > 003.OrchestratorHealth
capacity > 003.CapacityMetrics
scheduling > 003.SchedulingPerformance
queuing > 003.QueueMetrics
execution : O.tasks_running, O.tasks_completed, O.tasks_failed, O.execution_us_mean, O.workflows_completed, O.workflows_failed
resources : O.cpu_allocated_cores, O.cpu_used_cores, O.memory_allocated_bytes, O.memory_used_bytes, O.storage_used_bytes
networking : O.network_received_bytes, O.network_sent_bytes, O.network_latency_us, O.network_errors, O.network_connections
persistence : O.persistence_read_us, O.persistence_write_us, O.persistence_errors, O.persistence_size_bytes, O.persistence_connections
metadata : O.labels`,
  '003.OrchestratorHealth': `
status : O.health_status
healthScore : O.health_score
components > 003.ComponentHealth
lastHealthCheck : O.last_health_check_at
uptime : O.uptime_us
restarts : O.restarts
errors : O.errors
warnings : O.warnings
diagnostics : O.diagnostics`,
  '003.ComponentHealth': `
name : O.components
type : O.components
status : O.components
latency : O.components
throughput : O.components
errorRate : O.components
lastCheck : O.components
issues : O.components`,
  '003.CapacityMetrics': `
totalSlots : O.slots_total
availableSlots : O.slots_available
usedSlots : O.slots_used
pendingWorkflows : O.workflows_pending
runningWorkflows : O.workflows_running
completedWorkflows : O.workflows_completed
failedWorkflows : O.workflows_failed
capacityUtilization : O.capacity_load
peakUtilization : O.capacity_load_peak
scalingMetrics : O.scaling_enabled, O.scaling_min_slots, O.scaling_max_slots, O.scaling_target_slots`,
  '003.SchedulingPerformance': `
avgSchedulingLatency : O.scheduling_latency_us_mean
p95SchedulingLatency : O.scheduling_latency_us_p95
p99SchedulingLatency : O.scheduling_latency_us_p99
schedulingThroughput : O.scheduling_throughput_per_second
schedulingFailures : O.scheduling_failures
queueDepth : O.scheduling_queue_depth
priorityDistribution : O.priority_distribution
affinityViolations : O.affinity_violations
resourceContentions : O.resource_contentions
schedulingAlgorithm : O.scheduling_algorithm
optimizationScore : O.optimization_score`,
  '003.QueueMetrics': `
queues > 003.QueueInfo
totalMessages : O.messages_total
processingRate : O.queue_processing_rate_per_second
backlogSize : O.backlog_size
avgWaitTime : O.queue_wait_us_mean, Q.wait_us_mean
maxWaitTime : O.queue_wait_us_max, Q.wait_us_max
deadLetterCount : O.dead_letters, Q.dead_letters
poisonMessageCount : O.poison_messages, Q.poison_messages
queueLatency : O.queue_latency_us, Q.latency_us
throughput : O.queue_throughput_per_second, Q.throughput_per_second`,
  '003.QueueInfo': `
name : Q.queue_name, O.queues
type : Q.queue_type
size : Q.size
consumers : Q.consumers
processingRate : Q.processing_rate_per_second
errorRate : Q.error_ratio
avgProcessingTime : Q.processing_us_mean
oldestMessage : Q.oldest_message_at
priorityLevels : Q.priority_levels`,
  '003.WorkerPoolMetrics': `
id : P.pool_id
poolName : P.pool_name
workerType : P.worker_type
totalWorkers : P.workers_total
activeWorkers : P.workers_active
idleWorkers : P.workers_idle
busyWorkers : P.workers_busy
failedWorkers : P.workers_failed
workers > 003.WorkerInstance
poolHealth > 003.PoolHealth
resourceUsage : P.cpu_load, P.memory_load, P.disk_load, P.network_bytes_per_second, P.slots_total, P.slots_used
performance : P.throughput_per_second, P.task_us_mean, P.task_us_p95, P.queue_us_mean, P.tasks_queued, P.tasks_completed, P.tasks_failed
scaling > 003.AutoScalingMetrics`,
  '003.WorkerInstance': `
id : W.worker_id
hostname : W.host
status : W.status
currentTask : W.current_task
tasksCompleted : W.tasks_completed
tasksFailed : W.tasks_failed
cpuUsage : W.cpu_load
memoryUsage : W.memory_load
diskUsage : W.disk_load
networkUsage : W.network_bytes_per_second
uptime : W.uptime_us
lastHeartbeat : W.last_heartbeat_at
labels : W.labels`,
  '003.PoolHealth': `
healthyWorkers : P.workers_healthy
unhealthyWorkers : P.workers_unhealthy
averageHealth : P.health_mean
failureRate : P.failure_ratio
restartCount : P.restarts
communicationErrors : P.communication_errors
resourceExhaustion : P.resource_exhaustions`,
  '003.AutoScalingMetrics': `
enabled : P.scaling_enabled
minWorkers : P.workers_min
maxWorkers : P.workers_max
currentTarget : P.workers_target
scalingDecisions > 003.ScalingDecision
scalingEfficiency : P.scaling_efficiency
costOptimization : P.cost_optimization
predictedDemand : P.predicted_demand`,
  '003.ScalingDecision': `
timestamp : S.event_time
action : S.action
fromCount : S.workers_from
toCount : S.workers_to
reason : S.reason
metrics : S.trigger_metrics
success : S.success
duration : S.duration_us`,
  '003.CoordinationMetrics': `
consensusProtocol : C.consensus_protocol
leaderElection > 003.LeaderElectionInfo
distributedLocking > 003.LockingMetrics
stateManagement : C.state_size_bytes, C.state_sync_us, C.state_replicas
messageOrdering : C.out_of_order_messages, C.reorder_us_mean
conflictResolution : C.conflicts, C.conflicts_resolved, C.conflict_resolution_us_mean
partitionTolerance : C.partitions, C.partition_us, C.partitioned_nodes`,
  '003.LeaderElectionInfo': `
currentLeader : C.leader
electionCount : C.election_count
lastElection : C.last_election_at
avgElectionTime : C.election_us_mean
failoverTime : C.failover_us
splitBrainIncidents : C.split_brain_incidents`,
  '003.LockingMetrics': `
activeLocks : C.locks_active
lockWaitTime : C.lock_wait_us
lockContentions : C.lock_contentions
deadlocks : C.deadlocks
lockTimeouts : C.lock_timeouts
distributedTransactions : C.distributed_transactions`,
  '003.LoadBalancingMetrics': `
algorithm : L.algorithm
distribution > 003.WorkloadDistribution
efficiency > 003.BalancingEfficiency
healthChecks : L.health_checks, L.health_check_failures, L.health_check_us_mean
failover : L.failovers, L.failover_failures, L.failover_us_mean`,
  '003.WorkloadDistribution': `
workerLoads : L.worker_loads
standardDeviation : L.load_standard_deviation
imbalanceScore : L.imbalance_score
hotspots : L.hotspots
underutilized : L.underutilized
redistributionCount : L.redistributions`,
  '003.BalancingEfficiency': `
loadVariance : L.load_variance
responseTimeVariance : L.response_time_variance
throughputBalance : L.throughput_balance
resourceUtilizationBalance : L.resource_balance
fairnessIndex : L.fairness_index`,
  '003.orchestrator_metrics': `
id : O.orchestrator_id
orchestrator_type : O.orchestrator_type
instance_id : O.instance_id
cluster_name : O.cluster_name
health > 003.OrchestratorHealth
capacity > 003.CapacityMetrics
scheduling > 003.SchedulingPerformance
queuing > 003.QueueMetrics
execution : O.tasks_running, O.tasks_completed, O.tasks_failed, O.execution_us_mean
resources : O.cpu_allocated_cores, O.cpu_used_cores, O.memory_allocated_bytes, O.memory_used_bytes, O.storage_used_bytes
networking : O.network_received_bytes, O.network_sent_bytes, O.network_latency_us, O.network_errors
persistence : O.persistence_read_us, O.persistence_write_us, O.persistence_errors, O.persistence_size_bytes
metadata : O.labels
collected_at : O.event_time
created_at = least event_time of the orchestrator`,
  '003.worker_pool_metrics': `
id : P.pool_id
pool_name : P.pool_name
orchestrator_id : P.orchestrator_id
worker_type : P.worker_type
total_workers : P.workers_total
active_workers : P.workers_active
idle_workers : P.workers_idle
busy_workers : P.workers_busy
failed_workers : P.workers_failed
pool_health > 003.PoolHealth
resource_usage : P.cpu_load, P.memory_load, P.disk_load, P.network_bytes_per_second
performance : P.throughput_per_second, P.task_us_mean, P.task_us_p95, P.queue_us_mean
scaling > 003.AutoScalingMetrics
collected_at : P.event_time
created_at = least event_time of the pool`,
  '003.worker_instances': `
id : W.worker_id
pool_id : W.pool_id
worker_id : W.worker_id
hostname : W.host
status : W.status
current_task : W.current_task
tasks_completed : W.tasks_completed
tasks_failed : W.tasks_failed
cpu_usage : W.cpu_load
memory_usage : W.memory_load
disk_usage : W.disk_load
network_usage : W.network_bytes_per_second
uptime_seconds : W.uptime_us
last_heartbeat : W.last_heartbeat_at
labels : W.labels
created_at = least event_time of the worker
updated_at = greatest event_time of the worker`,
  '003.scheduling_decisions': `
id : D.decision_id
orchestrator_id : D.orchestrator_id
workflow_id : D.workflow_id
decision_time : D.event_time
scheduling_latency_ms : D.scheduling_latency_us
selected_worker : D.selected_worker
placement_constraints : D.placement_constraints
resource_requirements : D.cpu_required_cores, D.memory_required_bytes, D.storage_required_bytes, D.resource_requirements
priority : D.priority
queue_time_ms : D.queue_us
decision_factors : D.decision_factors
outcome : D.outcome
created_at : D.event_time`,
  '003.queue_metrics': `
id : Q.queue_id
orchestrator_id : Q.orchestrator_id
queue_name : Q.queue_name
queue_type : Q.queue_type
size : Q.size
consumers : Q.consumers
processing_rate : Q.processing_rate_per_second
error_rate : Q.error_ratio
avg_processing_time_ms : Q.processing_us_mean
oldest_message_time : Q.oldest_message_at
priority_levels : Q.priority_levels
collected_at : Q.event_time
created_at = least event_time of the queue`,
  '003.coordination_events': `
id : C.event_id
orchestrator_id : C.orchestrator_id
event_type : C.event_type
event_time : C.event_time
details : C.details
participants : C.participants
consensus_time_ms : C.consensus_us
outcome : C.outcome
errors : C.errors
created_at : C.event_time`,
  '003.load_balancing_metrics': `
id : L.orchestrator_id, L.event_time
orchestrator_id : L.orchestrator_id
algorithm : L.algorithm
distribution > 003.WorkloadDistribution
efficiency > 003.BalancingEfficiency
health_checks : L.health_checks, L.health_check_failures, L.health_check_us_mean
failover : L.failovers, L.failover_failures, L.failover_us_mean
collected_at : L.event_time
created_at : L.event_time`,
  '003.scaling_events': `
id : S.scaling_id
pool_id : S.pool_id
event_time : S.event_time
action : S.action
from_count : S.workers_from
to_count : S.workers_to
reason : S.reason
trigger_metrics : S.trigger_metrics
success : S.success
duration_ms : S.duration_us
cost_impact : S.cost_micros_impact
created_at : S.event_time`,
  '003.orchestrator_performance_summary': `
orchestrator_type : O.orchestrator_type
time_bucket = orchestrator_metrics_events: event_time, by hour
avg_health_score = orchestrator_metrics_events: mean of health_score
avg_utilization = orchestrator_metrics_events: mean of capacity_load
avg_scheduling_latency = orchestrator_metrics_events: mean of scheduling_latency_us_mean
avg_queue_wait_time = orchestrator_metrics_events: mean of queue_wait_us_mean
total_completed = orchestrator_metrics_events: growth of workflows_completed
total_failed = orchestrator_metrics_events: growth of workflows_failed`,
};

function parseTarget(mark: string, text: string): SourceTarget {
  if (mark === '=') return { kind: 'derived', question: text };
  if (mark === '-') return { kind: 'no source', reason: text };
  if (mark === '>') return { kind: 'structure', structure: text };
  const columns = text.split(', ').map((path) => ({ table: tables[path[0]], column: path.slice(2) }));
  return { kind: 'columns', columns };
}

/** By `document.structure`, then by member. */
export const sourceMap: ReadonlyMap<string, ReadonlyMap<string, SourceTarget>> = new Map(
  Object.entries(mapText).map(([structure, lines]) => [
    structure,
    new Map(
      lines
        .trim()
        .split('\n')
        .map((line): [string, SourceTarget] => {
          const [, member, mark, text] = /^(\S+) ([:>=-]) (.+)$/.exec(line) as RegExpExecArray;
          return [member, parseTarget(mark, text)];
        }),
    ),
  ]),
);
