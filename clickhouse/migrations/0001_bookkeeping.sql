-- What the pipelines keep about their own work: the ledger of chunks, the records that became no row, and
-- how far quiet partitions have been read. Everything here is keyed by Kafka coordinates, so any insert may
-- be repeated blindly, by anyone, in any grouping.

-- The ledger. One row a chunk survives merging: the one with the highest version, which is the fold version
-- and then the position reached. Read by (stream, partition) when a partition is assigned.
CREATE TABLE IF NOT EXISTS chunks
(
    stream                LowCardinality(String) COMMENT 'topic@epoch: the log that was read',
    partition             UInt32                 COMMENT 'Kafka partition',
    chunk                 UInt64                 COMMENT 'floor(offset / chunk_records)',
    chunk_records         UInt32                 COMMENT 'offsets a chunk spans; fixed for the stream',
    fold_version          UInt32                 COMMENT 'version of the code that folded the chunk',
    first_offset          UInt64                 COMMENT 'first offset of the chunk that existed when it was folded',
    last_offset           Int64                  COMMENT 'every offset up to this one is folded and durable; first_offset - 1 when just opened',
    complete              Bool                   COMMENT 'the chunk has been folded to its end',
    stored                UInt64                 COMMENT 'records of the chunk stored as raw rows',
    dropped               UInt64                 COMMENT 'records dropped with a counted reason other than duplicate',
    dead                  UInt64                 COMMENT 'records dead-lettered',
    duplicate             UInt64                 COMMENT 'records dropped because an earlier one carries the same identity',
    lost_retention        UInt64                 COMMENT 'offsets that the topic''s retention removed before they could be read',
    max_event_time        DateTime64(3, 'UTC')   COMMENT 'largest event time accepted in the partition up to last_offset',
    watermark             DateTime64(3, 'UTC')   COMMENT 'largest event time less the bound of disorder: windows that end before it may be judged',
    max_record_time       DateTime64(3, 'UTC')   COMMENT 'largest Kafka timestamp of the partition up to last_offset',
    last_record_offset    Int64                  COMMENT 'offset of the last durable record, -1 when none',
    last_record_hash      UInt64                 COMMENT 'hash of that record''s timestamp, key and value: tells a topic that was deleted and made again',
    ver                   UInt64                 COMMENT 'fold_version * 2^48 + last_offset + 1',
    written_at            DateTime DEFAULT now() COMMENT 'when this row was written'
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (stream, partition, chunk)
COMMENT 'Ledger: how each chunk of the log was accounted for. Shard key: stream, partition.';

-- Records that were read and deliberately became no row. One row a record, so that counts can be recomputed.
CREATE TABLE IF NOT EXISTS drops
(
    workspace    LowCardinality(String) COMMENT 'workspace of the record, empty where it could not be read',
    stream       LowCardinality(String) COMMENT 'topic@epoch',
    partition    UInt32                 COMMENT 'Kafka partition',
    offset       UInt64                 COMMENT 'Kafka offset',
    record_time  DateTime64(3, 'UTC')   COMMENT 'Kafka timestamp of the record',
    reason       LowCardinality(String) COMMENT 'why it was dropped: duplicate, tombstone, ...',
    detail       String                 COMMENT 'what exactly, in words',
    fold_version UInt32                 COMMENT 'version of the code that dropped it'
)
ENGINE = ReplacingMergeTree(fold_version)
PARTITION BY toYYYYMM(record_time)
ORDER BY (stream, partition, offset)
COMMENT 'Dropped records with their reason. Shard key: stream, partition.';

-- Records that could not be understood or believed. Readers see a redacted excerpt; the original bytes, which
-- may hold secrets, stand in a table of their own that no reader or API user may select from.
CREATE TABLE IF NOT EXISTS dead_letters
(
    workspace    LowCardinality(String) COMMENT 'workspace of the record, empty where it could not be read',
    stream       LowCardinality(String) COMMENT 'topic@epoch',
    topic        LowCardinality(String) COMMENT 'Kafka topic',
    partition    UInt32                 COMMENT 'Kafka partition',
    offset       UInt64                 COMMENT 'Kafka offset',
    record_time  DateTime64(3, 'UTC')   COMMENT 'Kafka timestamp of the record',
    reason       LowCardinality(String) COMMENT 'machine-readable reason',
    detail       String                 COMMENT 'what was wrong, where, and what to do',
    excerpt      String                 COMMENT 'the beginning of the record, secrets removed',
    key_bytes    UInt32                 COMMENT 'size of the key in bytes',
    value_bytes  UInt32                 COMMENT 'size of the value in bytes',
    fold_version UInt32                 COMMENT 'version of the code that rejected it'
)
ENGINE = ReplacingMergeTree(fold_version)
PARTITION BY toYYYYMM(record_time)
ORDER BY (stream, partition, offset)
COMMENT 'Rejected records with reason, origin and a redacted excerpt. Shard key: stream, partition.';

CREATE TABLE IF NOT EXISTS dead_letter_bytes
(
    stream       LowCardinality(String) COMMENT 'topic@epoch',
    partition    UInt32                 COMMENT 'Kafka partition',
    offset       UInt64                 COMMENT 'Kafka offset',
    record_time  DateTime64(3, 'UTC')   COMMENT 'Kafka timestamp of the record',
    key          Nullable(String)       COMMENT 'original key bytes',
    value        Nullable(String)       COMMENT 'original value bytes',
    headers      Array(Tuple(name String, value String)) COMMENT 'original headers',
    fold_version UInt32                 COMMENT 'version of the code that rejected it'
)
ENGINE = ReplacingMergeTree(fold_version)
PARTITION BY toYYYYMM(record_time)
ORDER BY (stream, partition, offset)
COMMENT 'Original bytes of rejected records, for replay. Not for readers. Shard key: stream, partition.';

-- A partition without traffic would hold back judgement for ever; its owner says here up to when it was quiet.
-- These rows move judging only, never counting, and evaluators take the largest value they ever saw.
CREATE TABLE IF NOT EXISTS idle_partitions
(
    stream       LowCardinality(String)                   COMMENT 'topic@epoch',
    partition    UInt32                                   COMMENT 'Kafka partition',
    log_end      UInt64                                   COMMENT 'log end offset at which the partition stood',
    idle_through DateTime64(3, 'UTC') DEFAULT now64(3) - toIntervalSecond(30) COMMENT 'the partition holds nothing unread before this instant; the server''s clock less the bound of disorder'
)
ENGINE = MergeTree
ORDER BY (stream, partition, log_end, idle_through)
COMMENT 'How far quiet partitions have been read. Shard key: stream, partition.';
