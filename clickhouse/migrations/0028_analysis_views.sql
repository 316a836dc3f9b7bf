-- Analyses with plain columns, for Grafana and analysts: one row for each thing that was found. Shares are per cent,
-- durations milliseconds. What was refused has no rows here; workflow_analyses says why.
-- Structural patterns: chains, branches, choices, loops, maps, scatterings and sagas.
CREATE VIEW IF NOT EXISTS workflow_patterns AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtractString(item, 'id') AS pattern_id,
    JSONExtractString(item, 'patternType') AS pattern_type,
    JSONExtract(item, 'tasks', 'Array(String)') AS tasks,
    JSONExtractString(item, 'split') AS split_task,
    JSONExtractString(item, 'join') AS join_task,
    JSONExtractFloat(item, 'confidence') AS confidence,
    JSONExtractUInt(item, 'frequency') AS frequency,
    100 * JSONExtractFloat(item, 'frequencyRatio') AS frequency_pct,
    JSONExtractFloat(item, 'avgDuration') AS duration_ms_mean,
    100 * JSONExtractFloat(item, 'successRate') AS success_pct,
    100 * JSONExtractFloat(item, 'resourceEfficiency') AS efficiency_pct,
    arrayMap(e -> JSONExtractString(e, 'type'), JSONExtractArrayRaw(item, 'commonErrors')) AS common_errors,
    arrayMap(e -> JSONExtractString(e, 'hint'), JSONExtractArrayRaw(item, 'optimizationOpportunities')) AS hints,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'patterns')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'patterns' AND refused = ''
);

-- Ways through a workflow, by the tasks that ran.
CREATE VIEW IF NOT EXISTS workflow_variants AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtract(item, 'tasks', 'Array(String)') AS tasks,
    JSONExtractUInt(item, 'executions') AS variant_executions,
    100 * JSONExtractFloat(item, 'share') AS share_pct,
    JSONExtractFloat(item, 'median_duration_ms') AS duration_ms_p50,
    100 * JSONExtractFloat(item, 'success_rate') AS success_pct,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'variants')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'patterns' AND refused = ''
);

-- Failures of one kind: the same task, and the same error once numbers and ids are masked.
CREATE VIEW IF NOT EXISTS workflow_failure_patterns AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtractString(item, 'task') AS task_id,
    JSONExtractString(item, 'error_type') AS error_type,
    JSONExtractString(item, 'template') AS message_template,
    JSONExtractUInt(item, 'count') AS failures,
    100 * JSONExtractFloat(item, 'share') AS share_pct,
    100 * JSONExtractFloat(item, 'recovered_ratio') AS recovered_pct,
    JSONExtractFloat(item, 'attempt_ms_median') AS attempt_ms_p50,
    parseDateTime64BestEffortOrNull(JSONExtractString(item, 'first_seen'), 3, 'UTC') AS first_seen_at,
    parseDateTime64BestEffortOrNull(JSONExtractString(item, 'last_seen'), 3, 'UTC') AS last_seen_at,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'failure_patterns')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'patterns' AND refused = ''
);

-- Dependency graphs, one for each version that was computed. Lists beyond two thousand entries are cut.
CREATE VIEW IF NOT EXISTS dependency_graphs AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    workflow_version,
    length(JSONExtractArrayRaw(answer, 'nodes')) AS tasks,
    length(JSONExtractArrayRaw(answer, 'edges')) AS edges,
    JSONExtract(answer, 'criticalPath', 'Array(String)') AS critical_path,
    JSONExtractFloat(answer, 'criticalPathMs') AS critical_path_ms,
    JSONExtractFloat(answer, 'parallelizationFactor') AS parallelization_factor,
    JSONExtractUInt(answer, 'maxDepth') AS max_depth,
    JSONExtractUInt(answer, 'maxWidth') AS max_width,
    JSONExtract(answer, 'cycles', 'Array(Array(String))') AS cycles,
    JSONExtractBool(answer, 'inferred') AS is_inferred,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM workflow_analyses FINAL
WHERE analysis = 'dependency_graph' AND refused = '';

-- Tasks of those graphs.
CREATE VIEW IF NOT EXISTS dependency_graph_tasks AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    workflow_version,
    JSONExtractString(item, 'id') AS task_id,
    JSONExtractString(item, 'taskName') AS task_name,
    JSONExtractString(item, 'taskType') AS task_type,
    JSONExtractUInt(item, 'depth') AS depth,
    JSONExtractFloat(item, 'avgDuration') AS duration_ms_mean,
    JSONExtractFloat(item, 'medianDuration') AS duration_ms_p50,
    JSONExtractFloat(item, 'variance') AS duration_ms2_variance,
    JSONExtractFloat(item, 'criticality') AS criticality,
    JSONExtractFloat(item, 'slackMs') AS slack_ms,
    JSONExtractBool(item, 'parallelizable') AS is_parallelizable,
    100 * JSONExtractFloat(item, 'runRatio') AS run_pct,
    JSONExtract(JSONExtractRaw(item, 'resourceRequirements'), 'memoryBytes', 'Nullable(Float64)') AS memory_bytes_p50,
    JSONExtract(JSONExtractRaw(item, 'resourceRequirements'), 'cpuCores', 'Nullable(Float64)') AS cpu_cores_p50,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, workflow_version, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'nodes')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'dependency_graph' AND refused = ''
);

-- What waits for what; weight is the share of executions that tell it or show it.
CREATE VIEW IF NOT EXISTS dependency_graph_edges AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    workflow_version,
    JSONExtractString(item, 'from') AS from_task,
    JSONExtractString(item, 'to') AS to_task,
    JSONExtractString(item, 'dependencyType') AS dependency_type,
    JSONExtractFloat(item, 'weight') AS weight,
    JSONExtractBool(item, 'optional') AS is_optional,
    JSONExtractString(item, 'condition') AS condition,
    JSONExtractBool(item, 'inferred') AS is_inferred,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, workflow_version, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'edges')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'dependency_graph' AND refused = ''
);

-- What usually holds a workflow up: the path that most of its executions took.
CREATE VIEW IF NOT EXISTS workflow_critical_paths AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtract(answer, 'path', 'Array(String)') AS path,
    100 * JSONExtractFloat(answer, 'path_share') AS path_pct,
    JSONExtractFloat(answer, 'duration') AS duration_ms_mean,
    JSONExtractFloat(answer, 'median_makespan_ms') AS makespan_ms_p50,
    JSONExtract(answer, 'by_kind', 'Map(String, Float64)') AS path_ms_by_kind,
    JSONExtractFloat(answer, 'optimization_potential', 'without_waiting_ms') AS without_waiting_ms,
    JSONExtractFloat(answer, 'optimization_potential', 'without_retries_ms') AS without_retries_ms,
    JSONExtractFloat(answer, 'optimization_potential', 'least_makespan_ms') AS least_makespan_ms,
    100 * JSONExtractFloat(answer, 'optimization_potential', 'reducible_ratio') AS reducible_pct,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM workflow_analyses FINAL
WHERE analysis = 'critical_path' AND refused = '';

-- How often each task is on the path, and what would be gained if it took half as long (NULL where little can be).
CREATE VIEW IF NOT EXISTS critical_path_tasks AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtractString(item, 'task') AS task_id,
    100 * JSONExtractFloat(item, 'criticality_index') AS critical_pct,
    JSONExtractFloat(item, 'path_ms') AS path_ms_mean,
    100 * JSONExtractFloat(item, 'path_ratio') AS path_pct,
    JSONExtractFloat(item, 'slack_ms') AS slack_ms_mean,
    JSONExtractFloat(item, 'cruciality') AS cruciality,
    if(arrayExists(g -> JSONExtractFloat(g, 'faster_ratio') = 0.5, JSONExtractArrayRaw(item, 'gains')), JSONExtractFloat(arrayFirst(g -> JSONExtractFloat(g, 'faster_ratio') = 0.5, JSONExtractArrayRaw(item, 'gains')), 'gain_ms'), NULL) AS halved_gain_ms,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'tasks')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'critical_path' AND refused = ''
);

-- Tasks that make executions longer than they need be, why, and what to do.
CREATE VIEW IF NOT EXISTS workflow_bottlenecks AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtractString(item, 'task') AS task_id,
    JSONExtractFloat(item, 'score') AS score,
    JSONExtractFloat(item, 'impact', 'gain_ms') AS gain_ms,
    100 * JSONExtractFloat(item, 'impact', 'gain_ratio') AS gain_pct,
    arrayMap(e -> JSONExtractString(e, 'reason'), JSONExtractArrayRaw(item, 'reasons')) AS reasons,
    arrayMap(e -> JSONExtractString(e, 'detail'), JSONExtractArrayRaw(item, 'reasons')) AS details,
    arrayMap(e -> JSONExtractString(e, 'detail'), JSONExtractArrayRaw(item, 'recommendations')) AS recommendations,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'bottlenecks')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'bottlenecks' AND refused = ''
);

-- Habits that make workflows slow or fragile.
CREATE VIEW IF NOT EXISTS workflow_anti_patterns AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtractString(item, 'type') AS anti_pattern,
    JSONExtractString(item, 'severity') AS severity,
    JSONExtractString(item, 'description') AS description,
    JSONExtractString(item, 'recommendation') AS recommendation,
    JSONExtract(item, 'tasks', 'Array(String)') AS tasks,
    JSONExtract(item, 'resources', 'Array(String)') AS resources,
    JSONExtractRaw(item, 'evidence') AS evidence,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM
(
    SELECT workspace, project, source, workflow_id, executions, usable_executions, missing_pct, range_from, range_to, computed_at,
        arrayJoin(JSONExtractArrayRaw(answer, 'anti_patterns')) AS item
    FROM workflow_analyses FINAL
    WHERE analysis = 'anti_patterns' AND refused = ''
);

-- How long the next execution will take; the interval is NULL where too little is known for one.
CREATE VIEW IF NOT EXISTS duration_predictions AS
SELECT
    workspace,
    project,
    source,
    workflow_id,
    JSONExtractFloat(answer, 'predicted_duration') AS predicted_duration_ms,
    JSONExtract(answer, 'confidence_interval', 1, 'Nullable(Float64)') AS low_ms,
    JSONExtract(answer, 'confidence_interval', 2, 'Nullable(Float64)') AS high_ms,
    100 * JSONExtractFloat(answer, 'interval_level') AS interval_pct,
    JSONExtract(answer, 'interval_coverage', 'Nullable(Float64)') * 100 AS held_pct,
    JSONExtractString(answer, 'confidence') AS confidence,
    JSONExtractString(answer, 'method') AS method,
    JSONExtractFloat(answer, 'usual_duration') AS usual_duration_ms,
    JSONExtract(answer, 'mean_error_ratio', 'Nullable(Float64)') * 100 AS error_pct_mean,
    executions,
    usable_executions,
    missing_pct,
    range_from,
    range_to,
    computed_at
FROM workflow_analyses FINAL
WHERE analysis = 'prediction' AND refused = '';
