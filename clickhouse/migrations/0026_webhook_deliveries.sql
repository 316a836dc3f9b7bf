-- What became of telling people: one row for each change of an alert and each webhook that wanted it. Whoever sends writes
-- the row again after each try, so that a restart goes on with the tries that are left and tells nobody twice what was
-- delivered; what was given up stays as a dead letter. Rows are looked up by subscription and change, which are the key;
-- pages by time read one workspace, which has a few thousand of them a day at the very most.
CREATE TABLE IF NOT EXISTS webhook_deliveries
(
    workspace       LowCardinality(String) COMMENT 'tenant that the subscription and the alert belong to',
    subscription_id String                 COMMENT 'webhook that was to be told',
    notification_id String                 COMMENT 'change that it was to be told of',
    delivery_id     String                 COMMENT 'request that carried the change, alone or with others; receivers drop repeats by it',
    event           LowCardinality(String) COMMENT 'alert.firing, alert.resolved, ...',
    alert_id        String                 COMMENT 'alert that changed',
    rule_id         LowCardinality(String) COMMENT 'rule of that alert',
    severity        LowCardinality(String) COMMENT 'severity of the alert when it changed',
    status          LowCardinality(String) COMMENT 'retrying, delivered, dead (given up after the last try) or dropped (the subscription was removed or disabled)',
    attempts        UInt32                 COMMENT 'tries so far',
    http_status     UInt32                 COMMENT 'status that the last try was answered with, 0 where it was not answered',
    last_error      String                 COMMENT 'why the last try failed, in words; empty where it did not',
    changed_at      DateTime64(3, 'UTC')   COMMENT 'when the alert changed',
    first_tried_at  DateTime64(3, 'UTC')   COMMENT 'when it was first taken up',
    last_tried_at   DateTime64(3, 'UTC')   COMMENT 'when this row was written: after the last try',
    ver             UInt64                 COMMENT 'attempts * 2, and one more for an end: a later try wins, and an end is never undone'
)
ENGINE = ReplacingMergeTree(ver)
ORDER BY (workspace, subscription_id, notification_id)
COMMENT 'Deliveries to webhooks and what became of them; read with FINAL. Shard key: workspace.';
