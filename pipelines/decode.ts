import { isAscii, isUtf8 } from 'node:buffer';
import type { Resolver, Type } from 'avsc';
import { AvroProblem } from '../schemas/avro-reader.ts';
import type { Origin, TelemetryEvent } from '../schemas/events.ts';
import { canonicalForm, fingerprintBytes } from '../schemas/fingerprint.ts';
import type { ExecutionRecord, TaskRecord } from '../schemas/records.ts';
import { readTask } from '../schemas/task-reader.ts';
import {
  executionType,
  olderExecutionTypes,
  olderTaskTypes,
  orchestratorType,
  originHeaders,
  taskType,
  unwrapBody,
} from '../schemas/wire.ts';
import { readIdOr } from './bounded.ts';
import { liftExecution, liftOrchestrator, liftTask } from './json-event.ts';
import { normaliseExecution, normaliseTask, type RecordContext } from './normalise.ts';
import { normaliseOrchestrator } from './orchestrator-normalise.ts';
import { makeExcerpt } from './redact.ts';
import { Refusal, Rejection, type RejectReason } from './rejections.ts';
import type { SchemaRegistry } from './schema-registry.ts';

/**
 * From one Kafka record of a canonical topic to one event, or to the reason why it is none. The first bytes
 * of the value say how it was written. Nothing here reads a clock: what comes out depends on the record, on
 * the schemas and on the settings alone, so that a replay decides the same.
 */

export interface LogRecord {
  topic: string;
  partition: number;
  offset: number;
  timestampMs: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, Buffer | string | (Buffer | string)[] | undefined> | undefined;
}

export type TopicKind = 'executions' | 'tasks' | 'orchestrators';

export interface DecoderOptions {
  kind: TopicKind;
  registry: SchemaRegistry | null;
  maxValueBytes: number;
  pastBoundMs?: number;
  futureBoundMs?: number;
}

const decoderDefaults = { pastBoundMs: 7 * 86_400_000, futureBoundMs: 300_000 } as const;

export interface Decoder {
  /**
   * Finds the writer schemas of records that name one not seen yet; rejects with RegistryUnavailable when
   * the registry cannot be asked. Gives undefined, at once, when there is nothing to find.
   */
  prepare(records: readonly LogRecord[]): Promise<void> | undefined;
  /** Never throws on bad data. Records of a registry's schemas must have been prepared. */
  decode(record: LogRecord): TelemetryEvent | Rejection;
}

/** What differs between the topics. */
interface Contract {
  reader: Type;
  /** A quick way to read what was written with the reader's own schema; null where it will not do. */
  readOwn?(value: Buffer, start: number): object | null;
  older: readonly Type[];
  fromAvro(decoded: object, context: RecordContext): TelemetryEvent;
  fromJson(value: Record<string, unknown>, context: RecordContext): TelemetryEvent;
}

const contracts: Record<TopicKind, Contract> = {
  executions: {
    reader: executionType,
    older: olderExecutionTypes,
    fromAvro: (decoded, context) => normaliseExecution(decoded as ExecutionRecord, context),
    fromJson: (value, context) => normaliseExecution(liftExecution(value), context),
  },
  tasks: {
    reader: taskType,
    readOwn: readTask,
    older: olderTaskTypes,
    fromAvro: (decoded, context) => normaliseTask(decoded as TaskRecord, context),
    fromJson: (value, context) => normaliseTask(liftTask(value), context),
  },
  orchestrators: {
    reader: orchestratorType,
    older: [],
    fromAvro: (decoded, context) => {
      const report = unwrapBody((decoded as { body: object }).body);
      if (report === undefined) throw new Refusal('unknown_kind', 'the body is of no known kind');
      return normaliseOrchestrator({ ...report, header: decoded as Record<string, unknown> }, context);
    },
    fromJson: (value, context) => normaliseOrchestrator(liftOrchestrator(value), context),
  },
};

/** How to read what one writer wrote; no resolver where it wrote with our own schema. */
interface Writer {
  resolver: Resolver | undefined;
}

function writerOf(reader: Type, type: Type): Writer {
  if (canonicalForm(type) === canonicalForm(reader)) return { resolver: undefined };
  // A producer may keep the schema under a namespace of its own; the option is not in the declared types.
  const options = { ignoreNamespaces: true } as unknown as undefined;
  return { resolver: (reader.createResolver as (type: Type, options?: unknown) => Resolver)(type, options) };
}

export function createDecoder(options: DecoderOptions): Decoder {
  const contract = contracts[options.kind];
  const { registry, maxValueBytes } = options;
  const { reader } = contract;
  const ownFingerprint = fingerprintBytes(reader);
  const ownLow = ownFingerprint.readInt32LE(0);
  const ownHigh = ownFingerprint.readInt32LE(4);
  const ownWriter: Writer = { resolver: undefined };
  const writersByFingerprint = new Map<string, Writer>();
  for (const type of contract.older) {
    writersByFingerprint.set(fingerprintBytes(type).toString('hex'), writerOf(reader, type));
  }
  const writersById = new Map<number, Writer>();
  const context: RecordContext = {
    recordTimeMs: 0,
    pastBoundMs: options.pastBoundMs ?? decoderDefaults.pastBoundMs,
    futureBoundMs: options.futureBoundMs ?? decoderDefaults.futureBoundMs,
    origin: null,
  };

  function readAvro(value: Buffer, start: number, { resolver }: Writer): object {
    if (resolver === undefined && contract.readOwn !== undefined) {
      const record = contract.readOwn(value, start);
      if (record !== null) return record;
    }
    const { value: decoded, offset } = reader.decode(value, start, resolver);
    if (offset < 0) throw new Refusal('truncated', 'the Avro value ends too early');
    if (offset < value.length) {
      throw new Refusal('trailing_bytes', `${value.length - offset} bytes are left over`);
    }
    return decoded as object;
  }

  function findWriterByFingerprint(value: Buffer): Writer {
    if (value.length < 10) throw new Refusal('truncated', 'the value ends within its fingerprint');
    if (value.readInt32LE(2) === ownLow && value.readInt32LE(6) === ownHigh) return ownWriter;
    const writer = writersByFingerprint.get(value.toString('hex', 2, 10));
    if (writer === undefined) {
      throw new Refusal(
        'unknown_fingerprint',
        `fingerprint ${value.readBigUInt64LE(2).toString(16).padStart(16, '0')}`,
      );
    }
    return writer;
  }

  function findWriterById(value: Buffer): Writer {
    if (value.length < 5) throw new Refusal('truncated', 'the value ends within its schema id');
    const id = value.readInt32BE(1);
    const known = writersById.get(id);
    if (known !== undefined) return known;
    if (registry === null) throw new Refusal('registry_missing', `schema id ${id}`);
    const found = registry.lookUp(id);
    if (found === undefined) throw new Error(`records with schema id ${id} were decoded before they were prepared`);
    if ('reason' in found) throw new Refusal(found.reason, found.detail);
    try {
      const writer = writerOf(reader, found);
      writersById.set(id, writer);
      return writer;
    } catch (error) {
      throw new Refusal('unreadable_schema', `schema ${id}: ${(error as Error).message.slice(0, 200)}`);
    }
  }

  /** What the value is, before anything in it is believed. */
  let opened: Record<string, unknown> = {};
  const open = <Opened extends object>(value: Opened): Opened => {
    opened = value as Record<string, unknown>;
    return value;
  };

  function decodeValue(value: Buffer): TelemetryEvent {
    const first = value[0];
    if (first === 0xc3 && value[1] === 0x01) {
      return contract.fromAvro(open(readAvro(value, 10, findWriterByFingerprint(value))), context);
    }
    if (first === 0x7b) return contract.fromJson(open(parseJson(value, 0)), context);
    if (first === 0x00) return contract.fromAvro(open(readAvro(value, 5, findWriterById(value))), context);
    const start = findJsonStart(value);
    if (start < 0) throw new Refusal('wrong_magic', `the value begins with ${value.toString('hex', 0, 4)}`);
    return contract.fromJson(open(parseJson(value, start)), context);
  }

  return {
    prepare(records) {
      if (registry === null) return undefined;
      let pending: Promise<void>[] | undefined;
      for (const { value } of records) {
        if (value === null || value.length < 5 || value[0] !== 0x00 || value.length > maxValueBytes) continue;
        const id = value.readInt32BE(1);
        if (writersById.has(id) || registry.isResolved(id)) continue;
        pending ??= [];
        pending.push(registry.resolve(id));
      }
      return pending === undefined ? undefined : Promise.all(pending).then(() => undefined);
    },
    decode(record) {
      const { value } = record;
      if (value === null) return new Rejection('tombstone', 'null value', '');
      if (value.length === 0) return new Rejection('empty_value', 'no bytes', '');
      if (value.length > maxValueBytes) {
        return new Rejection('too_large', `${value.length} bytes, at most ${maxValueBytes}`, makeExcerpt(value));
      }
      context.recordTimeMs = record.timestampMs;
      context.origin = null;
      opened = {};
      if (record.headers !== undefined) readOrigin(record.headers, context);
      try {
        return decodeValue(value);
      } catch (error) {
        return new Rejection(reasonOfNoise(error), (error as Error).message, makeExcerpt(value), tellWorkspace(opened));
      }
    },
  };
}

/** Whose a rejected record is, by its own word: '' where it says nothing, or nothing that could be a workspace. */
function tellWorkspace({ workspace, workspaceId, workspace_id }: Record<string, unknown>): string {
  try {
    return readIdOr(workspace ?? workspaceId ?? workspace_id, 'workspace', '');
  } catch (error) {
    if (error instanceof Refusal) return '';
    throw error;
  }
}

/** Tells bad data from a mistake of ours, which must not hide among the dead letters. */
export function reasonOfNoise(error: unknown): RejectReason {
  if (error instanceof Refusal || error instanceof AvroProblem) return error.reason;
  const message = error instanceof Error ? error.message : '';
  // What the library says of noise: these are its own sentences, there are no codes.
  if (/^invalid union index|^potential precision loss|^truncated/.test(message)) return 'malformed_avro';
  if (error instanceof RangeError && (error as NodeJS.ErrnoException).code === 'ERR_OUT_OF_RANGE') return 'truncated';
  if (error instanceof RangeError && (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_OUT_OF_BOUNDS')
    return 'truncated';
  throw error;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Where JSON begins behind a byte order mark and white space; -1 where the value cannot be JSON. */
function findJsonStart(value: Buffer): number {
  let at = value[0] === 0xef && value[1] === 0xbb && value[2] === 0xbf ? 3 : 0;
  while (at < value.length && isBlank(value[at])) at++;
  if (value[at] === 0x7b) return at;
  // Lists, text, numbers and words of JSON are told apart from noise, because the remedy differs.
  const looksLikeJson = /^(?:[["]|-?\d|true\s*$|false\s*$|null\s*$)/.test(value.toString('latin1', at, at + 16));
  return looksLikeJson && isUtf8(value) && !/[^\P{Cc}\s]/u.test(value.toString('utf8', at, at + 64)) ? at : -1;
}

function parseJson(value: Buffer, start: number): Record<string, unknown> {
  const isPlain = isAscii(value);
  if (!isPlain && !isUtf8(value)) throw new Refusal('invalid_utf8', 'the JSON text is not UTF-8');
  const text = value.toString(isPlain ? 'latin1' : 'utf8', start);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    if (/[:,[]\s*-?(?:NaN|Infinity)\b/.test(text)) {
      throw new Refusal('not_finite', 'the JSON text holds NaN or Infinity, which JSON does not have');
    }
    throw new Refusal('invalid_json', describeSyntaxError(error));
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new Refusal('not_an_object', `the JSON value is ${Array.isArray(parsed) ? 'a list' : 'a bare value'}`);
  }
  return parsed as Record<string, unknown>;
}

/** The parser quotes the text around the mistake, which may be a secret: only the position is kept. */
function describeSyntaxError(error: unknown): string {
  const position = /position (\d+)/.exec((error as Error).message);
  if (position !== null) return `the JSON text is broken at position ${position[1]}`;
  return /end of JSON/.test((error as Error).message) ? 'the JSON text ends too early' : 'the JSON text is broken';
}

type Headers = NonNullable<LogRecord['headers']>;

function headerText(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  const single = Array.isArray(value) ? value.at(-1) : value;
  return single === undefined || single === null ? undefined : String(single);
}

/** A whole number of at least 0, undefined where the header is absent or is none. */
function headerNumber(headers: Headers, name: string): number | undefined {
  const text = headerText(headers, name);
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** Takes from the headers what stands for a republished record's own coordinates and time; what cannot be read is left. */
export function readOrigin(headers: Headers, context: Pick<RecordContext, 'recordTimeMs' | 'origin'>): void {
  const topic = headerText(headers, originHeaders.topic);
  const timestampMs = headerNumber(headers, originHeaders.timestamp);
  if (timestampMs !== undefined) context.recordTimeMs = timestampMs;
  // Names of topics hold nothing else, and what is no such name is nothing to be shown.
  if (topic === undefined || !/^[\w.-]{1,249}$/.test(topic)) return;
  const partition = headerNumber(headers, originHeaders.partition);
  const offset = headerNumber(headers, originHeaders.offset);
  if (partition === undefined || partition > 0x7fffffff || offset === undefined) return;
  const item = headerNumber(headers, originHeaders.item) ?? 0;
  context.origin = { topic, partition, offset, item: Math.min(item, 0x7fffffff) } satisfies Origin;
}
