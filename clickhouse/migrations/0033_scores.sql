-- How unusual every finished execution and task attempt was: how long it ran and waited, and what it used, each compared with
-- what was usual for its workflow or task at that time. A score is a function of the record and of the baseline that was
-- valid when it ended, and neither is ever rewritten: who computes it again leaves the same row. Read by workflow and
-- task, the newest first; what belongs to one execution is found by the index.
CREATE TABLE IF NOT EXISTS scores
(
    workspace        LowCardinality(String)   COMMENT 'tenant',
    workflow_id      LowCardinality(String)   COMMENT 'workflow of the execution',
    task_id          LowCardinality(String)   COMMENT 'task within its workflow; empty for the execution as a whole',
    measure          LowCardinality(String)   COMMENT 'duration, queue, cpu (ms) or memory (bytes)',
    ended_at         DateTime64(3, 'UTC')     COMMENT 'when it ended',
    source           LowCardinality(String)   COMMENT 'system that reported it',
    execution_id     String                   COMMENT 'run of the workflow',
    map_index        Int32                    COMMENT 'index of one instance of a mapped task, -1 where it is not mapped',
    attempt          UInt32                   COMMENT 'attempt that ended',
    workflow_version LowCardinality(String)   COMMENT 'version that ran',
    state            LowCardinality(String)   COMMENT 'how it ended',
    value            Float64                  COMMENT 'what was measured, in the unit of the measure',
    expected         Float64                  COMMENT 'what is usual at that hour, in the unit of the measure',
    low              Float64                  COMMENT 'lower end of what is usual: three deviations below',
    high             Float64                  COMMENT 'upper end of what is usual: three deviations above',
    score            Float64                  COMMENT 'robust deviations from what is usual, by the spread on that side; negative below it',
    direction        LowCardinality(String)   COMMENT 'usual, high or low',
    baseline_id      String                   COMMENT 'baseline that it stands on, in baselines or resource_baselines',
    facts            Array(String)            COMMENT 'what explains it, of what is not usual: the most telling first, three at most',
    written_at       DateTime DEFAULT now()   COMMENT 'when the row was written',
    INDEX execution execution_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toDate(ended_at)
ORDER BY (workspace, workflow_id, task_id, measure, ended_at, source, execution_id, map_index, attempt)
SETTINGS ttl_only_drop_parts = 1
COMMENT 'How unusual finished executions and attempts were. Shard key: workspace, workflow_id.';

-- Which stretches of time have their scores: whoever takes over goes on behind the newest.
CREATE TABLE IF NOT EXISTS scored_ranges
(
    shards     UInt32                 COMMENT 'instances that share the sources',
    shard      UInt32                 COMMENT 'which of them, from 0',
    through    DateTime('UTC')        COMMENT 'what ended before has its scores',
    scores     UInt64                 COMMENT 'rows that were written',
    written_at DateTime DEFAULT now() COMMENT 'when the stretch was complete'
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (shards, shard, through)
COMMENT 'Stretches of time whose ends are scored. Shard key: shard.';

-- What executions and attempts usually use of CPU and memory, by time. As baselines, which come from hours of rollups, that
-- know no shares of these; so this is computed from the records of a week, four times a day, and never rewritten.
CREATE TABLE IF NOT EXISTS resource_baselines
(
    workspace    LowCardinality(String) COMMENT 'tenant',
    source       LowCardinality(String) COMMENT 'system that reported it',
    workflow_id  LowCardinality(String) COMMENT 'definition that ran',
    task_id      LowCardinality(String) COMMENT 'task definition; empty for whole executions',
    measure      LowCardinality(String) COMMENT 'cpu (ms) or memory (bytes); scored on the scale of the logarithm',
    valid_from   DateTime('UTC')        COMMENT 'ends from this instant on, until the next row, are compared with it',
    id           String                 COMMENT 'hash of what it was computed from',
    n            UInt64                 COMMENT 'ends that it was computed from',
    center       Float64                COMMENT 'median of the logarithm',
    spread       Float64                COMMENT 'median absolute deviation from it',
    p05          Float64                COMMENT 'quantile 0.05, in the unit of the measure',
    p50          Float64                COMMENT 'quantile 0.5',
    p95          Float64                COMMENT 'quantile 0.95',
    written_at   DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'when the row was written',
    ver          UInt64 DEFAULT 18446744073709551615 - toUnixTimestamp64Micro(written_at) COMMENT 'falls with time, so that the first row stays'
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(valid_from)
ORDER BY (workspace, workflow_id, source, task_id, measure, valid_from)
COMMENT 'What was usual of CPU and memory; never rewritten. Shard key: workspace, workflow_id.';

-- Scores for Grafana and analysts: those that are not usual, with how many times what is usual they are.
CREATE VIEW IF NOT EXISTS unusual_runs AS
SELECT
    workspace,
    source,
    workflow_id,
    task_id,
    execution_id,
    map_index,
    attempt,
    ended_at,
    state,
    measure,
    value,
    expected,
    value / nullIf(expected, 0) AS times_usual,
    score,
    direction,
    facts
FROM scores FINAL
WHERE direction != 'usual';
