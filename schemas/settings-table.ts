import {
  addresses,
  file,
  flag,
  folder,
  httpAddress,
  httpAddresses,
  type Kind,
  kafkaName,
  oneOf,
  origins,
  secretKey,
  someOf,
  sqlName,
  text,
  whole,
} from './setting-kinds.ts';

/**
 * Every setting of the product. To add one, add a row: it is then parsed, checked, documented in the README and part
 * of `Settings`. The key is the name in code, with its unit; `env` is the variable; `fallback` is written as a user
 * would write it, so that the README shows what is parsed.
 */
export interface Setting<Value> {
  env: string;
  kind: Kind<Value>;
  fallback: string;
  meaning: string;
  /** Never shown: not in problems, not in logs. */
  secret?: true;
}

const row = <Value>(setting: Setting<Value>): Setting<Value> => setting;

const port = whole({ min: 0, max: 65_535 });
const days = whole({ min: 1, max: 36_500, unit: 'days' });
const epoch = whole({ min: 1, max: 65_535 });
/** Revisions of state hold the epoch and an offset in one number that JSON carries exactly. */
const stateEpoch = whole({ min: 1, max: 31 });

export const settingsTable = {
  kafkaBrokers: row({
    env: 'KAFKA_BROKERS',
    kind: addresses,
    fallback: '',
    meaning: 'Brokers you already have. Empty: `npm start` and the tests run an embedded one.',
  }),
  kafkaTls: row({ env: 'KAFKA_TLS', kind: flag, fallback: 'false', meaning: 'Speak TLS with the brokers.' }),
  kafkaTlsCaFile: row({
    env: 'KAFKA_TLS_CA_FILE',
    kind: file,
    fallback: '',
    meaning: "PEM file of the authority that signed the brokers' certificates. Empty: the system's authorities.",
  }),
  kafkaTlsCertFile: row({
    env: 'KAFKA_TLS_CERT_FILE',
    kind: file,
    fallback: '',
    meaning: "PEM file of Weir's own certificate, where brokers ask for one.",
  }),
  kafkaTlsKeyFile: row({
    env: 'KAFKA_TLS_KEY_FILE',
    kind: file,
    fallback: '',
    meaning: "PEM file of that certificate's key.",
  }),
  kafkaSaslMechanism: row({
    env: 'KAFKA_SASL_MECHANISM',
    kind: oneOf(['', 'plain', 'scram-sha-256', 'scram-sha-512']),
    fallback: '',
    meaning: 'How to log in to the brokers. Empty: not at all.',
  }),
  kafkaSaslUsername: row({ env: 'KAFKA_SASL_USERNAME', kind: text, fallback: '', meaning: 'User to log in as.' }),
  kafkaSaslPassword: row({
    env: 'KAFKA_SASL_PASSWORD',
    kind: text,
    fallback: '',
    meaning: 'Password of that user.',
    secret: true,
  }),
  kafkaClientId: row({
    env: 'KAFKA_CLIENT_ID',
    kind: kafkaName,
    fallback: 'weir',
    meaning: "Name under which Weir appears in the brokers' logs and quotas.",
  }),
  clickhouseUrl: row({
    env: 'CLICKHOUSE_URL',
    kind: httpAddress,
    fallback: '',
    meaning: 'HTTP address of a ClickHouse you already have. Empty: `npm start` and the tests run an embedded one.',
  }),
  clickhouseUser: row({
    env: 'CLICKHOUSE_USER',
    kind: text,
    fallback: 'default',
    meaning: 'User that may create, alter and insert in the database.',
  }),
  clickhousePassword: row({
    env: 'CLICKHOUSE_PASSWORD',
    kind: text,
    fallback: '',
    meaning: 'Password of that user.',
    secret: true,
  }),
  clickhouseApiUser: row({
    env: 'CLICKHOUSE_API_USER',
    kind: text,
    fallback: '',
    meaning:
      'User that the query service reads as: read only, with a row filter for each workspace. Empty: `CLICKHOUSE_USER`.',
  }),
  clickhouseApiPassword: row({
    env: 'CLICKHOUSE_API_PASSWORD',
    kind: text,
    fallback: '',
    meaning: 'Password of that user.',
    secret: true,
  }),
  clickhouseDatabase: row({
    env: 'CLICKHOUSE_DATABASE',
    kind: sqlName,
    fallback: 'weir',
    meaning: 'Database that Weir keeps its tables in.',
  }),
  clickhouseTlsCaFile: row({
    env: 'CLICKHOUSE_TLS_CA_FILE',
    kind: file,
    fallback: '',
    meaning: "PEM file of the authority that signed ClickHouse's certificate. Empty: the system's authorities.",
  }),
  clickhouseFsync: row({
    env: 'WEIR_CLICKHOUSE_FSYNC',
    kind: flag,
    fallback: 'false',
    meaning: 'Wait for the disk on every insert, so that acknowledged rows survive a loss of power. Slower.',
  }),
  schemaRegistryUrl: row({
    env: 'SCHEMA_REGISTRY_URL',
    kind: httpAddress,
    fallback: '',
    meaning: 'Schema registry for records in the Confluent format. Empty: such records become dead letters.',
  }),
  schemaRegistryUser: row({ env: 'SCHEMA_REGISTRY_USER', kind: text, fallback: '', meaning: 'User at the registry.' }),
  schemaRegistryPassword: row({
    env: 'SCHEMA_REGISTRY_PASSWORD',
    kind: text,
    fallback: '',
    meaning: 'Password of that user.',
    secret: true,
  }),
  topicExecutions: row({
    env: 'WEIR_TOPIC_EXECUTIONS',
    kind: kafkaName,
    fallback: 'telemetry.executions',
    meaning: 'Topic of execution events.',
  }),
  topicTasks: row({
    env: 'WEIR_TOPIC_TASKS',
    kind: kafkaName,
    fallback: 'telemetry.tasks',
    meaning: 'Topic of task events.',
  }),
  topicOrchestrators: row({
    env: 'WEIR_TOPIC_ORCHESTRATORS',
    kind: kafkaName,
    fallback: 'telemetry.orchestrators',
    meaning: 'Topic of orchestrator events.',
  }),
  topicState: row({
    env: 'WEIR_TOPIC_STATE',
    kind: kafkaName,
    fallback: 'weir.state',
    meaning: 'Topic of what people set up: rules, silences, definitions and the like. One partition, kept for ever.',
  }),
  topicAlerts: row({
    env: 'WEIR_TOPIC_ALERTS',
    kind: kafkaName,
    fallback: 'weir.alerts',
    meaning: 'Topic of changes of alerts, keyed by alert.',
  }),
  topicCommands: row({
    env: 'WEIR_TOPIC_COMMANDS',
    kind: kafkaName,
    fallback: 'weir.commands',
    meaning: 'Topic of what orchestrators are asked to do, and of what they answer.',
  }),
  streamEpochExecutions: row({
    env: 'WEIR_STREAM_EPOCH_EXECUTIONS',
    kind: epoch,
    fallback: '1',
    meaning: 'Raise by one when the executions topic was deleted and made again.',
  }),
  streamEpochTasks: row({
    env: 'WEIR_STREAM_EPOCH_TASKS',
    kind: epoch,
    fallback: '1',
    meaning: 'Raise by one when the tasks topic was deleted and made again.',
  }),
  streamEpochOrchestrators: row({
    env: 'WEIR_STREAM_EPOCH_ORCHESTRATORS',
    kind: epoch,
    fallback: '1',
    meaning: 'Raise by one when the orchestrators topic was deleted and made again.',
  }),
  streamEpochState: row({
    env: 'WEIR_STREAM_EPOCH_STATE',
    kind: stateEpoch,
    fallback: '1',
    meaning: 'Raise by one when the state topic was deleted and made again; what was set up before stays.',
  }),
  groupId: row({
    env: 'WEIR_GROUP_ID',
    kind: kafkaName,
    fallback: 'weir-pipelines',
    meaning: 'Consumer group of the pipelines; instances with the same group share the partitions.',
  }),
  partitions: row({
    env: 'WEIR_PARTITIONS',
    kind: whole({ min: 1, max: 1000 }),
    fallback: '4',
    meaning: 'Partitions of the topics that Weir makes. Topics that exist stay as they are.',
  }),
  topicRetentionDays: row({
    env: 'WEIR_TOPIC_RETENTION_DAYS',
    kind: days,
    fallback: '30',
    meaning: 'How long the topics keep records; set it to the longest of your own topics as well.',
  }),
  rawRetentionDays: row({
    env: 'WEIR_RAW_RETENTION_DAYS',
    kind: days,
    fallback: '60',
    meaning: 'How long raw rows live after their event time; at least 16 days more than the topics.',
  }),
  cellsRetentionDays: row({
    env: 'WEIR_CELLS_RETENTION_DAYS',
    kind: days,
    fallback: '90',
    meaning: 'How long minute cells live after they were written; at least 9 days more than the topics.',
  }),
  hourRetentionDays: row({
    env: 'WEIR_HOUR_RETENTION_DAYS',
    kind: days,
    fallback: '400',
    meaning: 'How long hours live after they were computed; at least as long as the cells that they sum up.',
  }),
  dayRetentionDays: row({
    env: 'WEIR_DAY_RETENTION_DAYS',
    kind: days,
    fallback: '1100',
    meaning: 'How long days live after they were computed; at least as long as hours.',
  }),
  entityRetentionDays: row({
    env: 'WEIR_ENTITY_RETENTION_DAYS',
    kind: days,
    fallback: '90',
    meaning:
      'How long the latest state of an execution or attempt lives after its last event; at least 16 days more than the topics.',
  }),
  deadLetterRetentionDays: row({
    env: 'WEIR_DEAD_LETTER_RETENTION_DAYS',
    kind: days,
    fallback: '60',
    meaning: 'How long dead letters and drops are kept with their reasons; at least 2 days more than the topics.',
  }),
  deadLetterBytesRetentionDays: row({
    env: 'WEIR_DEAD_LETTER_BYTES_RETENTION_DAYS',
    kind: days,
    fallback: '14',
    meaning: 'How long the original bytes of dead letters are kept, which only the writer may read.',
  }),
  chunkRecords: row({
    env: 'WEIR_CHUNK_RECORDS',
    kind: whole({ min: 64, max: 16_777_216, unit: 'offsets', powerOfTwo: true }),
    fallback: '16384',
    meaning:
      'Offsets in a chunk, the unit of commits: what a restart folds again, and whose cells are held in memory; of orchestrators a thirty-second part. Fixed for a stream once it has been read.',
  }),
  flushRows: row({
    env: 'WEIR_FLUSH_ROWS',
    kind: whole({ min: 1, max: 1_000_000, unit: 'rows' }),
    fallback: '60000',
    meaning: 'Rows after which they are written to ClickHouse, however young.',
  }),
  flushIntervalMs: row({
    env: 'WEIR_FLUSH_INTERVAL_MS',
    kind: whole({ min: 10, max: 60_000, unit: 'ms' }),
    fallback: '1000',
    meaning: 'Age at which rows are written to ClickHouse, however few.',
  }),
  historyRecords: row({
    env: 'WEIR_HISTORY_RECORDS',
    kind: whole({ min: 1, max: 10_000_000, unit: 'records' }),
    fallback: '100000',
    meaning:
      'Records a process remembers, over all its partitions, to find duplicates, starts and earlier ends without asking ClickHouse.',
  }),
  rollupIntervalMs: row({
    env: 'WEIR_ROLLUP_INTERVAL_MS',
    kind: whole({ min: 100, max: 3_600_000, unit: 'ms' }),
    fallback: '5000',
    meaning: 'How often hours and days are brought up to date. The newest ones are read from minutes and never wait.',
  }),
  maxValueBytes: row({
    env: 'WEIR_MAX_VALUE_BYTES',
    kind: whole({ min: 1024, max: 100_000_000, unit: 'bytes' }),
    fallback: '5000000',
    meaning: 'A record with a larger value becomes a dead letter.',
  }),
  latenessBoundMs: row({
    env: 'WEIR_LATENESS_BOUND_MS',
    kind: whole({ min: 0, max: 86_400_000, unit: 'ms' }),
    fallback: '30000',
    meaning: 'How far the watermark stays behind the newest event time. Later events still count.',
  }),
  metricsHost: row({
    env: 'WEIR_METRICS_HOST',
    kind: text,
    fallback: '127.0.0.1',
    meaning: 'Address on which each process serves /metrics, /health and /ready.',
  }),
  metricsPort: row({
    env: 'WEIR_METRICS_PORT',
    kind: port,
    fallback: '19464',
    meaning: 'Port of the same; 0 takes a free one.',
  }),
  demoMetricsPort: row({
    env: 'WEIR_DEMO_METRICS_PORT',
    kind: port,
    fallback: '19465',
    meaning: 'The same for the demo producer of `npm start`.',
  }),
  apiHost: row({
    env: 'WEIR_API_HOST',
    kind: text,
    fallback: '127.0.0.1',
    meaning: 'Address on which the query service answers. Others than loopback need an API key or a JWKS first.',
  }),
  apiPort: row({
    env: 'WEIR_API_PORT',
    kind: port,
    fallback: '18080',
    meaning: 'Port of the same; 0 takes a free one.',
  }),
  apiMetricsPort: row({
    env: 'WEIR_API_METRICS_PORT',
    kind: port,
    fallback: '19466',
    meaning: 'What `WEIR_METRICS_PORT` is for others, for the query service of `npm start`.',
  }),
  alertsMetricsPort: row({
    env: 'WEIR_ALERTS_METRICS_PORT',
    kind: port,
    fallback: '19468',
    meaning: 'What `WEIR_METRICS_PORT` is for others, for the alerts process of `npm start`.',
  }),
  insightRefreshMinutes: row({
    env: 'WEIR_INSIGHT_REFRESH_MINUTES',
    kind: whole({ min: 0, max: 10_080, unit: 'minutes' }),
    fallback: '15',
    meaning:
      'How old the analyses of a workflow may be, once something new was heard of it, before they are due again.',
  }),
  insightExecutions: row({
    env: 'WEIR_INSIGHT_EXECUTIONS',
    kind: whole({ min: 5, max: 1_000, unit: 'executions' }),
    fallback: '200',
    meaning: 'Newest executions of a workflow that its analyses look at.',
  }),
  insightMetricsPort: row({
    env: 'WEIR_INSIGHT_METRICS_PORT',
    kind: port,
    fallback: '19467',
    meaning: 'What `WEIR_METRICS_PORT` is for others, for the job of analyses of `npm start`.',
  }),
  alertShards: row({
    env: 'WEIR_ALERT_SHARDS',
    kind: whole({ min: 1, max: 64 }),
    fallback: '1',
    meaning: 'Evaluators of alerts that share the sources among them, each an instance of its own.',
  }),
  alertShard: row({
    env: 'WEIR_ALERT_SHARD',
    kind: whole({ min: 0, max: 63 }),
    fallback: '0',
    meaning: 'Which of them this one is, from 0.',
  }),
  apiOrigins: row({
    env: 'WEIR_API_ORIGINS',
    kind: origins,
    fallback: '',
    meaning: 'Web pages that may call the query service from a browser, by their origin. Empty: none but its own.',
  }),
  apiRequestsPerMinute: row({
    env: 'WEIR_API_REQUESTS_PER_MINUTE',
    kind: whole({ min: 1, max: 1_000_000, unit: 'requests' }),
    fallback: '6000',
    meaning: 'Requests that one caller, told by key or address, may make a minute.',
  }),
  apiMaxBodyBytes: row({
    env: 'WEIR_API_MAX_BODY_BYTES',
    kind: whole({ min: 1024, max: 100_000_000, unit: 'bytes' }),
    fallback: '10000000',
    meaning: 'Largest body of a request.',
  }),
  apiSlowQueryMs: row({
    env: 'WEIR_API_SLOW_QUERY_MS',
    kind: whole({ min: 1, max: 600_000, unit: 'ms' }),
    fallback: '1000',
    meaning: 'Questions to ClickHouse that take longer are logged with their name.',
  }),
  liveMaxClients: row({
    env: 'WEIR_LIVE_MAX_CLIENTS',
    kind: whole({ min: 1, max: 100_000, unit: 'clients' }),
    fallback: '5000',
    meaning: 'Live sockets that one query service holds open.',
  }),
  liveMaxSubscriptions: row({
    env: 'WEIR_LIVE_MAX_SUBSCRIPTIONS',
    kind: whole({ min: 1, max: 100_000, unit: 'topics' }),
    fallback: '500',
    meaning: 'Topics that one live socket follows at once.',
  }),
  liveBufferBytes: row({
    env: 'WEIR_LIVE_BUFFER_BYTES',
    kind: whole({ min: 16_384, max: 1_000_000_000, unit: 'bytes' }),
    fallback: '1000000',
    meaning: 'Bytes that may wait for a client that reads slowly; beyond that it misses messages and is told how many.',
  }),
  liveFramesPerMinute: row({
    env: 'WEIR_LIVE_FRAMES_PER_MINUTE',
    kind: whole({ min: 1, max: 1_000_000, unit: 'frames' }),
    fallback: '1200',
    meaning: 'Frames that a client may send a minute; one that sends more is closed.',
  }),
  liveHeartbeatMs: row({
    env: 'WEIR_LIVE_HEARTBEAT_MS',
    kind: whole({ min: 100, max: 600_000, unit: 'ms' }),
    fallback: '30000',
    meaning: 'How often clients are asked whether they are there; who has not answered the last time is cut off.',
  }),
  jwtJwksUrl: row({
    env: 'WEIR_JWT_JWKS_URL',
    kind: httpAddress,
    fallback: '',
    meaning: 'Public keys of an OpenID provider whose tokens are taken. Empty: API keys only.',
  }),
  jwtIssuer: row({ env: 'WEIR_JWT_ISSUER', kind: text, fallback: '', meaning: 'Issuer that such tokens must name.' }),
  jwtAudience: row({
    env: 'WEIR_JWT_AUDIENCE',
    kind: text,
    fallback: '',
    meaning: 'Audience that such tokens must name.',
  }),
  jwtWorkspacesClaim: row({
    env: 'WEIR_JWT_WORKSPACES_CLAIM',
    kind: text,
    fallback: 'workspaces',
    meaning: 'Claim that lists the workspaces of a caller; `*` stands for all.',
  }),
  jwtRoleClaim: row({
    env: 'WEIR_JWT_ROLE_CLAIM',
    kind: text,
    fallback: 'role',
    meaning: 'Claim that holds the role: viewer, operator or admin. Without it: viewer.',
  }),
  secretsKey: row({
    env: 'WEIR_SECRETS_KEY',
    kind: secretKey,
    fallback: '',
    meaning:
      'Closes what people set up and few may read: addresses and secrets of webhooks. The same for the query service and the alerts process, and kept. Empty: no webhooks; `npm start` makes one.',
    secret: true,
  }),
  webhookPrivateTargets: row({
    env: 'WEIR_WEBHOOK_PRIVATE_TARGETS',
    kind: flag,
    fallback: 'false',
    meaning:
      'Let webhooks lead to private and loopback addresses too: only where all who may subscribe may reach those.',
  }),
  webhookTimeoutMs: row({
    env: 'WEIR_WEBHOOK_TIMEOUT_MS',
    kind: whole({ min: 100, max: 120_000, unit: 'ms' }),
    fallback: '10000',
    meaning: 'How long a webhook may take to answer.',
  }),
  webhookAttempts: row({
    env: 'WEIR_WEBHOOK_ATTEMPTS',
    kind: whole({ min: 1, max: 20 }),
    fallback: '8',
    meaning:
      'Tries of a delivery before it becomes a dead letter; with the next setting as it is, the last comes after half an hour.',
  }),
  webhookRetryMs: row({
    env: 'WEIR_WEBHOOK_RETRY_MS',
    kind: whole({ min: 10, max: 600_000, unit: 'ms' }),
    fallback: '2000',
    meaning: 'Wait before the second try, and three times as long before each further one, up to ten minutes.',
  }),
  autoRemedies: row({
    env: 'WEIR_AUTO_REMEDIES',
    kind: someOf(['restart_task', 'scale_resources', 'scale_up', 'circuit_break']),
    fallback: '',
    meaning:
      'What orchestrators are asked for as soon as an alert fires that it helps against, with this setting on record as who approved. Empty: nothing, somebody approves each.',
  }),
  alertmanagerUrls: row({
    env: 'WEIR_ALERTMANAGER_URLS',
    kind: httpAddresses,
    fallback: '',
    meaning: 'Alertmanagers that are told of alerts, each of all of them. Empty: none.',
  }),
  alertmanagerResendMs: row({
    env: 'WEIR_ALERTMANAGER_RESEND_MS',
    kind: whole({ min: 1000, max: 600_000, unit: 'ms' }),
    fallback: '60000',
    meaning:
      'How often they are told again of those that fire; they take one for ended that was not repeated four times.',
  }),
  publicUrl: row({
    env: 'WEIR_PUBLIC_URL',
    kind: httpAddress,
    fallback: '',
    meaning:
      'Address under which people reach the query service, for links in what they are told. Empty: its host and port.',
  }),
  kafkaPort: row({
    env: 'WEIR_KAFKA_PORT',
    kind: port,
    fallback: '19092',
    meaning: 'Port of the embedded broker; a free one is taken when it is busy, as with all ports of `npm start`.',
  }),
  kafkaControllerPort: row({
    env: 'WEIR_KAFKA_CONTROLLER_PORT',
    kind: port,
    fallback: '19093',
    meaning: "Port of the embedded broker's controller.",
  }),
  clickhouseHttpPort: row({
    env: 'WEIR_CLICKHOUSE_HTTP_PORT',
    kind: port,
    fallback: '18123',
    meaning: 'HTTP port of the embedded ClickHouse.',
  }),
  clickhouseTcpPort: row({
    env: 'WEIR_CLICKHOUSE_TCP_PORT',
    kind: port,
    fallback: '19000',
    meaning: 'Native port of the embedded ClickHouse.',
  }),
  dataDir: row({
    env: 'WEIR_DATA_DIR',
    kind: folder,
    fallback: '.weir',
    meaning: 'Folder of the embedded servers of `npm start`.',
  }),
  cacheDir: row({
    env: 'WEIR_CACHE_DIR',
    kind: folder,
    fallback: '',
    meaning: "Folder of the broker's jars. Empty: `weir` in the user's cache folder.",
  }),
  mavenMirrorUrl: row({
    env: 'MAVEN_MIRROR_URL',
    kind: httpAddress,
    fallback: '',
    meaning: 'Maven repository to fetch the jars from. Empty: the public one.',
  }),
  logLevel: row({
    env: 'WEIR_LOG_LEVEL',
    kind: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    fallback: 'info',
    meaning: 'Least important lines to log.',
  }),
  logFormat: row({
    env: 'WEIR_LOG_FORMAT',
    kind: oneOf(['auto', 'json', 'pretty']),
    fallback: 'auto',
    meaning: 'Log format; auto is pretty on a terminal and JSON elsewhere.',
  }),
  demoRatePerSecond: row({
    env: 'WEIR_DEMO_RATE',
    kind: whole({ min: 0, max: 100_000, unit: 'events/s' }),
    fallback: '0',
    meaning:
      'Events of executions and tasks that the demo sends a second once it is live, on average. 0: as many as in its history, about one.',
  }),
  demoHistoryDays: row({
    env: 'WEIR_DEMO_HISTORY_DAYS',
    kind: whole({ min: 0, max: 28, unit: 'days' }),
    fallback: '14',
    meaning: 'Days of history that the demo makes at its first start; fewer than the topics keep.',
  }),
  scenario: row({
    env: 'WEIR_SCENARIO',
    kind: oneOf(['demo', 'quiet-fleet', 'incidents', 'black-friday', 'migration', 'chaos-of-clocks', 'big-fleet']),
    fallback: 'demo',
    meaning: 'What the demo plays; `npm start -- --scenario NAME` says the same.',
  }),
  seed: row({
    env: 'WEIR_SEED',
    kind: whole({ min: 0, max: 4_294_967_295 }),
    fallback: '1',
    meaning: "Seed of the demo producer's events; the same seed makes the same events.",
  }),
  parentGuard: row({
    env: 'WEIR_PARENT_GUARD',
    kind: oneOf(['', 'stdin']),
    fallback: '',
    meaning: 'Set by `npm start` for its children: stdin stops the process when its standard input ends.',
  }),
};
