-- Alerts, from what was judged to what people were told. A judgement says how a rule finds one window of one series; it is
-- never changed, only judged again with a higher version when the window has grown. Changes of alerts are computed from
-- judgements, acknowledgements and silences alone, so the same judgements make the same alerts with the same ids.
-- Quiet windows leave no row unless an alert of their series is open: of 20 000 series nearly all are quiet, and a
-- window that was judged without a row was quiet. Read by round, to go on after a restart, and by series.
CREATE TABLE IF NOT EXISTS alert_judgements
(
    workspace       LowCardinality(String) COMMENT 'tenant that owns the subject',
    rule_id         LowCardinality(String) COMMENT 'rule that judged: EXECUTION_STUCK, ...',
    series          String                 COMMENT 'what was judged, as a stable text of its dimensions',
    window_start    DateTime('UTC')        COMMENT 'begin of the judged window',
    ver             UInt64                 COMMENT 'contributions of the window when it was judged: a later judgement has more',
    window_end      DateTime('UTC')        COMMENT 'end of the judged window',
    round           DateTime('UTC')        COMMENT 'end of the newest window when this was judged: later than window_end for a window that was judged again',
    rule_version    UInt32                 COMMENT 'version of the rule and its settings: 1, or a hash where somebody changed it',
    verdict         LowCardinality(String) COMMENT 'breach, suspect (fires when it repeats) or quiet',
    severity        LowCardinality(String) COMMENT 'info, warning or critical',
    for_ms          UInt32                 COMMENT 'how long a breach has to last before the alert fires, milliseconds',
    source          LowCardinality(String) COMMENT 'system that the subject comes from',
    subject_kind    LowCardinality(String) COMMENT 'execution, workflow, task, queue, worker_pool, worker or orchestrator',
    subject_id      String                 COMMENT 'id of the subject',
    workflow_id     LowCardinality(String) COMMENT 'workflow of the subject, empty where it has none',
    execution_id    String                 COMMENT 'execution of the subject, empty where it has none',
    task_id         LowCardinality(String) COMMENT 'task of the subject, empty where it has none',
    orchestrator_id LowCardinality(String) COMMENT 'orchestrator of the subject, empty where it is not known',
    metric          LowCardinality(String) COMMENT 'what was measured, with the unit last',
    value           Nullable(Float64)      COMMENT 'measured value, in the unit of the metric',
    threshold       Nullable(Float64)      COMMENT 'bound that it was compared with, in the unit of the metric',
    expected        Nullable(Float64)      COMMENT 'what was usual, in the unit of the metric',
    score           Nullable(Float64)      COMMENT 'how unusual it is: robust standard deviations',
    effect          Nullable(Float64)      COMMENT 'times or share by which it differs from what was usual',
    baseline_id     String                 COMMENT 'baseline that it stands on, empty where there was none',
    cause           String                 COMMENT 'series of the same workspace that explains this one, empty where it stands for itself',
    facts           Array(String)          COMMENT 'what explains it, for people: the most telling first',
    written_at      DateTime DEFAULT now() COMMENT 'when the row was written'
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(window_start)
ORDER BY (workspace, rule_id, series, window_start, ver)
COMMENT 'How rules found windows of series: breaches, and quiet windows after them. Shard key: workspace, series.';

-- How far evaluators have come. A round is written when its judgements and changes are: whoever takes over goes on behind it.
CREATE TABLE IF NOT EXISTS alert_rounds
(
    shards        UInt32                 COMMENT 'evaluators that share the series',
    shard         UInt32                 COMMENT 'which of them, from 0',
    round         DateTime('UTC')        COMMENT 'end of the window that was judged',
    series        UInt32                 COMMENT 'series that were judged',
    breaches      UInt32                 COMMENT 'judgements that were breaches',
    changes       UInt32                 COMMENT 'changes of alerts that followed',
    duration_ms   UInt32                 COMMENT 'time that judging took, milliseconds',
    written_at    DateTime DEFAULT now() COMMENT 'when the round was complete'
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (shards, shard, round)
COMMENT 'Windows that evaluators of alerts have judged. Shard key: shard.';

-- What became of alerts: one row for each change, as it was told on the topic of alerts. Written again, a row replaces itself.
CREATE TABLE IF NOT EXISTS alert_changes
(
    workspace        LowCardinality(String)           COMMENT 'tenant that the alert belongs to',
    alert_id         String                           COMMENT 'id of the alert, the same for all its changes',
    ver              UInt64                           COMMENT 'number of the change among those of its alert: the highest is how it stands',
    notification_id  String                           COMMENT 'hash of rule, series, window and state: receivers drop repeats by it',
    source           LowCardinality(Nullable(String)) COMMENT 'system that the subject comes from',
    rule_id          LowCardinality(String)           COMMENT 'rule that fired: EXECUTION_STUCK, ...',
    rule_version     UInt32                           COMMENT 'version of the rule that judged',
    severity         LowCardinality(String)           COMMENT 'info, warning or critical',
    state            LowCardinality(String)           COMMENT 'pending, firing, acknowledged or resolved',
    previous_state   LowCardinality(Nullable(String)) COMMENT 'state before this change; NULL for a new alert',
    series           String                           COMMENT 'series that was judged, as a stable text of its dimensions',
    subject_kind     LowCardinality(String)           COMMENT 'execution, workflow, task, queue, worker_pool, worker or orchestrator',
    subject_id       String                           COMMENT 'id of the subject',
    workflow_id      LowCardinality(Nullable(String)) COMMENT 'workflow of the subject',
    execution_id     Nullable(String)                 COMMENT 'execution of the subject',
    task_id          LowCardinality(Nullable(String)) COMMENT 'task of the subject',
    orchestrator_id  LowCardinality(Nullable(String)) COMMENT 'orchestrator of the subject',
    metric           LowCardinality(Nullable(String)) COMMENT 'what was measured, with the unit last',
    value            Nullable(Float64)                COMMENT 'measured value, in the unit of the metric',
    threshold        Nullable(Float64)                COMMENT 'bound that was crossed, in the unit of the metric',
    score            Nullable(Float64)                COMMENT 'how unusual it is: robust standard deviations',
    baseline_id      Nullable(String)                 COMMENT 'baseline that it stands on',
    window_start     Nullable(DateTime64(3, 'UTC'))   COMMENT 'begin of the judged window',
    window_end       Nullable(DateTime64(3, 'UTC'))   COMMENT 'end of the judged window',
    window_version   Nullable(UInt64)                 COMMENT 'contributions of the window when it was judged',
    title            String                           COMMENT 'one line for people',
    description      Nullable(String)                 COMMENT 'explanation for people',
    recommendations  Array(String)                    COMMENT 'what may be done about it',
    labels           Map(String, String)              COMMENT 'labels for routing, by name; effects is how many other series it explains',
    event_time       DateTime64(3, 'UTC')             COMMENT 'instant of the change',
    first_pending_at Nullable(DateTime64(3, 'UTC'))   COMMENT 'when the condition was first seen',
    fired_at         Nullable(DateTime64(3, 'UTC'))   COMMENT 'when it fired',
    acknowledged_at  Nullable(DateTime64(3, 'UTC'))   COMMENT 'when a person took it',
    acknowledged_by  Nullable(String)                 COMMENT 'person who took it',
    resolved_at      Nullable(DateTime64(3, 'UTC'))   COMMENT 'when it ended',
    silenced_by      Nullable(String)                 COMMENT 'silence that keeps it quiet',
    cause_alert_id   Nullable(String)                 COMMENT 'alert that explains this one',
    written_at       DateTime DEFAULT now()           COMMENT 'when the row was written'
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(event_time)
ORDER BY (workspace, alert_id, ver, notification_id)
COMMENT 'Every change of state of every alert. Shard key: workspace, alert_id.';

-- Alerts as they stand: the newest change of each.
CREATE VIEW IF NOT EXISTS alerts AS
SELECT
    workspace,
    alert_id,
    ver,
    notification_id,
    source,
    rule_id,
    severity,
    state,
    previous_state,
    series,
    subject_kind,
    subject_id,
    workflow_id,
    execution_id,
    task_id,
    orchestrator_id,
    metric,
    value,
    threshold,
    score,
    baseline_id,
    window_start,
    window_end,
    title,
    description,
    recommendations,
    labels,
    event_time,
    first_pending_at,
    fired_at,
    acknowledged_at,
    acknowledged_by,
    resolved_at,
    silenced_by,
    cause_alert_id
FROM alert_changes FINAL
ORDER BY ver DESC
LIMIT 1 BY workspace, alert_id;
