-- Hours and days of what orchestrators report, made from the minutes by the roll-up job like those of executions and tasks.
-- Of counters and states they keep the first and the last reading and what happened between them, with which windows
-- can be put side by side: a counter grows within a window by the sum of its steps from one reading to the next, where
-- a reading below the one before is a new beginning and adds itself; a state counts how often it changed.
CREATE TABLE IF NOT EXISTS orchestrator_hours
(
    workspace       LowCardinality(String) COMMENT 'tenant that owns the record',
    project         LowCardinality(String) COMMENT 'project within the workspace, empty where none',
    source          LowCardinality(String) COMMENT 'system that reported it; ids are unique within workspace and source',
    kind            LowCardinality(String) COMMENT 'kind of report: orchestrator_metrics, worker_pool, worker, scheduling_decision, queue_metrics, coordination_event, load_balancing, scaling_event',
    orchestrator_id LowCardinality(String) COMMENT 'orchestrator the report is about',
    pool_id         LowCardinality(String) COMMENT 'worker pool, of a decision the one that was chosen; empty where the report is about none',
    subject         String COMMENT 'instance of an orchestrator (orchestrator_metrics, coordination_event), worker or queue; empty for other kinds',
    measure         LowCardinality(String) COMMENT 'column of the report that the values are taken from, or reports, oldest_age_us, heartbeat_age_us, health_state',
    label           LowCardinality(String) COMMENT 'of the measure reports: health, status, algorithm, type of event or action; empty for other measures',
    outcome         LowCardinality(String) COMMENT 'of the measure reports: what came of it, of scaling succeeded, failed or unknown; empty for other measures',
    window_start    DateTime('UTC') COMMENT 'start of the window, UTC',
    ver             UInt128 COMMENT 'version of the job''s code * 2^96 + the sum, over the cells, of fold_version * 2^32 + offsets of the chunk folded so far',
    n               Int64 COMMENT 'reports that say something of the measure',
    value_sum       Decimal(38, 6) COMMENT 'sum of the values of a gauge, in its unit; 0 for counters, states and reports',
    value_min       Nullable(Decimal(38, 6)) COMMENT 'least value of a gauge',
    value_max       Nullable(Decimal(38, 6)) COMMENT 'greatest value of a gauge',
    value_hist      Map(Int16, Int64) COMMENT 'counts of a gauge by log bucket k = ceil(ln(value) / ln(1.01/0.99)), -32768 for zero and less; only where percentiles make sense',
    first           Tuple(at DateTime64(3, 'UTC'), offset UInt64, value Decimal(38, 6)) COMMENT 'earliest reading of a counter or a state: its instant, its Kafka offset, and its value; 1970 for other measures',
    last            Tuple(at DateTime64(3, 'UTC'), offset UInt64, value Decimal(38, 6)) COMMENT 'latest report: its instant, its Kafka offset, and its value',
    increase        Decimal(38, 6) COMMENT 'by how much a counter grew from the first to the last reading, through resets; how often a state changed',
    written_at      DateTime DEFAULT now() COMMENT 'when this row was written; only the roll-up job and the retention look at it',
    INDEX written_at_range written_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(window_start)
ORDER BY (workspace, kind, orchestrator_id, pool_id, subject, measure, label, outcome, project, source, window_start)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Hours of orchestrators. Shard key: the dimensions.';

CREATE TABLE IF NOT EXISTS orchestrator_days AS orchestrator_hours
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYear(window_start)
ORDER BY (workspace, kind, orchestrator_id, pool_id, subject, measure, label, outcome, project, source, window_start)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Days of orchestrators. Shard key: the dimensions.';
