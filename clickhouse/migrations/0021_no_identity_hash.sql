-- The hash of what a record says took 16 bytes a row that nothing can compress, a sixth of all that is kept of a task
-- event, and nobody read it: whether a record repeats an earlier one is decided by the fields themselves, which the row
-- has. thing_hash stays, because the pipeline reads it to know what it may have to ask about. A pipeline of an older release still names the
-- column; it waits with an alarm, and loses nothing, until it is replaced.
ALTER TABLE execution_events DROP COLUMN IF EXISTS identity_hash;
ALTER TABLE task_events DROP COLUMN IF EXISTS identity_hash;
ALTER TABLE orchestrator_events DROP COLUMN IF EXISTS identity_hash;
