-- State that people make: rules, silences, acknowledgements, definitions, plans. The log is a topic of one partition that
-- is kept for ever; every record of it that can be read is a row of state_changes, in which nothing is ever replaced by
-- anything but itself. It is the audit trail, and where reading goes on after a restart: up to its newest row of
-- a stream everything is durable, because entries are written before their changes.
-- An entry leads the key: its history, and what it was at any place of the log, are read as one range.
CREATE TABLE IF NOT EXISTS state_changes
(
    workspace         LowCardinality(String) COMMENT 'tenant that owns the entry',
    collection        LowCardinality(String) COMMENT 'kind of entry: silences, workflow-definitions, ...',
    key               String                 COMMENT 'id of the entry within its collection',
    ver               UInt64                 COMMENT 'revision: epoch of the topic * 2^48 + offset',
    stream            LowCardinality(String) COMMENT 'topic@epoch: the log the record was read from',
    partition         UInt32                 COMMENT 'Kafka partition',
    offset            UInt64                 COMMENT 'Kafka offset',
    record_time       DateTime64(3, 'UTC')   COMMENT 'Kafka timestamp of the record',
    record_hash       UInt64                 COMMENT 'hash of the record''s timestamp, key and value: tells a topic that was deleted and made again',
    outcome           LowCardinality(String) COMMENT 'applied, conflict (the author had not seen the newest revision) or repeated (the request had changed the entry before)',
    previous_ver      UInt64                 COMMENT 'revision of the entry before the change, 0 where there was none',
    expected_ver      Nullable(UInt64)       COMMENT 'revision that the author had seen, 0 for none; NULL where it did not matter',
    deleted           Bool                   COMMENT 'the change removes the entry',
    value             String                 COMMENT 'whole new value, JSON; empty for a removal',
    value_version     UInt32                 COMMENT 'version of the shape of value',
    changed_by        String                 COMMENT 'person, key or service that made the change',
    changed_at        DateTime64(3, 'UTC')   COMMENT 'when it was made, by the clock of who made it',
    reason            String                 COMMENT 'why, empty where not said',
    request_id        String                 COMMENT 'request that made the change, empty where not said',
    INDEX ver_range ver TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, collection, key, ver)
COMMENT 'Every change of state that people made, whether it counted or not; kept for ever. Shard key: workspace.';

-- What entries are now: their newest change that counted. Removed entries stay as a row, so that nothing older returns.
CREATE TABLE IF NOT EXISTS state
(
    workspace         LowCardinality(String) COMMENT 'tenant that owns the entry',
    collection        LowCardinality(String) COMMENT 'kind of entry: silences, workflow-definitions, ...',
    key               String                 COMMENT 'id of the entry within its collection',
    ver               UInt64                 COMMENT 'revision: epoch of the topic * 2^48 + offset of the newest change that counted',
    deleted           Bool                   COMMENT 'the entry was removed',
    value             String                 COMMENT 'value, JSON; empty where it was removed',
    value_version     UInt32                 COMMENT 'version of the shape of value',
    changed_by        String                 COMMENT 'person, key or service that made the newest change',
    changed_at        DateTime64(3, 'UTC')   COMMENT 'when it was made, by the clock of who made it'
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (workspace, collection, key)
COMMENT 'Entries of state that people made, as they are now; read with FINAL. Shard key: workspace.';
