-- What was not told of an execution or of an attempt besides how it went: one bit for each group of columns of the raw tables that none of its
-- records fills. Most records fill few of them, and who looks at an execution asks for no others. Of what was written before nothing is known, so
-- that all of it is asked for.
ALTER TABLE executions ADD COLUMN IF NOT EXISTS untold SimpleAggregateFunction(groupBitAnd, UInt32)
    COMMENT 'details that none of its own records tells: 1 progress, 2 trigger, 4 context, 8 resources, 16 outcome, 32 payloads' AFTER last_event_at;
ALTER TABLE task_attempts ADD COLUMN IF NOT EXISTS untold SimpleAggregateFunction(groupBitAnd, UInt32)
    COMMENT 'details that none of its records tells: 8 resources, 16 outcome, 32 payloads, 64 order' AFTER last_event_at;
