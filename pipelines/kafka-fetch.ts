/**
 * How records are read out of what a broker sends, and how a fetch is handed to the consumer. The client's own way computes
 * offsets and times as big integers, turns each into text, back, and into text again, and makes three buffers for a
 * record: a tenth of all that a consumer does which reads as fast as it can. What comes out is the same.
 */

export type FetchedHeaders = Record<string, Buffer | null | (Buffer | null)[]>;

/** Shared by all records that have none, which is nearly every one. */
export const noHeaders: FetchedHeaders = Object.freeze({});

/** What records of one batch have in common. */
export interface BatchContext {
  firstOffset: number;
  firstTimestampMs: number;
  maxTimestampMs: number;
  /** The broker's clock dated the batch, with the time of its newest record. */
  isDatedByBroker: boolean;
  isControlBatch: boolean;
  inTransaction: boolean;
  producerId: string;
  magicByte: number;
}

/** A record as the client hands it on; offset and time are texts only for those who ask for them. */
export class FetchedRecord {
  readonly position: number;
  readonly timestampMs: number;
  readonly attributes: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: FetchedHeaders;
  readonly batchContext: BatchContext;

  constructor(cursor: RecordCursor, context: BatchContext) {
    const end = cursor.readVarInt();
    const last = cursor.at + end;
    this.batchContext = context;
    this.attributes = cursor.readInt8();
    const timestampDelta = cursor.readVarInt();
    this.timestampMs = context.isDatedByBroker ? context.maxTimestampMs : context.firstTimestampMs + timestampDelta;
    this.position = context.firstOffset + cursor.readVarInt();
    this.key = cursor.readBytes();
    this.value = cursor.readBytes();
    this.headers = readHeaders(cursor);
    // A newer broker may know of fields behind these.
    cursor.at = last;
  }

  get offset(): string {
    return String(this.position);
  }

  get timestamp(): string {
    return String(this.timestampMs);
  }

  get magicByte(): number {
    return this.batchContext.magicByte;
  }

  get isControlRecord(): boolean {
    return this.batchContext.isControlBatch;
  }
}

function readHeaders(cursor: RecordCursor): FetchedHeaders {
  let left = cursor.readVarInt();
  if (!(left > 0)) return noHeaders;
  const headers: FetchedHeaders = {};
  for (; left > 0; left--) {
    const name = String(cursor.readBytes());
    const value = cursor.readBytes();
    const known = Object.hasOwn(headers, name) ? headers[name] : undefined;
    const all = known === undefined ? value : Array.isArray(known) ? [...known, value] : [known, value];
    Object.defineProperty(headers, name, { value: all, enumerable: true, configurable: true, writable: true });
  }
  return headers;
}

/** Reads the numbers and bytes of records, one after another. */
export class RecordCursor {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  readInt8(): number {
    return this.#bytes.readInt8(this.at++);
  }

  /** Beyond 31 bits by arithmetic: times may lie further apart than those count. */
  readVarInt(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.at++] as number;
    let coded = byte & 0x7f;
    for (let shift = 7; byte > 0x7f && shift < 28; shift += 7) {
      byte = bytes[this.at++] as number;
      coded |= (byte & 0x7f) << shift;
    }
    if (byte <= 0x7f) return (coded >>> 1) ^ -(coded & 1);
    for (let factor = 2 ** 28; byte > 0x7f; factor *= 128) {
      if (factor > 2 ** 63) throw new Error('a number of a record has more than ten bytes');
      byte = bytes[this.at++] as number;
      coded += (byte & 0x7f) * factor;
    }
    return coded % 2 === 0 ? coded / 2 : -(coded + 1) / 2;
  }

  /** null where the length is negative: there is nothing, not even an empty text. */
  readBytes(): Buffer | null {
    const length = this.readVarInt();
    if (length < 0) return null;
    const start = this.at;
    this.at += length;
    return this.#bytes.subarray(start, this.at);
  }
}

/** The client's cursor over the answer to a fetch, as far as it is used here. */
interface FetchDecoder {
  buffer: Buffer;
  offset: number;
  slice(size: number): FetchDecoder;
  forward(size: number): void;
}

/** What the client gives for this: its error for a batch that was cut off, and the codecs it knows. */
interface ClientParts {
  partialBatch(message: string): Error;
  findCodec(attributes: number): { decompress(bytes: Buffer): Promise<Buffer> } | null;
}

const lengthAndOffsetBytes = 12;
const brokerTimeBit = 0x8;
const transactionBit = 0x10;
const controlBit = 0x20;
/** Where the list of records begins, behind the fields of the batch that follow its length. */
const recordsAt = 45;

export interface FetchedBatchOfRecords {
  records: FetchedRecord[];
}

/** Reads one batch, version 2 of its format, and moves behind it. */
export function batchDecoderOf({ partialBatch, findCodec }: ClientParts) {
  return async (fetch: FetchDecoder): Promise<FetchedBatchOfRecords> => {
    const firstOffset = Number(fetch.buffer.readBigInt64BE(fetch.offset));
    const length = fetch.buffer.readInt32BE(fetch.offset + 8);
    const from = fetch.offset + lengthAndOffsetBytes;
    const bytes = fetch.buffer.subarray(from, from + length);
    fetch.forward(lengthAndOffsetBytes + length);
    if (bytes.length < length) {
      throw partialBatch(`a batch of ${length} bytes was cut off after ${bytes.length}`);
    }
    const attributes = bytes.readInt16BE(9);
    const context: BatchContext = {
      firstOffset,
      magicByte: bytes.readInt8(4),
      firstTimestampMs: Number(bytes.readBigInt64BE(15)),
      maxTimestampMs: Number(bytes.readBigInt64BE(23)),
      producerId: String(bytes.readBigInt64BE(31)),
      isDatedByBroker: (attributes & brokerTimeBit) > 0,
      inTransaction: (attributes & transactionBit) > 0,
      isControlBatch: (attributes & controlBit) > 0,
    };
    const count = bytes.readInt32BE(recordsAt);
    if (count <= 0) return { records: [] };
    const codec = findCodec(attributes);
    const listed = bytes.subarray(recordsAt + 4);
    const cursor = new RecordCursor(codec === null ? listed : await codec.decompress(listed));
    return { records: Array.from({ length: count }, () => new FetchedRecord(cursor, context)) };
  };
}

interface PartitionData {
  messages: { offset: string; isControlRecord?: boolean }[];
}
type BatchClass = new (topic: string, fetchedOffset: string, data: PartitionData) => object;

/** The client's batch, with its lists made from numbers; those of the formats before version 2 it makes by itself. */
export function batchClassOf(
  Client: BatchClass,
  hideAborted: (data: PartitionData) => PartitionData['messages'],
): BatchClass {
  return class extends Client {
    constructor(topic: string, fetchedOffset: string, data: PartitionData) {
      const isOurs = data.messages.every((message) => message instanceof FetchedRecord);
      super(topic, fetchedOffset, isOurs ? { ...data, messages: [] } : data);
      if (!isOurs) return;
      // A batch is sent whole, also where only its end was asked for.
      const from = Number(fetchedOffset);
      const within = (data.messages as unknown as FetchedRecord[]).filter(({ position }) => position >= from);
      const shown = hideAborted({ ...data, messages: within });
      Object.assign(this, {
        rawMessages: data.messages,
        messagesWithinOffset: within,
        messages: shown.filter(({ isControlRecord }) => isControlRecord !== true),
      });
    }
  };
}
