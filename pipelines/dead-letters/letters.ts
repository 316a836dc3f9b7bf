import { type Database, DatabaseError } from '../../clickhouse/client.ts';
import type { Origin } from '../../schemas/events.ts';
import { foldedLetters, sequelsOf } from './chains.ts';
import { Problem } from './options.ts';

/** A place in the log as people write it; which epoch of the topic is meant shows in the letter itself. */
export interface LogPlace {
  topic: string;
  partition: number;
  offset: number;
}

export interface LetterFilter {
  reason: string | null;
  topic: string | null;
  /** By the time of the record when it was first sent. */
  fromMs: number | null;
  toMs: number | null;
}

/** A dead letter; of a record that was replayed and rejected again, the newest one. */
export interface Letter extends LogPlace {
  stream: string;
  recordTimeMs: number;
  reason: string;
  keyBytes: number;
  valueBytes: number;
  /** Where the record first stood, and when. */
  origin: Origin;
  originTimeMs: number;
  /** How often it was replayed and rejected again. */
  replays: number;
  /** A replay, or another copy of the same origin, has been stored. */
  isStored: boolean;
}

export interface ReadLetter extends Letter {
  detail: string;
  excerpt: string;
}

/** A dead letter by its own place, whatever else there is of its record. */
export type FoundLetter = Omit<ReadLetter, 'origin' | 'originTimeMs' | 'replays' | 'isStored'>;

export interface LetterGroup {
  topic: string;
  reason: string;
  letters: number;
  stored: number;
  rejectedAgain: number;
  firstMs: number;
  lastMs: number;
}

export interface LetterBytes {
  key: Buffer | null;
  value: Buffer | null;
  headers: { name: string; value: Buffer }[];
}

/** What became of the record of an origin at a later place of the log. */
export interface Sequel extends LogPlace {
  recordTimeMs: number;
  /** The reason, or '' where it was stored. */
  reason: string;
}

type LetterRecord = Omit<Letter, 'origin' | 'isStored'> & {
  originTopic: string;
  originPartition: number;
  originOffset: number;
  originItem: number;
  isStored: number;
};

const letterColumns = `stream, topic, partition, offset, recordTimeMs, reason, keyBytes, valueBytes,
  originTopic, originPartition, originOffset, originItem, originTimeMs, replays, isStored`;
const deniedCode = '497';

export const placeName = ({ topic, partition, offset }: LogPlace): string => `${topic}/${partition}/${offset}`;

function toLetter(row: LetterRecord): Letter {
  const { stream, topic, partition, offset, recordTimeMs, reason, keyBytes, valueBytes, originTimeMs, replays } = row;
  const origin = {
    topic: row.originTopic,
    partition: row.originPartition,
    offset: row.originOffset,
    item: row.originItem,
  };
  const isStored = row.isStored === 1;
  return {
    stream,
    topic,
    partition,
    offset,
    recordTimeMs,
    reason,
    keyBytes,
    valueBytes,
    origin,
    originTimeMs,
    replays,
    isStored,
  };
}

/** Reads dead letters. Chains of replays need the right to read original bytes; without it each link stands alone. */
export class DeadLetters {
  readonly #database: Database;
  readonly #user: string;
  readonly #folded: string;
  readonly #params: Record<string, unknown>;
  readonly canReadBytes: boolean;

  private constructor(database: Database, user: string, canReadBytes: boolean, rawTables: string[], streams: string[]) {
    this.#database = database;
    this.#user = user;
    this.canReadBytes = canReadBytes;
    this.#folded = foldedLetters(rawTables, canReadBytes);
    this.#params = { streams, topics: streams.map((stream) => stream.slice(0, stream.lastIndexOf('@'))) };
  }

  /** `streams` are those that pipelines read now, as topic@epoch. */
  static async open(database: Database, user: string, streams: string[]): Promise<DeadLetters> {
    const canReadBytes = await database.rows('SELECT offset FROM dead_letter_bytes LIMIT 0').then(
      () => true,
      (error: unknown) => {
        if (error instanceof DatabaseError && error.code === deniedCode) return false;
        throw error;
      },
    );
    // Every table of single records says where a republished one came from.
    const tables = await database.rows<{ name: string }>(
      `SELECT name FROM system.tables WHERE database = {database: String} AND engine LIKE '%MergeTree' AND name IN (
         SELECT table FROM system.columns WHERE database = {database: String} AND name = 'origin' AND type LIKE 'Array(Tuple(topic %')`,
      { database: database.name },
    );
    const rawTables = tables.map(({ name }) => name);
    return new DeadLetters(database, user, canReadBytes, rawTables, streams);
  }

  async summarise(filter: LetterFilter): Promise<LetterGroup[]> {
    return this.#ask<LetterGroup>(
      `SELECT topic, reason, count() AS letters, countIf(isStored) AS stored, countIf(NOT isStored AND replays > 0) AS rejectedAgain,
         min(originTimeMs) AS firstMs, max(originTimeMs) AS lastMs`,
      filter,
      'GROUP BY topic, reason ORDER BY letters DESC, topic, reason',
    );
  }

  async readNewest(filter: LetterFilter, limit: number): Promise<ReadLetter[]> {
    const rows = await this.#ask<LetterRecord & { detail: string; excerpt: string }>(
      `SELECT ${letterColumns}, detail, excerpt`,
      filter,
      'ORDER BY originTimeMs DESC, stream, partition, offset DESC LIMIT {limit: UInt64}',
      { limit },
    );
    return rows.map((row) => ({ ...toLetter(row), detail: row.detail, excerpt: row.excerpt }));
  }

  /** All letters in the order of the log, read a page at a time. */
  async *readAll(filter: LetterFilter, pageLetters = 50_000): AsyncGenerator<Letter> {
    let after = { stream: '', partition: 0, offset: 0 };
    for (;;) {
      const rows = await this.#ask<LetterRecord>(
        `SELECT ${letterColumns}`,
        filter,
        'ORDER BY stream, partition, offset LIMIT {limit: UInt64}',
        { ...after, limit: pageLetters },
        'AND (stream, partition, offset) > ({stream: String}, {partition: UInt32}, {offset: UInt64})',
      );
      yield* rows.map(toLetter);
      const last = rows.at(-1);
      if (last === undefined || rows.length < pageLetters) return;
      after = { stream: last.stream, partition: last.partition, offset: last.offset };
    }
  }

  /** The dead letters at a place, of every epoch of its topic, newest first. */
  async find({ topic, partition, offset }: LogPlace): Promise<FoundLetter[]> {
    return this.#database.rows<FoundLetter>(
      `SELECT stream, topic, partition, offset, toUnixTimestamp64Milli(record_time) AS recordTimeMs, reason, detail, excerpt,
         key_bytes AS keyBytes, value_bytes AS valueBytes
       FROM dead_letters FINAL
       WHERE topic = {topic: String} AND partition = {partition: UInt32} AND offset = {offset: UInt64}
       ORDER BY record_time DESC`,
      { topic, partition, offset },
    );
  }

  /** What became of a record wherever it was sent again, in the order of time. */
  async readSequels({ topic, partition, offset, item }: Origin): Promise<Sequel[]> {
    return this.#database.rows<Sequel>(`${this.#folded} ${sequelsOf}`, {
      ...this.#params,
      fromMs: 0,
      topic,
      partition,
      offset,
      item,
    });
  }

  /** Original bytes of letters of one partition, by offset; what has outlived its bytes is left out. */
  async readBytes(stream: string, partition: number, offsets: readonly number[]): Promise<Map<number, LetterBytes>> {
    this.requireBytes();
    const rows = await this.#database.rows<BytesRecord>(
      `SELECT offset, base64Encode(key) AS keyText, base64Encode(value) AS valueText,
         arrayMap(header -> (base64Encode(header.name), base64Encode(header.value)), headers) AS headerTexts
       FROM dead_letter_bytes FINAL
       WHERE stream = {stream: String} AND partition = {partition: UInt32} AND offset IN {offsets: Array(UInt64)}`,
      { stream, partition, offsets },
    );
    return new Map(rows.map((row) => [row.offset, toBytes(row)]));
  }

  /** Throws where the user may not see original bytes. */
  requireBytes(): void {
    if (this.canReadBytes) return;
    throw new Problem(
      `the user ${this.#user} may not read original bytes, which may hold secrets; ` +
        'set CLICKHOUSE_USER and CLICKHOUSE_PASSWORD to the user that the pipelines write with',
    );
  }

  async #ask<Row>(
    select: string,
    { reason, topic, fromMs, toMs }: LetterFilter,
    ending: string,
    more: Record<string, unknown> = {},
    condition = '',
  ): Promise<Row[]> {
    const question = `${this.#folded} ${select} FROM letters
      WHERE originTimeMs >= {fromMs: Int64} AND originTimeMs < {toMs: Int64}
        AND reason LIKE {reason: String} AND topic LIKE {topic: String} ${condition} ${ending}`;
    return this.#database.rows<Row>(question, {
      ...this.#params,
      ...more,
      fromMs: fromMs ?? 0,
      toMs: toMs ?? Number.MAX_SAFE_INTEGER,
      reason: likeText(reason),
      topic: likeText(topic),
    });
  }
}

/** A pattern that matches this text only, or everything. */
const likeText = (text: string | null): string => (text === null ? '%' : text.replaceAll(/[\\%_]/g, '\\$&'));

interface BytesRecord {
  offset: number;
  keyText: string | null;
  valueText: string | null;
  headerTexts: [string, string][];
}

const fromText = (text: string): Buffer => Buffer.from(text, 'base64');

function toBytes({ keyText, valueText, headerTexts }: BytesRecord): LetterBytes {
  return {
    key: keyText === null ? null : fromText(keyText),
    value: valueText === null ? null : fromText(valueText),
    headers: headerTexts.map(([name, value]) => ({ name: fromText(name).toString(), value: fromText(value) })),
  };
}
