-- Hours and days of tasks, built like those of executions.
CREATE TABLE IF NOT EXISTS task_hours
(
    workspace                  LowCardinality(String) COMMENT 'tenant that owns the record',
    project                    LowCardinality(String) COMMENT 'project within the workspace, empty where none',
    source                     LowCardinality(String) COMMENT 'system that reported it; ids are unique within workspace and source',
    workflow_id                LowCardinality(String) COMMENT 'definition that ran',
    workflow_version           LowCardinality(String) COMMENT 'its version, empty where unknown',
    task_id                    LowCardinality(String) COMMENT 'task definition within the workflow',
    task_type                  LowCardinality(String) COMMENT 'compute, io, network, decision, human, wait, or what the source said',
    pool                       LowCardinality(String) COMMENT 'worker pool or slot pool',
    window_start               DateTime('UTC') COMMENT 'start of the window, UTC',
    ver                        UInt128 COMMENT 'version of the job''s code * 2^96 + the sum, over the cells, of fold_version * 2^32 + offsets of the chunk folded so far',
    contributions              Int64 COMMENT 'contributions of any kind, a removal counting as one more',
    pending                    Int64 COMMENT 'records of state pending',
    queued                     Int64 COMMENT 'records of state queued',
    suspended                  Int64 COMMENT 'records of state suspended',
    retrying                   Int64 COMMENT 'records of state retrying',
    started                    Int64 COMMENT 'things whose first start was reported',
    completed                  Int64 COMMENT 'things whose latest end is completed',
    failed                     Int64 COMMENT 'things whose latest end is failed',
    cancelled                  Int64 COMMENT 'things whose latest end is cancelled',
    timeout                    Int64 COMMENT 'things whose latest end is timeout',
    partial                    Int64 COMMENT 'things whose latest end is partial',
    skipped                    Int64 COMMENT 'things whose latest end is skipped',
    retries                    Int64 COMMENT 'attempts before the latest end',
    reopened                   Int64 COMMENT 'ends more than 7 days after an earlier end of the same thing, which stays counted',
    ends_to_join               Int64 COMMENT 'ends that came without their start',
    joined                     Int64 COMMENT 'of these, how many found their start',
    attempt_started            Int64 COMMENT 'attempts whose first start was reported',
    attempt_completed          Int64 COMMENT 'attempts whose latest end is completed',
    attempt_failed             Int64 COMMENT 'attempts whose latest end is failed',
    attempt_cancelled          Int64 COMMENT 'attempts whose latest end is cancelled',
    attempt_timeout            Int64 COMMENT 'attempts whose latest end is timeout',
    attempt_partial            Int64 COMMENT 'attempts whose latest end is partial',
    attempt_skipped            Int64 COMMENT 'attempts whose latest end is skipped',
    completed_duration_us_sum  Int64 COMMENT 'run time of things that completed: sum, microseconds',
    completed_duration_us_min  Nullable(Int64) COMMENT 'run time of things that completed: least ever contributed, microseconds',
    completed_duration_us_max  Nullable(Int64) COMMENT 'run time of things that completed: greatest ever contributed, microseconds',
    completed_duration_us_hist Map(Int16, Int64) COMMENT 'run time of things that completed: signed counts by log bucket k = ceil(ln(us) / ln(1.01/0.99)), -32768 for zero',
    other_duration_us_sum      Int64 COMMENT 'run time of things that finished otherwise: sum, microseconds',
    other_duration_us_min      Nullable(Int64) COMMENT 'run time of things that finished otherwise: least ever contributed, microseconds',
    other_duration_us_max      Nullable(Int64) COMMENT 'run time of things that finished otherwise: greatest ever contributed, microseconds',
    other_duration_us_hist     Map(Int16, Int64) COMMENT 'run time of things that finished otherwise: signed counts by log bucket k = ceil(ln(us) / ln(1.01/0.99)), -32768 for zero',
    queue_us_sum               Int64 COMMENT 'wait in the queue of things that finished: sum, microseconds',
    queue_us_min               Nullable(Int64) COMMENT 'wait in the queue of things that finished: least ever contributed, microseconds',
    queue_us_max               Nullable(Int64) COMMENT 'wait in the queue of things that finished: greatest ever contributed, microseconds',
    queue_us_hist              Map(Int16, Int64) COMMENT 'wait in the queue of things that finished: signed counts by log bucket k = ceil(ln(us) / ln(1.01/0.99)), -32768 for zero',
    attempt_duration_us_sum    Int64 COMMENT 'run time of attempts, whatever their end: sum, microseconds',
    attempt_duration_us_min    Nullable(Int64) COMMENT 'run time of attempts, whatever their end: least ever contributed, microseconds',
    attempt_duration_us_max    Nullable(Int64) COMMENT 'run time of attempts, whatever their end: greatest ever contributed, microseconds',
    attempt_duration_us_hist   Map(Int16, Int64) COMMENT 'run time of attempts, whatever their end: signed counts by log bucket k = ceil(ln(us) / ln(1.01/0.99)), -32768 for zero',
    cost_micros_n              Int64 COMMENT 'cost of finished things, millionths of the currency unit: how many reported it',
    cost_micros_sum            Int64 COMMENT 'cost of finished things, millionths of the currency unit: sum',
    cost_micros_max            Nullable(Int64) COMMENT 'cost of finished things, millionths of the currency unit: greatest ever contributed',
    cpu_us_n                   Int64 COMMENT 'CPU time of finished things, microseconds: how many reported it',
    cpu_us_sum                 Int64 COMMENT 'CPU time of finished things, microseconds: sum',
    cpu_us_max                 Nullable(Int64) COMMENT 'CPU time of finished things, microseconds: greatest ever contributed',
    memory_peak_bytes_n        Int64 COMMENT 'peak memory of finished things, bytes: how many reported it',
    memory_peak_bytes_sum      Int64 COMMENT 'peak memory of finished things, bytes: sum',
    memory_peak_bytes_max      Nullable(Int64) COMMENT 'peak memory of finished things, bytes: greatest ever contributed',
    attempt_cost_micros_n      Int64 COMMENT 'cost of all attempts, millionths of the currency unit: how many reported it',
    attempt_cost_micros_sum    Int64 COMMENT 'cost of all attempts, millionths of the currency unit: sum',
    attempt_cost_micros_max    Nullable(Int64) COMMENT 'cost of all attempts, millionths of the currency unit: greatest ever contributed',
    attempt_cpu_us_n           Int64 COMMENT 'CPU time of all attempts, microseconds: how many reported it',
    attempt_cpu_us_sum         Int64 COMMENT 'CPU time of all attempts, microseconds: sum',
    attempt_cpu_us_max         Nullable(Int64) COMMENT 'CPU time of all attempts, microseconds: greatest ever contributed',
    written_at                 DateTime DEFAULT now() COMMENT 'when this row was written; only the roll-up job and the retention look at it',
    INDEX written_at_range written_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(window_start)
ORDER BY (workspace, workflow_id, task_id, project, source, workflow_version, task_type, pool, window_start)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Hours of tasks. Shard key: the dimensions.';

CREATE TABLE IF NOT EXISTS task_days AS task_hours
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYear(window_start)
ORDER BY (workspace, workflow_id, task_id, project, source, workflow_version, task_type, pool, window_start)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Days of tasks. Shard key: the dimensions.';
