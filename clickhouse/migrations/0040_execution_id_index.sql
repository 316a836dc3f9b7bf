-- A page names its executions one by one, and ids lie scattered over the table. In every part the sorting key finds the
-- granule in which an id would stand; this index leaves out those that do not hold any of the ids asked for, so that
-- what a page reads does not grow with the number of parts. One wrong yes in a thousand, because a granule is asked for
-- all ids of a page: at one in a hundred about half of those that hold none would be read.
ALTER TABLE executions ADD INDEX IF NOT EXISTS execution_ids execution_id TYPE bloom_filter(0.001) GRANULARITY 1;
ALTER TABLE task_attempts ADD INDEX IF NOT EXISTS execution_ids execution_id TYPE bloom_filter(0.001) GRANULARITY 1;
ALTER TABLE executions MATERIALIZE INDEX execution_ids;
ALTER TABLE task_attempts MATERIALIZE INDEX execution_ids;
