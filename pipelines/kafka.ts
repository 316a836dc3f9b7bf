import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type {
  Admin,
  Batch,
  Consumer,
  ConsumerRunConfig,
  EachBatchPayload,
  ITopicConfig,
  Kafka,
  KafkaMessage,
  LogEntry,
  Producer,
  SASLOptions,
} from 'kafkajs';
import lz4 from 'lz4js';
import snappy from 'snappyjs';
import { mendConnection } from './kafka-connection.ts';
import { batchClassOf, batchDecoderOf } from './kafka-fetch.ts';
import { encodeRecord, groupByPartition, hashKey, sumCrc32c } from './kafka-records.ts';

interface FetchedMessage {
  offset: string;
  key: Buffer | null;
  isControlRecord: boolean;
  batchContext: { producerId: string; inTransaction: boolean };
}

interface Fetched {
  messages: FetchedMessage[];
  abortedTransactions: { producerId: string; firstOffset: string }[] | null;
}

/** Version 0, type 0: the marker that ends an aborted transaction. */
const abortMarker = Buffer.alloc(4);

/**
 * Leaves out what aborted transactions wrote. The client's own filter takes them for sorted by their first offset, but
 * brokers list them by their end: of two that overlap, records of one were shown, or not, as fetches happened to fall.
 */
function hideAborted({ messages, abortedTransactions }: Fetched): FetchedMessage[] {
  if (abortedTransactions === null || !(abortedTransactions?.length > 0)) return messages;
  const coming = abortedTransactions.toSorted((one, other) => Number(one.firstOffset) - Number(other.firstOffset));
  const aborted = new Set<string>();
  let next = 0;
  return messages.filter(({ offset, key, isControlRecord, batchContext }) => {
    for (; next < coming.length && Number(offset) >= Number(coming[next]?.firstOffset); next++) {
      aborted.add(coming[next]?.producerId ?? '');
    }
    const { producerId, inTransaction } = batchContext;
    if (isControlRecord && key?.subarray(0, 4).equals(abortMarker)) aborted.delete(producerId);
    return isControlRecord || !inTransaction || !aborted.has(producerId);
  });
}

// Replaced before the rest of the client loads, because it keeps references to them.
const require = createRequire(import.meta.url);
mendConnection(require('kafkajs/src/network/connection'));
replaceModule('consumer/filterAbortedMessages', hideAborted);
replaceModule('producer/groupMessagesPerPartition', groupByPartition);
replaceModule('producer/partitioners/default/murmur2', hashKey);
replaceModule('protocol/recordBatch/record/v0', encodeRecord);
replaceModule('protocol/recordBatch/crc32C', sumCrc32c);
const { KafkaJSPartialMessageError: PartialBatch } = require('kafkajs/src/errors');
const { lookupCodecByAttributes: findCodec } = require('kafkajs/src/protocol/message/compression');
const readBatch = batchDecoderOf({ partialBatch: (message) => new PartialBatch(message), findCodec });
replaceModule('protocol/recordBatch/v0/decoder', readBatch);
replaceModule('consumer/batch', batchClassOf(require('kafkajs/src/consumer/batch'), hideAborted as never));

function replaceModule(name: string, replacement: unknown): void {
  const file = require.resolve(`kafkajs/src/${name}`);
  require(file);
  (require.cache[file] as NodeJS.Module).exports = replacement;
}

const kafkajs = require('kafkajs') as typeof import('kafkajs');

const { CompressionCodecs, CompressionTypes, Kafka: KafkaClient, logLevel, Partitioners } = kafkajs;

export type { Admin, Batch, Consumer, EachBatchPayload, Kafka, KafkaMessage, Producer };

export interface KafkaOptions {
  brokers: string[];
  clientId: string;
  tls: { caFile: string; certFile: string; keyFile: string } | null;
  sasl: { mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'; username: string; password: string } | null;
}

export interface KafkaLog {
  warn(fields: Record<string, unknown>, message: string): void;
  debug(fields: Record<string, unknown>, message: string): void;
}

/**
 * Every compression a producer may have chosen. The Java client frames snappy in blocks of its own ("xerial"), so
 * that frame is taken apart here; the other codecs are plain.
 */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);

function decompressSnappy(buffer: Buffer): Buffer {
  if (!buffer.subarray(0, 8).equals(xerialMagic)) return Buffer.from(snappy.uncompress(buffer));
  const blocks: Buffer[] = [];
  for (let at = 16; at < buffer.length; ) {
    const length = buffer.readUInt32BE(at);
    blocks.push(Buffer.from(snappy.uncompress(buffer.subarray(at + 4, at + 4 + length))));
    at += 4 + length;
  }
  return Buffer.concat(blocks);
}

interface Encoded {
  buffer: Buffer;
}
CompressionCodecs[CompressionTypes.Snappy] = () => ({
  compress: async (encoder: Encoded) => Buffer.from(snappy.compress(encoder.buffer)),
  decompress: async (buffer: Buffer) => decompressSnappy(buffer),
});
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  // The frames of this library depend on each other, which brokers refuse; we only read lz4.
  compress: async (): Promise<Buffer> => {
    throw new Error('this client cannot write lz4; use zstd');
  },
  decompress: async (buffer: Buffer) => Buffer.from(lz4.decompress(buffer)),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder: Encoded) => zstdCompressSync(encoder.buffer),
  decompress: async (buffer: Buffer) => zstdDecompressSync(buffer),
});

/** What the client says while a broker or a group is coming up; it retries by itself and nobody need read it. */
const startupNoise = /coordinator|is loading|rebalanc|does not host this topic|no leader|leadership election/i;

function forwardLogs(log: KafkaLog) {
  return () => (entry: LogEntry) => {
    const { message, error, ...fields } = entry.log;
    const text = [message, error].filter((part) => typeof part === 'string').join(': ');
    const quiet = entry.level > logLevel.WARN || startupNoise.test(text);
    (quiet ? log.debug : log.warn).call(
      log,
      { ...fields, timestamp: undefined, stack: undefined, client: 'kafka' },
      text,
    );
  };
}

// kafkajs computes a negative delay on new Node versions; harmless, and noise on the user's terminal.
const emitWarning = process.emitWarning.bind(process);
process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
  const [first] = rest as [string | { type?: string } | undefined];
  const type = typeof first === 'string' ? first : first?.type;
  if (type === 'TimeoutNegativeWarning' || (warning instanceof Error && warning.name === 'TimeoutNegativeWarning'))
    return;
  (emitWarning as (...all: unknown[]) => void)(warning, ...rest);
}) as typeof process.emitWarning;

const firstRestartMs = 250;
const longestRestartMs = 5_000;

/** The broker went away in the middle of something, or has not come yet. */
function isAway(error: Error): boolean {
  const { retriable = false } = error as { retriable?: boolean };
  return retriable && /^KafkaJS(Connection|RequestTimeout|BrokerNotFound|NoBroker)/.test(error.name);
}

/**
 * The client gives a consumer up after errors that it takes for final, a group coordinator that was not found in time for
 * instance, and tells it in an event only; and it gives up what it asks about topics, where the broker goes away at that
 * moment. Whoever reads a log means to go on reading, so it begins again until it is stopped.
 */
function persevere(consumer: Consumer, log: KafkaLog): Consumer {
  const { run, stop, disconnect, subscribe } = consumer;
  let isWanted = true;
  let wanted: ConsumerRunConfig | undefined;
  const beginAgain = async (problem: Error) => {
    log.warn({ client: 'kafka' }, `reading ended: ${problem.message}; beginning again`);
    for (let waitMs = firstRestartMs; ; waitMs = Math.min(2 * waitMs, longestRestartMs)) {
      await sleep(waitMs);
      if (wanted === undefined) return;
      try {
        await consumer.connect();
        // Stopped meanwhile.
        if (wanted === undefined) return await disconnect();
        return await run(wanted);
      } catch (error) {
        log.debug({ client: 'kafka' }, `beginning again failed: ${(error as Error).message}`);
      }
    }
  };
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart && wanted !== undefined) void beginAgain(payload.error);
  });
  return Object.assign(consumer, {
    subscribe: async (topics: Parameters<Consumer['subscribe']>[0]) => {
      for (let waitMs = firstRestartMs; ; waitMs = Math.min(2 * waitMs, longestRestartMs)) {
        try {
          return await subscribe(topics);
        } catch (error) {
          if (!isWanted || !isAway(error as Error)) throw error;
          log.warn({ client: 'kafka' }, `asking about topics: ${(error as Error).message}; trying again`);
        }
        await sleep(waitMs);
      }
    },
    run: (config?: ConsumerRunConfig) => {
      wanted = config ?? {};
      return run(config);
    },
    stop: () => {
      wanted = undefined;
      return stop();
    },
    disconnect: () => {
      wanted = undefined;
      isWanted = false;
      return disconnect();
    },
  });
}

export function createKafka(options: KafkaOptions, log: KafkaLog): Kafka {
  const kafka = createClient(options, log);
  const createConsumer = kafka.consumer.bind(kafka);
  kafka.consumer = (config) => persevere(createConsumer(config), log);
  return kafka;
}

function createClient(options: KafkaOptions, log: KafkaLog): Kafka {
  return new KafkaClient({
    clientId: options.clientId,
    brokers: options.brokers,
    ssl:
      options.tls === null
        ? false
        : {
            ...(options.tls.caFile === '' ? {} : { ca: [readFileSync(options.tls.caFile)] }),
            ...(options.tls.certFile === '' ? {} : { cert: readFileSync(options.tls.certFile) }),
            ...(options.tls.keyFile === '' ? {} : { key: readFileSync(options.tls.keyFile) }),
          },
    ...(options.sasl === null ? {} : { sasl: options.sasl as SASLOptions }),
    logLevel: logLevel.INFO,
    logCreator: forwardLogs(log),
    connectionTimeout: 5_000,
    requestTimeout: 30_000,
    // A broker that is away is a reason to wait, never to give up.
    retry: {
      initialRetryTime: 200,
      maxRetryTime: 5_000,
      retries: Number.MAX_SAFE_INTEGER,
      restartOnFailure: async () => true,
    },
  });
}

export function createProducer(kafka: Kafka): Producer {
  return kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: false });
}

export interface TopicSpec {
  topic: string;
  partitions: number;
  retentionMs: number;
}

/** What people decided is the audit trail: in one order, and kept for ever. */
export const stateTopicSpec = (topic: string): TopicSpec => ({ topic, partitions: 1, retentionMs: -1 });

/** Whoever acts on commands reads them from the beginning when it starts, so they are kept for a while only. */
export const commandTopicSpec = (topic: string, partitions: number): TopicSpec => ({
  topic,
  partitions,
  retentionMs: 7 * 86_400_000,
});

/** Makes the topics that do not exist yet; a producer's runaway clock is refused by the broker beyond an hour. */
export async function createTopics(admin: Admin, topics: TopicSpec[], replicationFactor = 1): Promise<string[]> {
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter((spec) => !existing.has(spec.topic));
  if (missing.length === 0) return [];
  await makeTopics(
    admin,
    missing.map((spec) => ({
      topic: spec.topic,
      numPartitions: spec.partitions,
      replicationFactor,
      configEntries: [
        { name: 'message.timestamp.after.max.ms', value: '3600000' },
        { name: 'retention.ms', value: String(spec.retentionMs) },
      ],
    })),
  );
  return missing.map((spec) => spec.topic);
}

/** Makes topics, and waits until they are led. The client's own wait gives up where a broker has not heard of a topic yet. */
export async function makeTopics(admin: Admin, topics: ITopicConfig[]): Promise<void> {
  await admin.createTopics({ waitForLeaders: false, topics });
  await waitForLeaders(
    admin,
    topics.map(({ topic }) => topic),
  );
}

const leaderWaitMs = 60_000;

async function waitForLeaders(admin: Admin, topics: string[]): Promise<void> {
  for (const deadlineMs = Date.now() + leaderWaitMs; ; ) {
    try {
      const { topics: known } = await admin.fetchTopicMetadata({ topics });
      if (known.every(({ partitions }) => partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)))
        return;
      if (Date.now() > deadlineMs) throw new Error(`no broker leads ${topics.join(', ')} yet`);
    } catch (error) {
      if ((error as { retriable?: boolean }).retriable !== true || Date.now() > deadlineMs) throw error;
    }
    await sleep(100);
  }
}
