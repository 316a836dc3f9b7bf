-- Whoever looks at one execution reads half a hundred columns of one granule, each of them from a file of its own in a wide part.
-- With all columns of a granule beside one another, what several executions of different days are told by one question takes a third less
-- (22 instead of 31 ms of CPU for the tasks of three), and a tenth less to write and merge. The tables become 4 percent larger, and going
-- through all of one column takes 15 percent longer, which nobody does.
ALTER TABLE execution_events MODIFY SETTING min_bytes_for_wide_part = 10737418240;
ALTER TABLE task_events MODIFY SETTING min_bytes_for_wide_part = 10737418240;
