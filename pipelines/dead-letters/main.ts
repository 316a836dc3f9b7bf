import { createInterface } from 'node:readline/promises';
import { Database, DatabaseError } from '../../clickhouse/client.ts';
import type { Settings } from '../../schemas/settings.ts';
import { readOrigin } from '../decode.ts';
import { createKafka, type KafkaLog } from '../kafka.ts';
import { readSettings } from '../process.ts';
import { SchemaRegistry } from '../schema-registry.ts';
import { databaseOptions, kafkaOptions, readRunningServers } from '../servers.ts';
import { renderPage } from './letter-page.ts';
import { DeadLetters, type FoundLetter, type LogPlace, placeName } from './letters.ts';
import { describeList, renderList } from './listing.ts';
import { type Command, help, Problem, readCommand } from './options.ts';
import { type ReplayParts, replay } from './replay.ts';
import { listTelemetryTopics } from './replay-plan.ts';
import { replayedRecord } from './replayed-record.ts';

/** `npm run dead-letters -- list | show | replay`; see the help for the rest. */

/** A replay reads pages of many letters, which takes longer than an insert may. */
const requestTimeoutMs = 300_000;

async function runCommand(command: Command, settings: Settings): Promise<number> {
  const database = new Database({ ...databaseOptions(settings), requestTimeoutMs });
  try {
    const streams = listTelemetryTopics(settings).map(({ stream }) => stream);
    const deadLetters = await DeadLetters.open(database, settings.clickhouseUser, streams);
    if (command.action === 'list') return await list(command, deadLetters);
    if (command.action === 'show') return await show(command.place, command.bytes, deadLetters);
    return await replay(command, replayParts(settings, deadLetters));
  } finally {
    await database.close();
  }
}

async function list(
  { filter, limit, json }: Extract<Command, { action: 'list' }>,
  deadLetters: DeadLetters,
): Promise<number> {
  const [groups, newest] = await Promise.all([deadLetters.summarise(filter), deadLetters.readNewest(filter, limit)]);
  const write = json ? describeList : renderList;
  process.stdout.write(write(groups, newest, deadLetters.canReadBytes));
  return 0;
}

async function show(place: LogPlace, wantsBytes: boolean, deadLetters: DeadLetters): Promise<number> {
  if (wantsBytes) deadLetters.requireBytes();
  const letters = await deadLetters.find(place);
  if (letters.length === 0) throw new Problem(`there is no dead letter ${placeName(place)}`);
  for (const letter of letters) process.stdout.write(renderPage(await readPage(letter, wantsBytes, deadLetters)));
  return 0;
}

async function readPage(letter: FoundLetter, wantsBytes: boolean, deadLetters: DeadLetters) {
  const { stream, partition, offset } = letter;
  const found = deadLetters.canReadBytes
    ? (await deadLetters.readBytes(stream, partition, [offset])).get(offset)
    : undefined;
  const origin = { topic: letter.topic, partition, offset, item: 0 };
  if (found !== undefined) {
    const judged = { recordTimeMs: letter.recordTimeMs, origin: null };
    readOrigin(replayedRecord(letter, found).headers, judged);
    Object.assign(origin, judged.origin);
  }
  const sequels = await deadLetters.readSequels(origin);
  return { letter, origin, sequels, bytes: wantsBytes ? (found ?? null) : undefined };
}

function replayParts(settings: Settings, deadLetters: DeadLetters): ReplayParts {
  const { schemaRegistryUrl: url, schemaRegistryUser: username, schemaRegistryPassword: password } = settings;
  const log: KafkaLog = {
    warn: (_, message) => void process.stderr.write(`${message}\n`),
    debug: () => undefined,
  };
  let interrupted = false;
  // Once only: a second Ctrl-C ends the process at once, which loses nothing either.
  process.once('SIGINT', () => {
    interrupted = true;
  });
  return {
    settings,
    deadLetters,
    kafka: createKafka(kafkaOptions(settings), log),
    registry: url === '' ? null : new SchemaRegistry({ url, username, password }),
    screen: process.stdout,
    ask: process.stdin.isTTY && process.stdout.isTTY ? askPerson : null,
    isInterrupted: () => interrupted,
    nowMs: Date.now,
  };
}

async function askPerson(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  // Ctrl-C at the question means no.
  const asked = new AbortController();
  terminal.once('SIGINT', () => asked.abort());
  try {
    return await terminal.question(question, { signal: asked.signal });
  } catch {
    return '';
  } finally {
    terminal.close();
  }
}

function requireServers(settings: Settings, needsKafka: boolean): void {
  if (settings.clickhouseUrl !== '' && (!needsKafka || settings.kafkaBrokers.length > 0)) return;
  throw new Problem(
    'nothing runs here (npm start, --data DIR); or set KAFKA_BROKERS and CLICKHOUSE_URL, with its user and password',
    2,
  );
}

async function run(): Promise<number> {
  const command = readCommand(process.argv.slice(2), Date.now());
  if (command === null) {
    process.stdout.write(`${help}\n`);
    return 0;
  }
  const servers = readRunningServers(process.env.WEIR_DATA_DIR ?? command.dataDir);
  const settings = readSettings({ ...servers, ...process.env });
  requireServers(settings, command.action === 'replay');
  return runCommand(command, settings);
}

// Whoever reads may have seen enough, like `head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
const exitCode = await run().catch((error: unknown) => {
  if (!(error instanceof Problem) && !(error instanceof DatabaseError)) throw error;
  process.stderr.write(`${error.message}\n`);
  return error instanceof Problem ? error.exitCode : 1;
});
// Output to a pipe may still be on its way, so the process ends by itself where it can.
process.exitCode = exitCode;
