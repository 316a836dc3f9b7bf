-- A part is wide, with files for each column, from ten megabytes on, which is what a pipeline that catches up writes at once.
-- With a hundred columns it is these files that such an insert costs, hardly its rows: in one file it takes one to two
-- microseconds of CPU less a row, and questions read as much and take as long as before. Larger parts stay wide.
ALTER TABLE execution_events MODIFY SETTING min_bytes_for_wide_part = 134217728, min_rows_for_wide_part = 0;
ALTER TABLE task_events MODIFY SETTING min_bytes_for_wide_part = 134217728, min_rows_for_wide_part = 0;
ALTER TABLE orchestrator_events MODIFY SETTING min_bytes_for_wide_part = 134217728, min_rows_for_wide_part = 0;
ALTER TABLE task_attempts MODIFY SETTING min_bytes_for_wide_part = 134217728, min_rows_for_wide_part = 0;
