-- Completed executions are listed by their end, as those that ended otherwise are. They were looked for in the list of all by when they were
-- first seen, where everything that runs stands before them and had to be looked up each time. What was written before is listed here.
ALTER TABLE execution_list COMMENT COLUMN state 'empty, or the end of those listed: completed, failed, timeout, cancelled or partial';
INSERT INTO execution_list (workspace, workflow_id, state, at, source, execution_id, error_type)
SELECT workspace, arrayJoin(['', tupleElement(workflow, 'workflow_id')]), 'completed',
    fromUnixTimestamp64Milli(toInt64(bitAnd(tupleElement(last_end, 'rank'), 8796093022207)), 'UTC'), source, execution_id, tupleElement(last_end, 'error_type')
FROM executions WHERE tupleElement(last_end, 'state') = 'completed' SETTINGS final = 0;
