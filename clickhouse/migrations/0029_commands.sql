-- What orchestrators were asked to do and what they answered: every record of the topic of commands that can be read is a
-- row here, kept for ever, as it is part of the audit trail. A record is keyed by its place in the log, so whatever is
-- read again is the same row; the time of the record keeps places apart of a topic that was deleted and made again. A
-- command leads the key, because its records are only ever asked for together. A request that was approved comes a
-- second time; what became of a command is told by its answers in the order of the log, which is that of one partition.
CREATE TABLE IF NOT EXISTS commands
(
    workspace         LowCardinality(String) COMMENT 'tenant that the command belongs to',
    command_id        String                 COMMENT 'id of the command',
    record            LowCardinality(String) COMMENT 'request or outcome: which of the two the record is',
    source            LowCardinality(String) COMMENT 'system that holds the target',
    kind              LowCardinality(String) COMMENT 'request: cancel, retry, restart_task, pause, resume, scale_pool, change_concurrency or apply_optimization',
    orchestrator_id   String                 COMMENT 'request: orchestrator that should act, empty for any that knows the target',
    workflow_id       String                 COMMENT 'request: workflow to act on, empty where none',
    execution_id      String                 COMMENT 'request: execution to act on, empty where none',
    task_id           String                 COMMENT 'request: task to act on, empty where none',
    map_index         Int32                  COMMENT 'request: index of one instance of a mapped task, -1 where it is not mapped',
    pool_id           String                 COMMENT 'request: worker pool to act on, empty where none',
    queue_id          String                 COMMENT 'request: queue to act on, empty where none',
    optimization_id   String                 COMMENT 'request: optimisation plan to apply, empty where none',
    parameters        String                 COMMENT 'request: parameters of the kind, JSON',
    idempotency_key   String                 COMMENT 'request: key under which a repeated request is the same command, empty where none',
    requested_by      String                 COMMENT 'request: person, key or rule that asks',
    reason            String                 COMMENT 'request: why, empty where not said',
    requested_at      DateTime64(3, 'UTC')   COMMENT 'request: when it was asked for; 1970 in an outcome',
    expires_at        DateTime64(3, 'UTC')   COMMENT 'request: after which it must not be carried out any more; 1970 in an outcome',
    approval_required Bool                   COMMENT 'request: a person must agree before it is carried out',
    approved_by       String                 COMMENT 'request: who agreed, empty where nobody has',
    approved_at       Nullable(DateTime64(3, 'UTC')) COMMENT 'request: when that was',
    dry_run           Bool                   COMMENT 'request: only to be checked',
    outcome           LowCardinality(String) COMMENT 'outcome: accepted, rejected, done, failed or expired',
    message           String                 COMMENT 'outcome: explanation for people',
    reported_by       String                 COMMENT 'outcome: orchestrator or service that answers',
    at                DateTime64(3, 'UTC')   COMMENT 'outcome: when it was; of a request the same as requested_at',
    result            String                 COMMENT 'outcome: what the action returned, JSON; empty where nothing',
    topic             LowCardinality(String) COMMENT 'Kafka topic',
    partition         UInt32                 COMMENT 'Kafka partition',
    offset            UInt64                 COMMENT 'Kafka offset',
    record_time       DateTime64(3, 'UTC')   COMMENT 'Kafka timestamp of the record',
    INDEX record_time_range record_time TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, command_id, topic, partition, record_time, offset)
COMMENT 'Requests to orchestrators and their outcomes, record by record; kept for ever. Shard key: workspace, command_id.';
