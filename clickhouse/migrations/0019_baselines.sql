-- What was usual for a workflow or task at a time: the base that scores stand on. A job publishes a generation every six
-- hours, from windows that have become final, valid from an hour after the newest of them. A row is never rewritten: who
-- computes it again, or at the same time, leaves the one that was first, so that a score can be explained by it
-- later. Read by workflow, for the newest row that was valid at an instant, so time comes last in the key.
CREATE TABLE IF NOT EXISTS baselines
(
    workspace        LowCardinality(String) COMMENT 'tenant that owns the workflow',
    source           LowCardinality(String) COMMENT 'system that reported it; ids are unique within workspace and source',
    workflow_id      LowCardinality(String) COMMENT 'definition that ran',
    workflow_version LowCardinality(String) COMMENT 'its version; empty for all versions together',
    task_id          LowCardinality(String) COMMENT 'task definition within the workflow; empty for whole executions',
    measure          LowCardinality(String) COMMENT 'duration and queue (ms, scored on the scale of their logarithm), failure_ratio, finished_per_hour',
    valid_from       DateTime('UTC')        COMMENT 'events from this instant on, until the next row, are compared with it',
    id               String                 COMMENT 'hash of everything it was computed from',
    method_version   UInt32                 COMMENT 'version of the method',
    n                UInt64                 COMMENT 'runs it was computed from; hours for finished_per_hour',
    windows          UInt32                 COMMENT 'hours with data among those it was computed from',
    windows_from     DateTime('UTC')        COMMENT 'start of the first hour that was looked at',
    windows_through  DateTime('UTC')        COMMENT 'end of the last hour that was looked at',
    center           Float64                COMMENT 'median less the season, of ln(ms), or of runs an hour; share of failed and timed out for failure_ratio',
    spread           Float64                COMMENT 'median absolute deviation from center and season; over-dispersion between hours for failure_ratio',
    p05              Float64                COMMENT 'quantile 0.05 in plain units: ms, share of failures in an hour, runs an hour',
    p25              Float64                COMMENT 'quantile 0.25',
    p50              Float64                COMMENT 'quantile 0.5',
    p75              Float64                COMMENT 'quantile 0.75',
    p95              Float64                COMMENT 'quantile 0.95',
    season           Array(Float64)         COMMENT 'added to center: one for each hour of the day (24) or of the week (168, from Monday 0:00 UTC); empty where nothing recurs',
    written_at       DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'when the row was written',
    ver              UInt64 DEFAULT 18446744073709551615 - toUnixTimestamp64Micro(written_at) COMMENT 'falls with time, so that the first row stays'
)
ENGINE = ReplacingMergeTree(ver)
PARTITION BY toYYYYMM(valid_from)
ORDER BY (workspace, workflow_id, source, workflow_version, task_id, measure, valid_from)
COMMENT 'What was usual for workflows and tasks, by time; never rewritten. Shard key: workspace, workflow_id.';

-- Written when all rows of a generation are there: the job goes on behind the newest one, and who looks a baseline
-- up knows whether a newer one may still come.
CREATE TABLE IF NOT EXISTS baseline_generations
(
    kind            LowCardinality(String)   COMMENT 'executions or tasks',
    valid_from      DateTime('UTC')          COMMENT 'valid_from of the rows of this generation',
    method_version  UInt32                   COMMENT 'version of the method',
    windows_from    DateTime('UTC')          COMMENT 'start of the first hour that was looked at',
    windows_through DateTime('UTC')          COMMENT 'end of the last hour that was looked at',
    baselines       UInt64                   COMMENT 'rows of the generation',
    written_at      DateTime DEFAULT now()   COMMENT 'when it was complete'
)
ENGINE = ReplacingMergeTree
ORDER BY (kind, valid_from)
COMMENT 'Generations of baselines that are complete. Shard key: kind.';
