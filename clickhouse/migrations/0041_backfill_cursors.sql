-- How far tables have been made anew from raw rows, by a command that somebody runs. A run goes from the newest day back
-- and reads the rows of a day by their key, so what is done is told by the day and the last key. Of one run the row
-- that has read most stays. The table is read whole: it has a row for each run.
CREATE TABLE IF NOT EXISTS backfill_cursors
(
    backfill   LowCardinality(String) COMMENT 'what is made anew: entities',
    began_at   DateTime64(3, 'UTC')   COMMENT 'when the run began; tells runs apart',
    kind       LowCardinality(String) COMMENT 'whose raw rows are read now: executions, then tasks',
    day        String                 COMMENT 'day of the event that is read now, UTC; days after it are done',
    last_key   String                 COMMENT 'key of the last row of that day that is done, as JSON; empty before the first',
    rows_read  UInt64                 COMMENT 'raw rows that are done',
    finished   Bool                   COMMENT 'nothing is left to do'
)
ENGINE = ReplacingMergeTree(rows_read)
ORDER BY (backfill, began_at)
COMMENT 'Progress of commands that make tables anew. Shard key: backfill.';
