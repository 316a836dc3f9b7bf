-- How far the roll-up job has come with each table that it fills. A row says something that is true whoever wrote it
-- and whatever other instances of the job do at the same time, so any of them may be kept; it is the one that has come
-- furthest. The table is read whole: it has a row for each table and version of the job.
CREATE TABLE IF NOT EXISTS rollup_cursors
(
    target       LowCardinality(String) COMMENT 'table that the job fills',
    job_version  UInt32                 COMMENT 'version of the job''s code; a new one begins anew',
    boundary     DateTime('UTC')        COMMENT 'every window that starts before this instant has its rows; later ones are read from the finer table',
    read_through DateTime('UTC')        COMMENT 'all that was written up to this instant, less an overlap that is read again, is in the windows before the boundary',
    complete_at  DateTime('UTC')        COMMENT 'start of the last run that left nothing to do',
    ver          UInt64                 COMMENT 'boundary * 2^32 + read_through, in seconds'
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (target, job_version)
COMMENT 'Progress of the roll-up job. Shard key: target.';

-- The job asks every few seconds which cells were written lately. Without these it would read the whole column each
-- time; with them it reads the parts that were. Fold versions differ only after an upgrade of the fold.
ALTER TABLE execution_cells ADD INDEX IF NOT EXISTS written_at_range written_at TYPE minmax GRANULARITY 1;
ALTER TABLE execution_cells ADD INDEX IF NOT EXISTS fold_version_range fold_version TYPE minmax GRANULARITY 1;
ALTER TABLE task_cells ADD INDEX IF NOT EXISTS written_at_range written_at TYPE minmax GRANULARITY 1;
ALTER TABLE task_cells ADD INDEX IF NOT EXISTS fold_version_range fold_version TYPE minmax GRANULARITY 1;
ALTER TABLE execution_cells MATERIALIZE INDEX written_at_range;
ALTER TABLE execution_cells MATERIALIZE INDEX fold_version_range;
ALTER TABLE task_cells MATERIALIZE INDEX written_at_range;
ALTER TABLE task_cells MATERIALIZE INDEX fold_version_range;
