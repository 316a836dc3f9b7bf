import type { TaskRecord } from '../../schemas/records.ts';
import { encodeTaskEvent } from '../../schemas/wire.ts';
import { createRandom } from './random.ts';

/**
 * Large backlogs of task records, cheap to make: values are encoded once and only the bytes that tell one record
 * from another are written into copies of them. For benches and tests of volume; the demo is the realistic one.
 *
 * Every execution is one start and one end of each of its tasks, in order, so that what a pipeline must find in a
 * backlog is known: half of the records are starts, half are completed ends that say when they began.
 */
export interface BacklogOptions {
  records: number;
  /** Share of executions whose records are in Avro; the others are JSON. */
  avroRatio: number;
  seed: number;
  /** Event time of the first record; the backlog then spans `spanMs`. */
  startMs: number;
  spanMs: number;
  /** Distinct workflows, each with eight tasks: together with the span they set the number of cells. */
  workflows: number;
}

const backlogDefaults = {
  avroRatio: 1,
  seed: 1,
  spanMs: 30 * 60_000,
  workflows: 10,
} as const satisfies Partial<BacklogOptions>;

/** The same shape as a Kafka message. */
export interface BacklogRecord {
  key: string;
  value: Buffer;
  timestampMs: number;
}

const tasksPerExecution = 8;
const recordsPerExecution = 2 * tasksPerExecution;
// Stand-ins that appear in the encoded template and nowhere else, of exactly the width of what replaces them.
const idDigits = 10;
const idMark = '#'.repeat(idDigits);
const timeMarks = { event: 1_111_111_111_111, started: 1_222_222_222_222 } as const;

/** Makes `records` records in the order in which they are to be sent. */
export function* createBacklog(
  given: Partial<BacklogOptions> & Pick<BacklogOptions, 'records' | 'startMs'>,
): Generator<BacklogRecord, void, void> {
  const options: BacklogOptions = { ...backlogDefaults, ...given };
  const random = createRandom(options.seed);
  const templates = new Map<number, Fill[]>();
  // Made when they are first needed: of a hundred thousand workflows few run in a short backlog.
  const templatesOf = (workflow: number, encoding: 'avro' | 'json') => {
    const key = workflow * 2 + (encoding === 'avro' ? 0 : 1);
    const known = templates.get(key) ?? makeTemplates(workflow, encoding);
    templates.set(key, known);
    return known;
  };
  const msBetweenExecutions = (options.spanMs * recordsPerExecution) / options.records;
  for (let made = 0, execution = 0; made < options.records; execution++) {
    const startedMs = Math.floor(options.startMs + execution * msBetweenExecutions);
    const digits = String(execution).padStart(idDigits, '0');
    const workflow = random.below(options.workflows);
    const fill = templatesOf(workflow, random.next() < options.avroRatio ? 'avro' : 'json');
    for (let index = 0; index < recordsPerExecution && made < options.records; index++, made++) {
      const task = index >> 1;
      const isEnd = (index & 1) === 1;
      const begunMs = startedMs + task * 10;
      const eventMs = isEnd ? begunMs + 1 + random.below(5_000) : begunMs;
      yield { key: `run-${digits}`, value: fill[index](digits, eventMs, begunMs), timestampMs: eventMs };
    }
  }
}

type Fill = (idDigits: string, eventMs: number, startedMs: number) => Buffer;

function makeTemplates(workflow: number, encoding: 'avro' | 'json'): Fill[] {
  return Array.from({ length: recordsPerExecution }, (_, index) => {
    const record = templateRecord(workflow, index >> 1, (index & 1) === 1);
    return encoding === 'avro' ? avroTemplate(record) : jsonTemplate(record);
  });
}

function templateRecord(workflow: number, task: number, isEnd: boolean): TaskRecord {
  return {
    workspace: 'default',
    project: 'bench',
    source: 'bench',
    workflow_id: `workflow-${workflow}`,
    workflow_version: '1',
    execution_id: `run-${idMark}`,
    task_id: `task-${task}`,
    task_type: 'compute',
    attempt: 1,
    state: isEnd ? 'completed' : 'running',
    event_time: timeMarks.event,
    pool: `pool-${task % 3}`,
    queue: 'default',
    worker_id: `worker-${workflow}-${task}`,
    operator: 'ContainerOperator',
    region: 'eu-central',
    ...(isEnd ? { started_at: timeMarks.started, cost: 0.00125, cpu_ms: 812.5, memory_peak_bytes: 268_435_456 } : {}),
  };
}

/** Copies the template and writes id and times into the copy. */
function jsonTemplate(record: TaskRecord): Fill {
  const template = Buffer.from(JSON.stringify(record));
  const idAt = template.indexOf(idMark);
  const eventAt = template.indexOf(String(timeMarks.event));
  const startedAt = template.indexOf(String(timeMarks.started));
  return (digits, eventMs, startedMs) => {
    const value = copyOf(template);
    value.write(digits, idAt, 'latin1');
    value.write(String(eventMs), eventAt, 'latin1');
    if (startedAt >= 0) value.write(String(startedMs), startedAt, 'latin1');
    return value;
  };
}

function avroTemplate(record: TaskRecord): Fill {
  const template = encodeTaskEvent(record);
  const idAt = template.indexOf(idMark);
  const eventAt = template.indexOf(zigZag(timeMarks.event));
  const startedAt = template.indexOf(zigZag(timeMarks.started));
  return (digits, eventMs, startedMs) => {
    const value = copyOf(template);
    value.write(digits, idAt, 'latin1');
    writeZigZag(value, eventAt, eventMs);
    if (startedAt >= 0) writeZigZag(value, startedAt, startedMs);
    return value;
  };
}

function copyOf(template: Buffer): Buffer {
  const copy = Buffer.allocUnsafe(template.length);
  template.copy(copy);
  return copy;
}

/** Avro longs of this size take six bytes until the year 2039, so one can replace another in place. */
const zigZagBytes = 6;

function zigZag(value: number): Buffer {
  const bytes = Buffer.alloc(zigZagBytes);
  writeZigZag(bytes, 0, value);
  return bytes;
}

function writeZigZag(out: Buffer, at: number, value: number): void {
  let rest = value * 2;
  for (let index = 0; index < zigZagBytes; index++) {
    const low = rest % 128;
    rest = (rest - low) / 128;
    out[at + index] = index < zigZagBytes - 1 ? low | 0x80 : low;
  }
}
