import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { createDecoder, type Decoder } from '../../pipelines/decode.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import { type ExecutionTrace, TraceGatherer } from './execution-trace.ts';

/**
 * Executions from a file of JSON lines, one event a line: either a bare record of the telemetry contract, or one in the
 * envelope that `npm run simulate` writes. Records are read as the pipelines read them, so that a file and a topic with
 * the same events give the same answers.
 */
export interface EventFile {
  executions: ExecutionTrace[];
  lines: number;
  /** Lines that are no event, by what is wrong with them. */
  rejected: Map<string, number>;
}

type Json = Record<string, unknown>;

/** A file has no clock of a broker, so no event is too late or from the future. */
const anyMs = Number.MAX_SAFE_INTEGER;
const maxValueBytes = 50_000_000;

export async function readEventFile(file: string): Promise<EventFile> {
  const about = await stat(file).catch(() => null);
  if (about === null) throw new Error(`there is no file ${file}`);
  if (!about.isFile()) throw new Error(`${file} is no file`);
  const gatherer = new TraceGatherer();
  const decoders = { tasks: makeDecoder('tasks'), executions: makeDecoder('executions') };
  const rejected = new Map<string, number>();
  let lines = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === '') continue;
    lines++;
    const event = readLine(line, decoders);
    if (event === null) continue;
    if (typeof event === 'string') rejected.set(event, (rejected.get(event) ?? 0) + 1);
    else gatherer.add(event);
  }
  return { executions: gatherer.finish(), lines, rejected };
}

const makeDecoder = (kind: 'tasks' | 'executions'): Decoder =>
  createDecoder({ kind, registry: null, maxValueBytes, pastBoundMs: anyMs, futureBoundMs: anyMs });

/** An event, null for one that is about an orchestrator, or what is wrong with the line. */
function readLine(
  line: string,
  decoders: Record<'tasks' | 'executions', Decoder>,
): ExecutionEvent | TaskEvent | string | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'no JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'no JSON object';
  const record = readEnvelope(value as Json);
  if (isReport(value as Json, record)) return null;
  const isTask = typeof (record.task_id ?? record.taskId) === 'string';
  const bytes = Buffer.from(JSON.stringify(record));
  const place = { topic: '', partition: 0, offset: 0, timestampMs: 0, key: null, headers: undefined };
  const event = decoders[isTask ? 'tasks' : 'executions'].decode({ ...place, value: bytes });
  if (event instanceof Rejection) return `${event.reason}: ${event.detail}`;
  return event.kind === 'task' || event.kind === 'execution' ? event : null;
}

function readEnvelope(value: Json): Json {
  const { record } = value;
  return typeof record === 'object' && record !== null && !Array.isArray(record) ? (record as Json) : value;
}

const isReport = ({ topic }: Json, record: Json): boolean =>
  (typeof topic === 'string' && /orchestrators$/.test(topic)) ||
  (record.execution_id === undefined && record.executionId === undefined && record.body !== undefined);
