import type { Type } from 'avsc';
import { AvroTap, readText } from './avro-reader.ts';
import type { TaskDependencyRecord, TaskRecord } from './records.ts';
import { encodeTaskEvent, taskType } from './wire.ts';

/**
 * Reads what was written with our own schema of task events, field by field in its order: most records of a busy fleet are
 * such, most of their fields are absent, and the library goes through a method of a type for each of them and makes an
 * object of ninety fields. The record it fills is used again for the next one. Whatever is unusual is left to the library,
 * so that there is one way to tell what is wrong with a record.
 */
const tap = new AvroTap();

interface FieldType {
  name: string;
  type: { _read(tap: AvroTap): unknown };
}
const { fields } = taskType as Type & { fields: FieldType[] };
const readerOf = (name: string) => fields.find((field) => field.name === name)?.type as FieldType['type'];
const tags = readerOf('tags');
const labels = readerOf('labels');
const redactedFields = readerOf('redacted_fields');
const dependencies = readerOf('dependencies');
const dependents = readerOf('dependents');

const noTexts: string[] = [];
const noLabels: Record<string, string> = {};
const noDependencies: TaskDependencyRecord[] = [];

/** Of a union of null and one other branch: 0 and 1, which are written as 0 and 2. */
function isPresent(): boolean {
  const branch = tap.buf[tap.pos++];
  if (branch === 0) return false;
  if (branch !== 2) throw unusual;
  return true;
}

const readOptionalText = () => (isPresent() ? readText(tap) : null);
const readOptionalDouble = () => (isPresent() ? tap.readDouble() : null);
const readOptionalLong = () => (isPresent() ? readLong() : null);
const readOptionalBoolean = () => (isPresent() ? readBoolean() : null);

function readLong(): number {
  const long = tap.readLong();
  if (!Number.isSafeInteger(long)) throw unusual;
  return long;
}

function readBoolean(): boolean {
  const byte = tap.buf[tap.pos++] as number;
  if (byte > 1) throw unusual;
  return byte === 1;
}

/** Nearly all lists and maps are empty: one block of no items. */
function readContainer<Value>(type: FieldType['type'], empty: Value): Value {
  if (tap.buf[tap.pos] !== 0) return type._read(tap) as Value;
  tap.pos++;
  return empty;
}

const unusual = new Error('left to the library');

const fingerprintedAt = 10;
const nobody: TaskRecord = { workflow_id: '', execution_id: '', task_id: '', state: '', event_time: 0 };
/** Made by the library, so that records have one shape whoever reads them. */
const record = taskType.fromBuffer(encodeTaskEvent(nobody).subarray(fingerprintedAt)) as TaskRecord;

/**
 * The record that stands from `start` to the end of the bytes, valid until the next one is read. Null where the library has
 * to be asked: it then says what is wrong, or that nothing is.
 */
export function readTask(bytes: Buffer, start: number): TaskRecord | null {
  tap.buf = bytes as AvroTap['buf'];
  tap.pos = start;
  try {
    fillRecord();
  } catch {
    return null;
  }
  // Reading beyond the end is found out here, as the library does it.
  return tap.pos === bytes.length ? record : null;
}

function fillRecord(): void {
  record.workspace = readText(tap);
  record.project = readOptionalText();
  record.source = readText(tap);
  record.source_version = readOptionalText();
  record.workflow_id = readText(tap);
  record.workflow_name = readOptionalText();
  record.workflow_version = readOptionalText();
  record.execution_id = readText(tap);
  record.task_id = readText(tap);
  record.task_name = readOptionalText();
  record.task_type = readOptionalText();
  record.map_index = readLong();
  record.attempt = readLong();
  record.state = readText(tap);
  record.event_time = readLong();
  record.scheduled_at = readOptionalLong();
  record.queued_at = readOptionalLong();
  record.ready_at = readOptionalLong();
  record.dispatched_at = readOptionalLong();
  record.started_at = readOptionalLong();
  record.duration_ms = readOptionalDouble();
  record.queue_ms = readOptionalDouble();
  record.cost = readOptionalDouble();
  record.cpu_ms = readOptionalDouble();
  record.memory_peak_bytes = readOptionalDouble();
  record.cpu_allocated_cores = readOptionalDouble();
  record.memory_allocated_bytes = readOptionalDouble();
  record.storage_bytes = readOptionalDouble();
  record.network_bytes = readOptionalDouble();
  record.environment = readOptionalText();
  record.region = readOptionalText();
  record.correlation_id = readOptionalText();
  record.error_type = readOptionalText();
  record.error_code = readOptionalText();
  record.error_message = readOptionalText();
  record.error_stack = readOptionalText();
  record.cancel_reason = readOptionalText();
  record.retry_reason = readOptionalText();
  record.input = readOptionalText();
  record.input_bytes = readOptionalDouble();
  record.input_truncated = readBoolean();
  record.output = readOptionalText();
  record.output_bytes = readOptionalDouble();
  record.output_truncated = readBoolean();
  record.tags = readContainer(tags, noTexts);
  record.labels = readContainer(labels, noLabels);
  record.redacted_fields = readContainer(redactedFields, noTexts);
  record.step_order = readOptionalLong();
  record.loop_iteration = readOptionalLong();
  record.operator = readOptionalText();
  record.task_group = readOptionalText();
  record.orchestrator_id = readOptionalText();
  record.pool = readOptionalText();
  record.queue = readOptionalText();
  record.worker_id = readOptionalText();
  record.host = readOptionalText();
  record.priority = readOptionalDouble();
  record.trigger_rule = readOptionalText();
  record.compensates = readOptionalText();
  record.child_execution_id = readOptionalText();
  record.dependencies = readContainer(dependencies, noDependencies);
  record.dependents = readContainer(dependents, noTexts);
  record.max_attempts = readOptionalLong();
  record.retry_delay_ms = readOptionalDouble();
  record.next_retry_at = readOptionalLong();
  record.error_retryable = readOptionalBoolean();
  record.cpu_ratio_mean = readOptionalDouble();
  record.cpu_ratio_peak = readOptionalDouble();
  record.memory_mean_bytes = readOptionalDouble();
  record.io_read_ops = readOptionalDouble();
  record.io_write_ops = readOptionalDouble();
  record.io_read_bytes = readOptionalDouble();
  record.io_write_bytes = readOptionalDouble();
  record.io_wait_ms = readOptionalDouble();
  record.network_requests_sent = readOptionalDouble();
  record.network_requests_received = readOptionalDouble();
  record.network_latency_ms = readOptionalDouble();
  record.network_errors = readOptionalDouble();
  record.gc_pause_ms = readOptionalDouble();
  record.concurrency = readOptionalDouble();
  record.cache_status = readOptionalText();
  record.cache_saved_ms = readOptionalDouble();
}
