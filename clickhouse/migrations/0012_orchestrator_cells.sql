-- Minutes of what orchestrators report, as absolute values of one chunk of the log each, like the cells of executions and
-- tasks. One row for each measure: eight kinds of reports have a hundred and fifty measures of four types, and a row for
-- all of a kind would be hundreds of columns in two dozen tables. Whoever asks names the kind and then mostly the orchestrator,
-- the pool or the one that is looked at, and a few measures of it, so these lead the key.
-- Values are decimal numbers in the unit of the measure, whose sums are exact in whatever order they are added.
CREATE TABLE IF NOT EXISTS orchestrator_cells
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
    window_start    DateTime('UTC') COMMENT 'start of the minute, UTC',
    stream          LowCardinality(String) COMMENT 'topic@epoch: the log the record was read from',
    partition       UInt32 COMMENT 'Kafka partition',
    chunk           UInt64 COMMENT 'chunk of the log these values stand for',
    fold_version    UInt32 COMMENT 'version of the code that folded the record',
    ver             UInt64 COMMENT 'fold_version * 2^48 + last folded offset + 1',
    n               Int64 COMMENT 'reports that say something of the measure',
    value_sum       Decimal(38, 6) COMMENT 'sum of the values of a gauge, in its unit; 0 for counters, states and reports',
    value_min       Nullable(Decimal(38, 6)) COMMENT 'least value of a gauge',
    value_max       Nullable(Decimal(38, 6)) COMMENT 'greatest value of a gauge',
    value_hist      Map(Int16, Int64) COMMENT 'counts of a gauge by log bucket k = ceil(ln(value) / ln(1.01/0.99)), -32768 for zero and less; only where percentiles make sense',
    last            Tuple(at DateTime64(3, 'UTC'), offset UInt64, value Decimal(38, 6)) COMMENT 'latest report: its instant, its Kafka offset, and its value',
    readings        Array(Tuple(at DateTime64(3, 'UTC'), offset UInt64, value Decimal(38, 6))) COMMENT 'every value of a counter or a state, in the order of time',
    written_at      DateTime DEFAULT now() COMMENT 'when this row was written; only the roll-up job and the retention look at it'
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toDate(window_start)
ORDER BY (workspace, kind, orchestrator_id, pool_id, subject, measure, label, outcome, project, source, window_start, stream, partition, chunk)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'Minute cells of orchestrators. Shard key: the dimensions.';
