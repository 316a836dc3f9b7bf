import { parseArgs } from 'node:util';
import { createKafka, createProducer, createTopics, type Kafka, type KafkaLog } from '../../pipelines/kafka.ts';
import { kafkaOptions, readRunningServers } from '../../pipelines/servers.ts';
import { formatProblems, parseSettings, type Settings } from '../../schemas/settings.ts';
import { stateRecordKey } from '../../schemas/state.ts';
import { encodeStateRecord } from '../../schemas/wire.ts';
import { type ApiKey, anyWorkspace, KeyRing, makeApiKey, roles, toStateRecord } from './api-keys.ts';
import { StateLog } from './state-log.ts';

const help = `npm run keys: makes, lists and revokes API keys of the query service.

  npm run keys -- make --name N --role R (--workspace W ... | --all-workspaces) [--days D]
  npm run keys -- list
  npm run keys -- revoke ID [--reason TEXT]

  --name N           who or what uses it
  --role R           viewer reads, operator also sends telemetry and commands, admin may do everything
  --workspace W      a workspace that it is for; may be given several times
  --all-workspaces   it is for every workspace
  --days D           it expires after so many days; never without it
  --data DIR         data folder of a running npm start; .weir without it
  --help             this text

A key is shown once, when it is made; what is kept is a hash. From the first key on, nobody is answered without one.
KAFKA_BROKERS names brokers of your own.`;

const badUsageExitCode = 2;

function endBadUsage(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(badUsageExitCode);
}

function readOptions() {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        name: text,
        role: text,
        workspace: { type: 'string', multiple: true },
        'all-workspaces': { type: 'boolean', default: false },
        days: text,
        reason: text,
        data: { ...text, default: '.weir' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return endBadUsage(`${(error as Error).message}\n\n${help}`);
  }
}

const { values: options, positionals } = readOptions();

function readSettings(): Settings {
  const servers = readRunningServers(process.env.WEIR_DATA_DIR ?? options.data);
  const parsed = parseSettings({ ...servers, ...process.env });
  if ('problems' in parsed) return endBadUsage(formatProblems(parsed.problems));
  if (parsed.settings.kafkaBrokers.length > 0) return parsed.settings;
  return endBadUsage('nothing runs here (npm start, --data DIR); or set KAFKA_BROKERS');
}

/** All keys as the topic has them now. */
async function readKeys(kafka: Kafka, topic: string): Promise<KeyRing> {
  const admin = kafka.admin();
  await admin.connect();
  await createTopics(admin, [{ topic, partitions: 1, retentionMs: -1 }], -1);
  await admin.disconnect();
  const keys = new KeyRing();
  const state = new StateLog(
    kafka,
    topic,
    (record) => keys.take(record),
    () => undefined,
  );
  await state.open();
  await state.close();
  return keys;
}

async function publish(kafka: Kafka, topic: string, key: ApiKey, reason: string): Promise<void> {
  const record = toStateRecord(key, 'npm run keys', Date.now(), reason);
  const producer = createProducer(kafka);
  await producer.connect();
  await producer.send({
    topic,
    acks: -1,
    messages: [{ key: stateRecordKey(record), value: encodeStateRecord(record) }],
  });
  await producer.disconnect();
}

function readWish() {
  const { name, role, workspace = [], days } = options;
  const workspaces = options['all-workspaces'] ? [anyWorkspace] : workspace;
  if (name === undefined || name === '') return endBadUsage('say with --name who uses the key');
  const known = roles.find((candidate) => candidate === role);
  if (known === undefined) return endBadUsage(`--role must be one of ${roles.join(', ')}`);
  if (workspaces.length === 0) return endBadUsage('say with --workspace what the key is for, or --all-workspaces');
  if (days !== undefined && !/^[1-9]\d{0,4}$/.test(days)) return endBadUsage('--days must be a whole number of days');
  const createdAtMs = Date.now();
  const expiresAtMs = days === undefined ? null : createdAtMs + Number(days) * 86_400_000;
  return { name, role: known, workspaces, createdAtMs, expiresAtMs };
}

function describeKey({ id, name, role, workspaces, createdAtMs, expiresAtMs, revokedAtMs }: ApiKey): string {
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  const expiry = expiresAtMs === null ? 'never expires' : `expires ${day(expiresAtMs)}`;
  const state = revokedAtMs === null ? expiry : `revoked ${day(revokedAtMs)}`;
  const where = workspaces.includes(anyWorkspace) ? 'all workspaces' : workspaces.join(', ');
  return `${id}  ${role}  ${where}  made ${day(createdAtMs)}, ${state}  ${name}`;
}

const stderrLog: KafkaLog = {
  warn: (_, message) => void process.stderr.write(`${message}\n`),
  debug: () => undefined,
};

if (options.help || positionals.length === 0) {
  process.stdout.write(`${help}\n`);
  process.exit(options.help ? 0 : badUsageExitCode);
}
const [action, id = ''] = positionals;
if (action !== 'make' && action !== 'list' && action !== 'revoke') endBadUsage(`${action} is no action\n\n${help}`);
const wish = action === 'make' ? readWish() : null;
const settings = readSettings();
const kafka = createKafka(kafkaOptions(settings), stderrLog);
const keys = await readKeys(kafka, settings.topicState);

if (wish !== null) {
  const { key, text } = makeApiKey(wish);
  await publish(kafka, settings.topicState, key, 'made');
  process.stdout.write(`${text}\n`);
  process.stderr.write(`key ${key.id} of ${key.name}: keep it now, it is not shown again\n`);
} else if (action === 'list') {
  const lines = keys.list().map(describeKey);
  process.stdout.write(lines.length === 0 ? 'no keys\n' : `${lines.join('\n')}\n`);
} else {
  const key = keys.get(id);
  if (key === undefined) endBadUsage(`there is no key ${id}; npm run keys -- list shows all`);
  await publish(kafka, settings.topicState, { ...key, revokedAtMs: Date.now() }, options.reason ?? 'revoked');
  process.stdout.write(`key ${id} is revoked\n`);
}
