-- Executions, attempts and tasks with plain columns, for Grafana, analysts and the query service. What is not prefixed
-- speaks of the latest attempt and is empty while that has not come so far; last_end_* is the latest end whatever runs
-- now, which is what rollups count. A filter on what names a row reaches the sorting key; to find rows by time, take the
-- names from execution_list or task_list first. Elements are taken with tupleElement: FINAL, given now.state, reads that
-- one element and leaves it unmerged.
CREATE VIEW IF NOT EXISTS executions_latest AS
WITH
    milliseconds -> fromUnixTimestamp64Milli(toInt64(bitAnd(milliseconds, 8796093022207)), 'UTC') AS time_of
SELECT
    workspace,
    project,
    source,
    source_version,
    tupleElement(workflow, 'workflow_id') AS workflow_id,
    workflow_name,
    tupleElement(workflow, 'workflow_version') AS workflow_version,
    execution_id,
    execution_number,
    toUInt32(bitShiftRight(tupleElement(now, 'rank'), 44)) AS attempts,
    tupleElement(now, 'state') AS state,
    bitAnd(tupleElement(now, 'rank'), 8796093022208) = 0 AS is_open,
    tupleElement(now, 'progress_ratio') AS progress_ratio,
    tupleElement(now, 'phase') AS phase,
    tupleElement(now, 'substatus') AS substatus,
    first_seen_at,
    last_event_at,
    if(earliest_schedule = 0, NULL, time_of(bitNot(earliest_schedule))) AS scheduled_at,
    if(bitShiftRight(earliest_queueing, 43) = attempts, time_of(bitNot(earliest_queueing)), NULL) AS queued_at,
    if(bitShiftRight(earliest_start, 43) = attempts, time_of(bitNot(earliest_start)), NULL) AS started_at,
    if(is_open, NULL, time_of(tupleElement(now, 'rank'))) AS ended_at,
    -- An end that says neither its start nor how long it took is joined with the start that was told apart.
    if(tupleElement(last_end, 'rank') = 0, NULL, coalesce(tupleElement(last_end, 'duration_us') / 1000, if(
        bitShiftRight(earliest_start, 43) = bitShiftRight(tupleElement(last_end, 'rank'), 44) AND time_of(bitNot(earliest_start)) <= time_of(tupleElement(last_end, 'rank')),
        toFloat64(dateDiff('millisecond', time_of(bitNot(earliest_start)), time_of(tupleElement(last_end, 'rank')))), NULL))) AS last_end_duration_ms,
    if(is_open, NULL, last_end_duration_ms) AS duration_ms,
    coalesce(if(is_open, NULL, tupleElement(last_end, 'queue_us') / 1000),
        if(queued_at <= started_at, toFloat64(dateDiff('millisecond', queued_at, started_at)), NULL)) AS queue_ms,
    if(is_open, NULL, tupleElement(last_end, 'cost_micros') / 1000000) AS cost,
    if(is_open, NULL, tupleElement(last_end, 'cpu_us') / 1000) AS cpu_ms,
    if(is_open, NULL, tupleElement(last_end, 'memory_peak_bytes')) AS memory_peak_bytes,
    if(is_open, '', tupleElement(last_end, 'error_type')) AS error_type,
    if(is_open, '', tupleElement(last_end, 'error_code')) AS error_code,
    if(is_open, '', tupleElement(last_end, 'error_message')) AS error_message,
    if(is_open, '', tupleElement(last_end, 'cancel_reason')) AS cancel_reason,
    tupleElement(last_end, 'state') AS last_end_state,
    if(tupleElement(last_end, 'rank') = 0, NULL, time_of(tupleElement(last_end, 'rank'))) AS last_ended_at,
    tupleElement(last_end, 'error_type') AS last_end_error_type,
    retry_reason,
    trigger_type,
    trigger_source,
    triggered_by,
    parent_execution_id,
    parent_task_id,
    root_execution_id,
    tenant,
    environment,
    region,
    correlation_id,
    tags
FROM executions FINAL;

CREATE VIEW IF NOT EXISTS task_attempts_latest AS
WITH
    toDateTime64(0, 3, 'UTC') AS unknown,
    milliseconds -> fromUnixTimestamp64Milli(toInt64(bitAnd(milliseconds, 8796093022207)), 'UTC') AS time_of
SELECT
    workspace,
    project,
    source,
    workflow_id,
    workflow_version,
    execution_id,
    task_id,
    map_index,
    attempt,
    task_name,
    task_type,
    step_order,
    tupleElement(now, 'state') AS state,
    bitAnd(tupleElement(now, 'rank'), 8796093022208) = 0 AS is_open,
    first_seen_at,
    last_event_at,
    nullIf(task_attempts.ready_at, unknown) AS ready_at,
    nullIf(task_attempts.queued_at, unknown) AS queued_at,
    nullIf(task_attempts.dispatched_at, unknown) AS dispatched_at,
    if(earliest_start = 0, NULL, time_of(bitNot(earliest_start))) AS started_at,
    if(is_open, NULL, time_of(tupleElement(now, 'rank'))) AS ended_at,
    -- An end that says neither its start nor how long it took is joined with the start that was told apart.
    if(is_open, NULL, coalesce(tupleElement(now, 'duration_us') / 1000, if(started_at <= ended_at, toFloat64(dateDiff('millisecond', started_at, ended_at)), NULL))) AS duration_ms,
    queue_us / 1000 AS queue_ms,
    tupleElement(now, 'cost_micros') / 1000000 AS cost,
    tupleElement(now, 'cpu_us') / 1000 AS cpu_ms,
    tupleElement(now, 'memory_peak_bytes') AS memory_peak_bytes,
    tupleElement(now, 'error_type') AS error_type,
    tupleElement(now, 'error_code') AS error_code,
    tupleElement(now, 'error_message') AS error_message,
    max_attempts,
    retry_delay_us / 1000 AS retry_delay_ms,
    nullIf(task_attempts.next_retry_at, unknown) AS next_retry_at,
    orchestrator_id,
    pool,
    queue,
    worker_id,
    child_execution_id,
    dependencies,
    tags
FROM task_attempts FINAL;

-- A task is its latest attempt. Each instance of a mapped task is one row.
CREATE VIEW IF NOT EXISTS tasks_latest AS
SELECT
    workspace,
    source,
    execution_id,
    task_id,
    map_index,
    count() AS attempts,
    min(attempt_first_seen_at) AS first_seen_at,
    max(attempt_last_event_at) AS last_event_at,
    argMax(told, number).1 AS attempt,
    argMax(told, number).2 AS project,
    argMax(told, number).3 AS workflow_id,
    argMax(told, number).4 AS workflow_version,
    argMax(told, number).5 AS task_name,
    argMax(told, number).6 AS task_type,
    argMax(told, number).7 AS step_order,
    argMax(told, number).8 AS state,
    argMax(told, number).9 AS is_open,
    argMax(told, number).10 AS ready_at,
    argMax(told, number).11 AS queued_at,
    argMax(told, number).12 AS dispatched_at,
    argMax(told, number).13 AS started_at,
    argMax(told, number).14 AS ended_at,
    argMax(told, number).15 AS duration_ms,
    argMax(told, number).16 AS queue_ms,
    argMax(told, number).17 AS cost,
    argMax(told, number).18 AS cpu_ms,
    argMax(told, number).19 AS memory_peak_bytes,
    argMax(told, number).20 AS error_type,
    argMax(told, number).21 AS error_code,
    argMax(told, number).22 AS error_message,
    argMax(told, number).23 AS max_attempts,
    argMax(told, number).24 AS retry_delay_ms,
    argMax(told, number).25 AS next_retry_at,
    argMax(told, number).26 AS orchestrator_id,
    argMax(told, number).27 AS pool,
    argMax(told, number).28 AS queue,
    argMax(told, number).29 AS worker_id,
    argMax(told, number).30 AS child_execution_id,
    argMax(told, number).31 AS dependencies,
    argMax(told, number).32 AS tags
FROM
(
    SELECT
        workspace,
        source,
        execution_id,
        task_id,
        map_index,
        attempt AS number,
        first_seen_at AS attempt_first_seen_at,
        last_event_at AS attempt_last_event_at,
        -- Of a tuple argMax also takes what is absent.
        tuple(attempt, project, workflow_id, workflow_version, task_name, task_type, step_order, state, is_open, ready_at, queued_at, dispatched_at, started_at, ended_at, duration_ms, queue_ms, cost, cpu_ms, memory_peak_bytes, error_type, error_code, error_message, max_attempts, retry_delay_ms, next_retry_at, orchestrator_id, pool, queue, worker_id, child_execution_id, dependencies, tags) AS told
    FROM task_attempts_latest
)
GROUP BY workspace, source, execution_id, task_id, map_index;
