import { Database } from '../../clickhouse/client.ts';
import { durableQuestion } from '../../clickhouse/queries/live-states.ts';
import { WorkspaceReader } from '../../clickhouse/question.ts';
import { createDecoder, type TopicKind } from '../../pipelines/decode.ts';
import { commandTopicSpec, createKafka, createTopics, stateTopicSpec } from '../../pipelines/kafka.ts';
import { startProcess } from '../../pipelines/process.ts';
import { SchemaRegistry } from '../../pipelines/schema-registry.ts';
import { kafkaOptions, readingDatabaseOptions } from '../../pipelines/servers.ts';

import { StatePublisher } from '../../pipelines/state/publisher.ts';
import { AnalysisThreads } from '../insight/analysis-threads.ts';

import { LedgerWatch } from '../live/ledger-watch.ts';
import { LiveHub } from '../live/live-hub.ts';
import { createLiveMetrics } from '../live/metrics.ts';
import { PatternWatch } from '../live/pattern-watch.ts';
import { Analyst } from './analyst.ts';
import { KeyRing } from './api-keys.ts';
import { buildApp } from './app.ts';
import { Authenticator, isLoopbackHost } from './auth.ts';
import { CommandDesk } from './command-desk.ts';
import { EventGate } from './incoming-events.ts';
import { KeyStore } from './key-store.ts';
import { createQueryMetrics } from './metrics.ts';
import { Publisher } from './publisher.ts';
import { StateDesk } from './state-desk.ts';
import { StateLog } from './state-log.ts';
import { watchStore } from './store-watch.ts';

const { settings, log, registry, reportReadiness, onStop, stop } = await startProcess({ name: 'query' });
const metrics = createQueryMetrics(registry);

const database = new Database(readingDatabaseOptions(settings));
onStop('clickhouse', () => database.close());
const store = watchStore(database, log);
onStop('watch of clickhouse', () => store.stop());

// Analyses are mostly answered from what was computed; two that are asked for anew take as many cores.
const threads = new AnalysisThreads({
  database: readingDatabaseOptions(settings),
  threads: 2,
  waitingMost: 64,
  timeoutMs: 30_000,
  heapMb: 1500,
});
onStop('analyses', () => threads.close());

const kafka = createKafka({ ...kafkaOptions(settings), clientId: `${settings.kafkaClientId}-query` }, log);
const publisher = new Publisher({
  kafka,
  nowMs: Date.now,
  onAcknowledged: (topic, events) => metrics.published.inc({ topic }, events),
});
onStop('producer', () => publisher.close());
const { topicState, streamEpochState: epoch } = settings;
const statePublisher = new StatePublisher({ kafka, database, topic: topicState, epoch });
onStop('producer of state', () => statePublisher.close());

const keys = new KeyRing();
const { jwtJwksUrl: jwksUrl, jwtIssuer: issuer, jwtAudience: audience } = settings;
const { jwtWorkspacesClaim: workspacesClaim, jwtRoleClaim: roleClaim } = settings;
const jwt = jwksUrl === '' ? null : { jwksUrl, issuer, audience, workspacesClaim, roleClaim };
const auth = new Authenticator({ keys, jwt, nowMs: Date.now });

// Nobody is answered before all keys are known: without them everybody here would be the administrator.
reportReadiness(() => 'reading the keys from Kafka');
await readKeys();
if (auth.isOpen && !isLoopbackHost(settings.apiHost)) {
  log.fatal(
    { host: settings.apiHost },
    'without API keys and a JWKS the service listens on loopback only: make a key with npm run keys, or set WEIR_JWT_JWKS_URL, or set WEIR_API_HOST to 127.0.0.1',
  );
  await stop('no keys', 2);
}

const topics = {
  executions: settings.topicExecutions,
  tasks: settings.topicTasks,
  orchestrators: settings.topicOrchestrators,
};
const streams = {
  executions: `${topics.executions}@${settings.streamEpochExecutions}`,
  tasks: `${topics.tasks}@${settings.streamEpochTasks}`,
  orchestrators: `${topics.orchestrators}@${settings.streamEpochOrchestrators}`,
};
const liveMetrics = createLiveMetrics(registry);
const hub = createHub();
onStop('live sockets', () => hub.close());
const patterns = new PatternWatch({ hub, readerOf: (workspace) => internalReader(workspace), log, intervalMs: 5_000 });
onStop('watch of patterns', () => patterns.stop());
patterns.start();
const app = await buildApp({
  database,
  auth,
  metrics,
  log: log.child({}, { serializers: { req: () => undefined, res: () => undefined } }),
  publisher,
  gate: new EventGate(topics, settings.maxValueBytes),
  streams,
  live: {
    hub,
    patterns,
    metrics: liveMetrics,
    mostClients: settings.liveMaxClients,
    mostSubscriptions: settings.liveMaxSubscriptions,
    bufferBytes: settings.liveBufferBytes,
    framesPerMinute: settings.liveFramesPerMinute,
  },
  state: new StateDesk(statePublisher),
  automaticRemedies: settings.autoRemedies,
  webhookRules: { secretsKey: settings.secretsKey, mayBeInner: settings.webhookPrivateTargets },
  analyst: new Analyst(threads, Date.now),
  keys: new KeyStore({ ring: keys, publisher, topic: settings.topicState, nowMs: Date.now }),
  commands: new CommandDesk({ publisher, topic: settings.topicCommands, nowMs: Date.now }),
  entityRetentionDays: settings.entityRetentionDays,
  nowMs: Date.now,
  origins: settings.apiOrigins,
  requestsPerMinute: settings.apiRequestsPerMinute,
  maxBodyBytes: settings.apiMaxBodyBytes,
  slowQuestionMs: settings.apiSlowQueryMs,
});
// Requests under way are answered before what they use is closed.
onStop('api', () => app.close());
const address = await listen();
log.info({ address }, 'answering');
let canChange = false;
const whyNotPublishing = () => (publisher.isConnected && canChange ? '' : 'Kafka cannot be reached');
reportReadiness(() => store.whyNotReady() || whyNotPublishing() || hub.whyNotReady());
const connecting = Promise.all([publisher.connect(), statePublisher.connect()]).then(() => {
  canChange = true;
});
await Promise.all([connecting, hub.open()]);

async function readKeys(): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  const retentionMs = settings.topicRetentionDays * 86_400_000;
  const alerts = { topic: settings.topicAlerts, partitions: settings.partitions, retentionMs };
  const commands = commandTopicSpec(settings.topicCommands, settings.partitions);
  await createTopics(admin, [stateTopicSpec(settings.topicState), commands, alerts], -1);
  await admin.disconnect();
  const state = new StateLog(
    kafka,
    settings.topicState,
    (record) => keys.take(record),
    (offset, error) => log.warn({ offset, err: error }, 'a record of the topic of state cannot be read'),
  );
  onStop('state', () => state.close());
  await state.open();
}

/** Asks for the live sockets, not for a request. */
function internalReader(workspace: string): WorkspaceReader {
  return new WorkspaceReader(database, { workspace, requestId: 'live' }, ({ name: question, durationMs }) =>
    metrics.questionSeconds.observe({ question }, durationMs / 1000),
  );
}

/** What clients follow is read from Kafka as the pipelines read it, and their snapshots wait for what these have stored. */
function createHub(): LiveHub {
  const { schemaRegistryUrl: url, schemaRegistryUser: username, schemaRegistryPassword: password } = settings;
  const schemas = url === '' ? null : new SchemaRegistry({ url, username, password });
  const decoderOf = (kind: TopicKind) =>
    createDecoder({ kind, registry: schemas, maxValueBytes: settings.maxValueBytes });
  const ledger = internalReader('');
  return new LiveHub({
    kafka,
    topics: { ...topics, alerts: settings.topicAlerts },
    streams,
    decoders: {
      executions: decoderOf('executions'),
      tasks: decoderOf('tasks'),
      orchestrators: decoderOf('orchestrators'),
    },
    ledger: new LedgerWatch(() => ledger.ask(durableQuestion, { streams: Object.values(streams) }), Date.now),
    metrics: liveMetrics,
    log,
    nowMs: Date.now,
    heartbeatMs: settings.liveHeartbeatMs,
  });
}

/** Several may run on one machine; a busy port is replaced by a free one, and that is said. */
async function listen(): Promise<string> {
  const { apiHost: host, apiPort: port } = settings;
  try {
    return await app.listen({ host, port });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    log.warn(`port ${port} is busy`);
    return await app.listen({ host, port: 0 });
  }
}
