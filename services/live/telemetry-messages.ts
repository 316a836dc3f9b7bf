import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import type { TelemetryEventName } from '../../schemas/live.ts';
import { durationMsOf, isFailure, toInstant } from './run-messages.ts';

/** Events of the telemetry family's own sockets: workflows and steps, in seconds. */
export interface TelemetryMessage {
  event: TelemetryEventName;
  data: Record<string, unknown>;
}

const completions: ReadonlySet<string> = new Set(['completed', 'partial', 'cancelled', 'skipped']);
const secondsOf = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

/** Null for what is neither a start nor an end. */
export function tellWorkflow(event: ExecutionEvent): TelemetryMessage | null {
  const { state, executionId: execution_id, workflowId: workflow_id } = event;
  const about = { execution_id, workflow_id };
  const timestamp = toInstant(event.eventTimeMs);
  if (state === 'running') return { event: 'workflow_started', data: { ...about, timestamp } };
  if (isFailure(state)) {
    return { event: 'workflow_failed', data: { ...about, error: describeError(event), timestamp } };
  }
  if (!completions.has(state)) return null;
  const duration_seconds = secondsOf(durationMsOf(event));
  return { event: 'workflow_completed', data: { ...about, status: state, duration_seconds, timestamp } };
}

export function tellStep(event: TaskEvent): TelemetryMessage | null {
  const { state, executionId: execution_id, taskId: step_id } = event;
  const about = { execution_id, step_id, step_name: event.taskName || step_id };
  const timestamp = toInstant(event.eventTimeMs);
  if (state === 'running') return { event: 'step_started', data: { ...about, timestamp } };
  if (isFailure(state)) {
    const failed = { error: describeError(event), retry_count: event.attempt - 1 };
    return { event: 'step_failed', data: { ...about, ...failed, timestamp } };
  }
  if (!completions.has(state)) return null;
  const ended = { status: state, duration_seconds: secondsOf(durationMsOf(event)), output: readJson(event.output) };
  return { event: 'step_completed', data: { ...about, ...ended, timestamp } };
}

const describeError = ({ state, error }: ExecutionEvent | TaskEvent): string => error.message || error.type || state;

/** Text that was cut is no JSON any more and stays text. */
function readJson(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
