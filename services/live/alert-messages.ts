import { redactText } from '../../pipelines/redact.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import { toInstant } from './run-messages.ts';

const instants = [
  'window_start',
  'window_end',
  'event_time',
  'first_pending_at',
  'fired_at',
  'acknowledged_at',
  'resolved_at',
] as const;

/** An alert under the names of its record, its instants as text. Titles quote telemetry, so secrets are looked for again. */
export function describeAlert(record: AlertRecord): Record<string, unknown> {
  const { workspace: _, ...told } = record;
  const times = instants.map((name) => [name, record[name] == null ? null : toInstant(record[name])]);
  return {
    ...told,
    previous_state: record.previous_state ?? null,
    title: redactText(record.title),
    description: record.description == null ? null : redactText(record.description),
    recommendations: (record.recommendations ?? []).map(redactText),
    ...Object.fromEntries(times),
  };
}
