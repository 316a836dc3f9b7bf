import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { FlushReport } from './writer.ts';

/** What a pipeline process says of itself. Labels are bounded: topics, partitions, outcomes and reasons. */
export interface PipelineMetrics {
  records: Counter<'topic' | 'outcome'>;
  rejected: Counter<'topic' | 'reason'>;
  trueLag: Gauge<'topic' | 'partition'>;
  watermark: Gauge<'topic' | 'partition'>;
  historyQuestions: Counter<'topic'>;
  lostRetention: Counter<'topic'>;
  retries: Counter<'step'>;
  blocked: Gauge<'reason'>;
  refused: Gauge<'topic' | 'partition' | 'reason'>;
  flushed(report: FlushReport): void;
}

export function createPipelineMetrics(registry: Registry, nowMs: () => number): PipelineMetrics {
  const registers = [registry];
  const flushSeconds = new Histogram({
    name: 'weir_flush_duration_seconds',
    help: 'Time from taking what was folded to the acknowledgement of its last ledger row.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const rows = new Counter({
    name: 'weir_stored_rows_total',
    help: 'Rows acknowledged by ClickHouse.',
    labelNames: ['kind'],
    registers,
  });
  let newestEventTimeMs = 0;
  new Gauge({
    name: 'weir_freshness_seconds',
    help: 'Age of the newest event that is durable and visible.',
    registers,
    collect() {
      this.set(newestEventTimeMs === 0 ? Number.NaN : Math.max(0, (nowMs() - newestEventTimeMs) / 1000));
    },
  });
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Gauge({ name, help, labelNames, registers });
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  return {
    records: counter('weir_records_total', 'Records folded, by what became of them.', ['topic', 'outcome']),
    rejected: counter('weir_rejected_total', 'Records dropped or dead-lettered, by reason.', ['topic', 'reason']),
    trueLag: gauge(
      'weir_true_lag_records',
      'Log end less what is durable. Scale on this, not on the lag of the group.',
      ['topic', 'partition'],
    ),
    watermark: gauge('weir_watermark_seconds', 'Windows that end before this instant may be judged.', [
      'topic',
      'partition',
    ]),
    historyQuestions: counter(
      'weir_history_questions_total',
      'Things no longer remembered, about which ClickHouse was asked.',
      ['topic'],
    ),
    lostRetention: counter('weir_lost_retention_total', 'Offsets that retention removed before they were read.', [
      'topic',
    ]),
    retries: counter('weir_flush_retries_total', 'Inserts that had to be repeated.', ['step']),
    blocked: gauge(
      'weir_blocked',
      '1 while a flush cannot go on: the server is away, or refuses what repeating cannot cure.',
      ['reason'],
    ),
    refused: gauge('weir_partition_refused', '1 while a partition is not read until somebody decides.', [
      'topic',
      'partition',
      'reason',
    ]),
    flushed(report) {
      flushSeconds.observe(report.durationMs / 1000);
      rows.inc({ kind: 'raw' }, report.rows);
      rows.inc({ kind: 'cell' }, report.cells);
      newestEventTimeMs = Math.max(newestEventTimeMs, report.newestEventTimeMs);
    },
  };
}
