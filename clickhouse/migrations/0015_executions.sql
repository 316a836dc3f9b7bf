-- The latest of every execution, one row each, and lists of executions by time. Rows are written for every flush and
-- converge by merging: each column is the greatest (or the least) of what was ever written, so repetition, order and
-- grouping change nothing. Where values change over time they stand in a tuple behind what decides which is the latest:
--   rank   attempt * 2^44 + (1 for an end) * 2^43 + event time in ms: a later attempt wins, then an end, then time;
--   place  order of the state * 2^60 + partition * 2^44 + offset: decides between records of the same time.
-- An end beats what is not one, so a slow clock cannot leave an execution running for ever. What is said once and does
-- not change is a plain greatest value, which any value is when compared with an absent one.
-- Sorted by what names the execution and nothing else; time would part its start from its end. Questions by time start
-- from execution_list. Small granules, because a page looks up executions one by one.
CREATE TABLE IF NOT EXISTS executions
(
    workspace           LowCardinality(String) COMMENT 'tenant',
    source              LowCardinality(String) COMMENT 'orchestrator or tool that reported it',
    execution_id        String COMMENT 'run of the workflow, chosen by the producer',
    first_seen_at       SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'least of all event times and starts: its place in lists',
    last_event_at       SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'greatest event time: retention counts from here',
    now                 SimpleAggregateFunction(max, Tuple(rank UInt64, place UInt64, state String, progress_ratio Nullable(Float64), phase String, substatus String)) COMMENT 'the state it is in',
    last_end            SimpleAggregateFunction(max, Tuple(rank UInt64, place UInt64, state String, duration_us Nullable(Int64), cost_micros Nullable(Int64), cpu_us Nullable(Int64), memory_peak_bytes Nullable(Int64), error_type String, error_code String, error_message String, queue_us Nullable(Int64), cancel_reason String)) COMMENT 'its latest end, which is what rollups count; rank 0 before the first',
    workflow            SimpleAggregateFunction(max, Tuple(rank UInt64, place UInt64, workflow_id String, workflow_version String)) COMMENT 'workflow and version by the latest record that says a version',
    earliest_start      SimpleAggregateFunction(max, UInt64) COMMENT 'first start of the latest attempt that started: attempt * 2^43 + 2^43 - 1 - ms; 0 when unknown',
    earliest_queueing   SimpleAggregateFunction(max, UInt64) COMMENT 'first queueing of the latest attempt that was queued, in the same form',
    earliest_schedule   SimpleAggregateFunction(max, UInt64) COMMENT 'nominal time of the latest attempt that was scheduled, in the same form',
    workflow_name       SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'display name of the workflow',
    project             SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'project within the workspace',
    source_version      SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'version of the source',
    execution_number    SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'running number of the execution within its workflow',
    trigger_type        SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'manual, scheduled, event, api, webhook, chain, or what the source said',
    trigger_source      SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'what triggered the run',
    triggered_by        SimpleAggregateFunction(max, String) COMMENT 'who triggered it',
    parent_execution_id SimpleAggregateFunction(max, String) COMMENT 'execution that started this one',
    parent_task_id      SimpleAggregateFunction(max, String) COMMENT 'task that started this one',
    root_execution_id   SimpleAggregateFunction(max, String) COMMENT 'first execution of the chain',
    tenant              SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'tenant as the source names it',
    environment         SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'environment, such as production',
    region              SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'region',
    correlation_id      SimpleAggregateFunction(max, String) COMMENT 'id shared with other systems',
    retry_reason        SimpleAggregateFunction(max, String) COMMENT 'why it was run again',
    tags                SimpleAggregateFunction(max, Array(String)) COMMENT 'tags',
    -- What runs now is scattered over all executions; this index leaves out the granules in which everything has ended.
    INDEX is_open bitAnd(tupleElement(now, 'rank'), 8796093022208) = 0 TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
ORDER BY (workspace, source, execution_id)
SETTINGS index_granularity = 256, merge_with_ttl_timeout = 86400
COMMENT 'Latest state and latest end of every execution; executions_latest shows it plainly. Shard key: workspace, source, execution_id.';

-- Executions by time, to find the rows of `executions` that a page shows. An execution may stand here several times, at
-- times that a later record corrected: a row holds while its time and state are those of the execution's row. Workflow
-- '' lists the whole workspace; state '' lists every execution at the time it was first seen, any other state those that
-- ended so, other than by completing, at their end. The newest rows of a key are read backwards from its end.
CREATE TABLE IF NOT EXISTS execution_list
(
    workspace    LowCardinality(String) COMMENT 'tenant',
    workflow_id  LowCardinality(String) COMMENT 'workflow, empty for the list of the workspace',
    state        LowCardinality(String) COMMENT 'empty, or the end of those listed: failed, timeout, cancelled or partial',
    at           DateTime64(3, 'UTC') COMMENT 'first seen, or ended where a state is given',
    source       LowCardinality(String) COMMENT 'orchestrator or tool that reported it',
    execution_id String COMMENT 'run of the workflow',
    error_type   LowCardinality(String) COMMENT 'class of the error, where a state is given'
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, workflow_id, state, at, source, execution_id, error_type)
SETTINGS index_granularity = 1024, merge_with_ttl_timeout = 86400
COMMENT 'Executions by time, to be checked against executions. Shard key: workspace, workflow_id.';
