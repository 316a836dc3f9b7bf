-- ZSTD instead of LZ4 for what grows with the telemetry. Measured on task events whose every number is drawn apart at
-- random, with all that is made of them: 107 bytes each instead of 169 (task_events 42 of 64, task_cells 26 of 44,
-- task_attempts 17 of 26), for one to two microseconds more of CPU a row, inserted and merged. Level 1, because that is
-- what an insert can bear. Delta, GCD and T64 before it were tried column by column: they win a fifth on durations and
-- offsets and lose as much on sizes and costs, about a byte in all, which is not worth a codec at each column.
-- A setting and not codecs of columns, so that a new column needs nothing said. Parts that are there keep what they have
-- until they are merged. Bookkeeping stays as it is: it is small and asked for all the time.
ALTER TABLE execution_events MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE task_events MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE orchestrator_events MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE execution_cells MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE task_cells MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE orchestrator_cells MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE execution_hours MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE task_hours MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE orchestrator_hours MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE execution_days MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE task_days MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE orchestrator_days MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE executions MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE task_attempts MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE execution_list MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE task_list MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE drops MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE dead_letters MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE dead_letter_bytes MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE state_changes MODIFY SETTING default_compression_codec = 'ZSTD(1)';
ALTER TABLE baselines MODIFY SETTING default_compression_codec = 'ZSTD(1)';
