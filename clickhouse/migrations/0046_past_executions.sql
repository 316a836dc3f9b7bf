-- What one execution learns from: the newest of its workflow that have ended, as the job of analyses last read them. Whoever asks for
-- the critical path or the end of an execution reads one row rather than a thousand records of some sixty others. One row holds tens of
-- kilobytes, so granules are small. Where they would be more than a megabyte, nothing is told of any of them.
CREATE TABLE IF NOT EXISTS past_executions
(
    workspace   LowCardinality(String)   COMMENT 'tenant that owns the workflow',
    workflow_id LowCardinality(String)   COMMENT 'definition that ran',
    source      LowCardinality(String)   COMMENT 'system that reported it; ids are unique within workspace and source',
    project     LowCardinality(String)   COMMENT 'project within the workspace',
    executions  UInt32                   COMMENT 'executions that were looked at, the newest ones',
    told        String                   COMMENT 'when they and their tasks happened and what waited for what, as JSON of lists that the service reads' CODEC(ZSTD(3)),
    computed_at DateTime64(3, 'UTC')     COMMENT 'when it was computed'
)
ENGINE = ReplacingMergeTree(computed_at)
ORDER BY (workspace, workflow_id, source)
SETTINGS index_granularity = 16
COMMENT 'What an execution learns from: the newest of its workflow that have ended; read with FINAL. Shard key: workspace, workflow_id.';
