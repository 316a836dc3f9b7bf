-- The latest of every attempt of every task, one row each, and lists of attempts by time: as executions and
-- execution_list in the migration before, where rank and place are explained. The attempt is part of the name here, so
-- an attempt that has ended once stays ended, and its latest end and its state are one. Rank holds the attempt all the
-- same: the greatest of all attempts of a task is what the task is in. This table takes nearly every record there is, so
-- it holds what lists, timelines and comparisons need; all else that a record says stands in task_events, which is
-- sorted by execution too.
CREATE TABLE IF NOT EXISTS task_attempts
(
    workspace          LowCardinality(String) COMMENT 'tenant',
    source             LowCardinality(String) COMMENT 'orchestrator or tool that reported it',
    execution_id       String COMMENT 'run that the task belongs to',
    task_id            LowCardinality(String) COMMENT 'task within its workflow',
    map_index          Int32 COMMENT 'index of one instance of a mapped task, -1 where it is not mapped',
    attempt            UInt32 COMMENT '1 for the first try, counting up with each retry',
    first_seen_at      SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'least of all event times and starts: its place in lists',
    last_event_at      SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'greatest event time: retention counts from here',
    now                SimpleAggregateFunction(max, Tuple(rank UInt64, place UInt64, state String, duration_us Nullable(Int64), cost_micros Nullable(Int64), cpu_us Nullable(Int64), memory_peak_bytes Nullable(Int64), error_type String, error_code String, error_message String)) COMMENT 'the state it is in, and what the record said that put it there; of an end, which rollups count',
    ready_at           SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'all dependencies met; 1970 when unknown',
    queued_at          SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'entered the queue, for the last time; 1970 when unknown',
    dispatched_at      SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'a slot was assigned, for the last time; 1970 when unknown',
    earliest_start     SimpleAggregateFunction(max, UInt64) COMMENT 'first start: attempt * 2^43 + 2^43 - 1 - ms; 0 when unknown',
    queue_us           SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'wait in the queue, microseconds',
    project            SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'project within the workspace',
    workflow_id        SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'workflow of the execution',
    workflow_version   SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'its version, empty where unknown',
    task_name          SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'display name of the task',
    task_type          SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'compute, io, network, decision, human, wait, or what the source said',
    orchestrator_id    SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'orchestrator that ran it',
    pool               SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'worker pool',
    queue              SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'queue it waited in',
    worker_id          SimpleAggregateFunction(max, LowCardinality(String)) COMMENT 'worker that ran it',
    child_execution_id SimpleAggregateFunction(max, String) COMMENT 'execution that this task started',
    step_order         SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'place among the tasks of its workflow',
    max_attempts       SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'attempts allowed',
    retry_delay_us     SimpleAggregateFunction(max, Nullable(Int64)) COMMENT 'wait before the next attempt, microseconds',
    next_retry_at      SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'when the next attempt is due; 1970 when unknown',
    dependencies       SimpleAggregateFunction(max, Array(Tuple(task_id String, type String, optional Bool, condition String))) COMMENT 'tasks it waits for',
    tags               SimpleAggregateFunction(max, Array(String)) COMMENT 'tags',
    -- What runs now is scattered over all attempts; this index leaves out the granules in which everything has ended.
    INDEX is_open bitAnd(tupleElement(now, 'rank'), 8796093022208) = 0 TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree
ORDER BY (workspace, source, execution_id, task_id, map_index, attempt)
SETTINGS index_granularity = 1024, merge_with_ttl_timeout = 86400
COMMENT 'Latest state of every attempt of a task; task_attempts_latest and tasks_latest show it plainly. Shard key: workspace, source, execution_id.';

-- Attempts by time, to find the rows of `task_attempts` that a page shows, to be checked against them. Task '' lists the
-- whole workspace, and only where a state is given: the newest failures of every task.
CREATE TABLE IF NOT EXISTS task_list
(
    workspace    LowCardinality(String) COMMENT 'tenant',
    task_id      LowCardinality(String) COMMENT 'task, empty for the list of the workspace',
    state        LowCardinality(String) COMMENT 'empty, or the end of those listed: failed, timeout, cancelled, partial or skipped',
    at           DateTime64(3, 'UTC') COMMENT 'first seen, or ended where a state is given',
    source       LowCardinality(String) COMMENT 'orchestrator or tool that reported it',
    execution_id String COMMENT 'run that the task belongs to',
    listed_task  LowCardinality(String) COMMENT 'the task, also in the list of the workspace',
    map_index    Int32 COMMENT 'index of one instance of a mapped task, -1 where it is not mapped',
    attempt      UInt32 COMMENT 'attempt of the task',
    error_type   LowCardinality(String) COMMENT 'class of the error, where a state is given'
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, task_id, state, at, source, execution_id, listed_task, map_index, attempt, error_type)
SETTINGS index_granularity = 1024, merge_with_ttl_timeout = 86400
COMMENT 'Attempts of tasks by time, to be checked against task_attempts. Shard key: workspace, task_id.';
