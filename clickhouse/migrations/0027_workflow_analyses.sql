-- Why a workflow is slow, as it was last computed: one row for each analysis, and one more for each version where the
-- analysis is of a version. A job writes all rows of a workflow in one insert, so that they are replaced together; the
-- whole answer stands in one column, so that what is no longer found is gone with it. Views with plain columns take
-- it apart. Read by workflow, so the workflow leads the key.
CREATE TABLE IF NOT EXISTS workflow_analyses
(
    workspace         LowCardinality(String)   COMMENT 'tenant that owns the workflow',
    workflow_id       LowCardinality(String)   COMMENT 'definition that ran',
    source            LowCardinality(String)   COMMENT 'system that reported it; ids are unique within workspace and source',
    analysis          LowCardinality(String)   COMMENT 'critical_path, bottlenecks, patterns, anti_patterns, dependency_graph or prediction',
    workflow_version  LowCardinality(String)   COMMENT 'version that a dependency graph is of; empty for what is of all executions that were looked at',
    project           LowCardinality(String)   COMMENT 'project within the workspace',
    refused           String                   COMMENT 'why there is no answer, empty where there is one',
    executions        UInt32                   COMMENT 'executions that were looked at, the newest ones',
    usable_executions UInt32                   COMMENT 'those of them that are finished, with a start, an end and tasks',
    task_attempts     UInt64                   COMMENT 'attempts of tasks in these executions',
    missing_pct       Float64                  COMMENT 'attempts whose start or end nobody told, per cent',
    range_from        DateTime64(3, 'UTC')     COMMENT 'start of the first execution that was looked at',
    range_to          DateTime64(3, 'UTC')     COMMENT 'start of the last one',
    seen_until        DateTime64(3, 'UTC')     COMMENT 'newest event of the workflow when this was computed; a newer one makes it due again',
    method_version    UInt32                   COMMENT 'version of the methods; another one makes it due again',
    compute_ms        UInt32                   COMMENT 'time that all analyses of the workflow took together',
    answer            String                   COMMENT 'whole answer as JSON, as the API gives it' CODEC(ZSTD(3)),
    computed_at       DateTime64(3, 'UTC')     COMMENT 'when it was computed'
)
ENGINE = ReplacingMergeTree(computed_at)
ORDER BY (workspace, workflow_id, source, analysis, workflow_version)
SETTINGS index_granularity = 256
COMMENT 'What holds workflows up, as last computed from their newest executions; read with FINAL. Shard key: workspace, workflow_id.';
