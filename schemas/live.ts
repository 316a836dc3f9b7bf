import { type TSchema, Type } from 'typebox';
import { Count, closed, Instant, maybeInstant, maybeNumber, maybeText, nullable } from './api/parts.ts';

/**
 * What clients and the live sockets say to each other. Topics and types of messages are those of the source documents;
 * the table in the README is made from here.
 */

/** What may be followed: a kind alone, or a kind, a colon and an id. */
export const liveTopicKinds = {
  execution: 'one execution and its tasks, by its id',
  workflow: 'all executions of a workflow and their tasks, by its id',
  task: 'a task in all executions of all workflows, by its id',
  pattern: 'patterns of a workflow, by its id, or of one type in any workflow, by the name of the type',
  orchestrator: 'everything that an orchestrator reports, by its id',
  'worker-pool': 'a worker pool, its workers and its scaling, by its id',
  coordination: 'how the parts of an orchestrator agree, by its id',
  'scaling-events': 'scaling of any pool',
  alerts: 'changes of alerts',
} as const;
export type LiveTopicKind = keyof typeof liveTopicKinds;

/** Kinds that are about the whole workspace and take no id. */
export const wholeTopicKinds: ReadonlySet<string> = new Set(['scaling-events', 'alerts'] satisfies LiveTopicKind[]);

/** A frame of a client is small; whatever is larger ends the connection. */
export const mostFrameBytes = 16_384;
const mostTopicCharacters = 600;

/** Offered by browsers beside the one that carries the key, and the one that the service chooses. */
export const liveProtocol = 'weir.live.v1';
/** In front of a key or token among the protocols that a browser offers. */
export const bearerProtocolPrefix = 'bearer.';

const topic = Type.String({ minLength: 1, maxLength: mostTopicCharacters });
/** The documents' own clients repeat the id beside the topic; it is not read. */
const repeatedIds = {
  executionId: Type.Optional(Type.String()),
  workflowId: Type.Optional(Type.String()),
  taskId: Type.Optional(Type.String()),
  orchestratorId: Type.Optional(Type.String()),
  poolId: Type.Optional(Type.String()),
};

/** What a client may send. */
export const clientFrames = {
  subscribe: Type.Object(
    {
      action: Type.Literal('subscribe'),
      topic,
      source: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
      snapshot: Type.Optional(Type.Boolean()),
      ...repeatedIds,
    },
    closed,
  ),
  unsubscribe: Type.Object(
    { action: Type.Literal('unsubscribe'), topic, source: Type.Optional(Type.String()), ...repeatedIds },
    closed,
  ),
  ping: Type.Object({ action: Type.Literal('ping') }, closed),
};

const failure = nullable(Type.Object({ type: Type.String(), code: Type.String(), message: Type.String() }));
const resources = Type.Object({ cpuSeconds: maybeNumber, memoryMB: maybeNumber, cost: maybeNumber });
const numbers = Type.Record(Type.String(), Type.Number());
const texts = Type.Record(Type.String(), Type.String());

export const ExecutionUpdate = Type.Object({
  id: Type.String(),
  workflowId: Type.String(),
  workflowName: Type.String(),
  workflowVersion: Type.String(),
  source: Type.String(),
  project: Type.String(),
  executionNumber: nullable(Type.Integer()),
  attempt: Count,
  status: Type.Object({
    state: Type.String({ examples: ['running'] }),
    progress: maybeNumber,
    phase: Type.String(),
    substatus: maybeText,
  }),
  trigger: Type.Object({ type: Type.String(), source: Type.String() }),
  startTime: maybeInstant,
  endTime: maybeInstant,
  duration: nullable(Type.Number({ description: 'milliseconds' })),
  queueTime: nullable(Type.Number({ description: 'milliseconds' })),
  resources,
  error: failure,
  cancelReason: maybeText,
  parentExecutionId: maybeText,
  timestamp: Instant,
});

export const TaskUpdate = Type.Object({
  id: Type.String({ description: 'id of the task within its workflow' }),
  executionId: Type.String(),
  workflowId: Type.String(),
  source: Type.String(),
  project: Type.String(),
  taskName: Type.String(),
  taskType: Type.String(),
  mapIndex: nullable(Type.Integer()),
  attempt: Count,
  status: Type.Object({ state: Type.String({ examples: ['queued'] }) }),
  readyTime: maybeInstant,
  startTime: maybeInstant,
  endTime: maybeInstant,
  duration: nullable(Type.Number({ description: 'milliseconds' })),
  queueTime: nullable(Type.Number({ description: 'milliseconds' })),
  resources,
  pool: maybeText,
  queue: maybeText,
  worker: maybeText,
  error: failure,
  timestamp: Instant,
});

export const TaskFailure = Type.Object({
  taskId: Type.String(),
  executionId: Type.String(),
  workflowId: Type.String(),
  source: Type.String(),
  mapIndex: nullable(Type.Integer()),
  attempt: Count,
  state: Type.String({ description: 'failed or timeout' }),
  errorType: Type.String(),
  errorCode: Type.String(),
  errorMessage: Type.String(),
  worker: maybeText,
  timestamp: Instant,
});

const ScalingUpdate = Type.Object({
  id: Type.String(),
  orchestratorId: Type.String(),
  poolId: Type.String(),
  source: Type.String(),
  timestamp: Instant,
  action: Type.String({ examples: ['scale_up'] }),
  fromCount: nullable(Type.Integer()),
  toCount: nullable(Type.Integer()),
  reason: Type.String(),
  metrics: numbers,
  success: nullable(Type.Boolean()),
  duration: nullable(Type.Number({ description: 'milliseconds' })),
  costImpact: maybeNumber,
  commandId: maybeText,
});

/** The parts of a report differ by its kind; they have the names of the documents' interfaces. */
const report = {
  source: Type.String(),
  orchestratorId: Type.String(),
  orchestratorType: Type.String(),
  instanceId: Type.String(),
  clusterName: Type.String(),
  timestamp: Instant,
};
const OrchestratorUpdate = Type.Object({
  ...report,
  kind: Type.String({ description: 'orchestrator_metrics, queue_metrics, scheduling_decision or load_balancing' }),
});
const WorkerUpdate = Type.Object({ ...report, kind: Type.String({ description: 'worker_pool or worker' }) });
const CoordinationUpdate = Type.Object({
  ...report,
  eventId: Type.String(),
  eventType: Type.String(),
  details: texts,
  participants: Type.Array(Type.String()),
  outcome: Type.String(),
});

const PatternUpdate = Type.Object({
  workflowId: Type.String(),
  source: Type.String(),
  patternType: Type.String({ examples: ['map_reduce', 'periodic', 'failure'] }),
  detectedAt: Instant,
  pattern: Type.Unknown({ description: 'as the analysis of patterns gives it' }),
});

/** An AlertRecord under its own names, instants as text. */
const AlertUpdate = Type.Object({
  alert_id: Type.String(),
  notification_id: Type.String(),
  rule_id: Type.String(),
  severity: Type.String(),
  state: Type.String(),
  previous_state: maybeText,
  subject_kind: Type.String(),
  subject_id: Type.String(),
  title: Type.String(),
  event_time: Instant,
});

const followed = { topic: Type.String() };
const ofTask = { ...followed, taskId: Type.String() };
const typed = <Name extends string, Members extends Record<string, TSchema>>(name: Name, members: Members) =>
  Type.Object({ type: Type.Literal(name), ...members });

/** What is told of a topic, by its type: what it tells, and of which topics. */
export const liveMessages = {
  execution_update: {
    topics: ['execution', 'workflow'],
    tells: 'a change of an execution',
    schema: typed('execution_update', { ...followed, payload: ExecutionUpdate }),
  },
  task_update: {
    topics: ['execution', 'workflow'],
    tells: 'a change of one of its tasks',
    schema: typed('task_update', { ...followed, payload: TaskUpdate }),
  },
  task_execution: {
    topics: ['task'],
    tells: 'a change of the task in some execution',
    schema: typed('task_execution', { ...ofTask, payload: TaskUpdate }),
  },
  task_failure: {
    topics: ['task'],
    tells: 'an attempt that failed or timed out, after its `task_execution`',
    schema: typed('task_failure', { ...ofTask, payload: TaskFailure }),
  },
  pattern_detected: {
    topics: ['pattern'],
    tells: 'a pattern that the newest analysis found and the one before had not',
    schema: typed('pattern_detected', { ...followed, payload: PatternUpdate }),
  },
  orchestrator_update: {
    topics: ['orchestrator'],
    tells: 'its metrics, a queue, a scheduling decision or the balance of load',
    schema: typed('orchestrator_update', { ...followed, payload: OrchestratorUpdate }),
  },
  worker_update: {
    topics: ['orchestrator', 'worker-pool'],
    tells: 'a worker pool, or a worker in it',
    schema: typed('worker_update', { ...followed, payload: WorkerUpdate }),
  },
  scaling_event: {
    topics: ['orchestrator', 'worker-pool', 'scaling-events'],
    tells: 'a change of the size of a pool, or the decision not to change it',
    schema: typed('scaling_event', { ...followed, payload: ScalingUpdate }),
  },
  coordination_event: {
    topics: ['orchestrator', 'coordination'],
    tells: 'an election, a lock, a partition, or a summary of these',
    schema: typed('coordination_event', { ...followed, payload: CoordinationUpdate }),
  },
  alert: {
    topics: ['alerts'],
    tells: 'a change of the state of an alert',
    schema: typed('alert', { ...followed, payload: AlertUpdate }),
  },
} as const satisfies Record<string, { topics: readonly LiveTopicKind[]; tells: string; schema: TSchema }>;
export type LiveMessageType = keyof typeof liveMessages;

/** What is said about the conversation itself. */
export const controlMessages = {
  subscribed: typed('subscribed', followed),
  unsubscribed: typed('unsubscribed', followed),
  snapshot: typed('snapshot', {
    ...followed,
    complete: Type.Boolean({ description: 'everything that was on Kafka when the topic was subscribed is in it' }),
    truncated: Type.Boolean({ description: 'there is more than is listed' }),
    messages: Type.Array(Type.Object({ type: Type.String(), topic: Type.String(), payload: Type.Unknown() })),
  }),
  missed: typed('missed', { n: Count, topics: Type.Array(Type.String()) }),
  pong: typed('pong', {}),
  error: typed('error', {
    topic: Type.Optional(Type.String()),
    error: Type.Object({ code: Type.String(), message: Type.String(), remedy: Type.String() }),
  }),
};

/** The telemetry family's own sockets: their events, in seconds. */
const about = { execution_id: Type.String(), timestamp: Instant };
const aboutStep = { ...about, step_id: Type.String(), step_name: Type.String() };
const event = <Name extends string, Members extends Record<string, TSchema>>(name: Name, members: Members) =>
  Type.Object({ event: Type.Literal(name), data: Type.Object(members) });
export const telemetryEvents = {
  workflow_started: event('workflow_started', { ...about, workflow_id: Type.String() }),
  workflow_completed: event('workflow_completed', {
    ...about,
    workflow_id: Type.String(),
    status: Type.String({ description: 'completed, partial or cancelled' }),
    duration_seconds: maybeNumber,
  }),
  workflow_failed: event('workflow_failed', { ...about, workflow_id: Type.String(), error: Type.String() }),
  step_started: event('step_started', aboutStep),
  step_completed: event('step_completed', {
    ...aboutStep,
    status: Type.String({ description: 'completed, partial, cancelled or skipped' }),
    duration_seconds: maybeNumber,
    output: Type.Unknown(),
  }),
  step_failed: event('step_failed', { ...aboutStep, error: Type.String(), retry_count: Count }),
};
export type TelemetryEventName = keyof typeof telemetryEvents;

/** What is wrong with a frame, and what to do about it. */
export const liveErrors = {
  invalid_json: 'Send one JSON object in each text frame.',
  invalid_frame: 'Send {"action":"subscribe","topic":"execution:ID"}, unsubscribe, or {"action":"ping"}.',
  unknown_topic: `Follow ${Object.keys(liveTopicKinds)
    .map((kind) => (wholeTopicKinds.has(kind) ? kind : `${kind}:ID`))
    .join(', ')}.`,
  not_subscribed: 'Name the topic, and the source, as when it was subscribed.',
  too_many_subscriptions: 'Unsubscribe from something first, or use a wider topic.',
  rate_limited: 'Send fewer frames; connect again later.',
  snapshot_unavailable: 'Changes go on; unsubscribe and subscribe again for the state.',
  fixed_subscription: 'This socket follows what its address names; use /ws to choose.',
} as const;
export type LiveErrorCode = keyof typeof liveErrors;
