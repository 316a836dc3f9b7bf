import { reportIdentity } from '../../clickhouse/tables/orchestrator-events.ts';
import type { ExecutionEvent, TaskEvent, TelemetryEvent } from '../../schemas/events.ts';
import type { OrchestratorEvent } from '../../schemas/orchestrator-events.ts';
import type { AlertRecord } from '../../schemas/records.ts';
import { describeAlert } from './alert-messages.ts';
import { type LiveTopic, stepId } from './live-topic.ts';
import { describeReport } from './report-messages.ts';
import { describeExecution, describeFailure, describeTask, isFailure } from './run-messages.ts';
import { type TelemetryMessage, tellStep, tellWorkflow } from './telemetry-messages.ts';

/** One message as it goes to a client. */
export interface Message {
  type: string;
  /** Everything but the text of the topic, which is the client's. */
  body: Record<string, unknown>;
}

/** What one event has to say to those who follow one topic. */
export interface Telling {
  kind: LiveTopic['kind'];
  id: string;
  /** Made only where somebody follows. */
  messages(): Message[];
}

/** Makes the value when it is first asked for. */
function once<Value>(make: () => Value): () => Value {
  let made: { value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** `isFirst` remembers starts: progress of what runs is no start of it. */
export function tellEvent(event: TelemetryEvent, isFirst: (key: string) => boolean): Telling[] {
  if (event.kind === 'execution') return tellExecution(event, isFirst);
  return event.kind === 'task' ? tellTask(event, isFirst) : tellReport(event);
}

function tellExecution(event: ExecutionEvent, isFirst: (key: string) => boolean): Telling[] {
  const payload = once(() => describeExecution(event));
  const messages = () => [{ type: 'execution_update', body: { payload: payload() } }];
  return [
    { kind: 'execution', id: event.executionId, messages },
    { kind: 'workflow', id: event.workflowId, messages },
    {
      kind: 'telemetry-workflow',
      id: event.workflowId,
      messages: once(() => (isProgress(event, isFirst) ? [] : toMessages(tellWorkflow(event)))),
    },
  ];
}

function tellTask(event: TaskEvent, isFirst: (key: string) => boolean): Telling[] {
  const payload = once(() => describeTask(event));
  const update = () => [{ type: 'task_update', body: { payload: payload() } }];
  const step = once(() => (isProgress(event, isFirst) ? [] : toMessages(tellStep(event))));
  return [
    { kind: 'execution', id: event.executionId, messages: update },
    { kind: 'workflow', id: event.workflowId, messages: update },
    {
      kind: 'task',
      id: event.taskId,
      messages: () => tellTaskTopic(event.taskId, payload(), isFailure(event.state) ? describeFailure(event) : null),
    },
    { kind: 'telemetry-workflow', id: event.workflowId, messages: step },
    { kind: 'telemetry-step', id: stepId(event.workflowId, event.taskId), messages: step },
  ];
}

/** A failure is told twice: as what became of the attempt, and as a failure. */
export function tellTaskTopic(taskId: string, payload: object, failure: object | null): Message[] {
  const execution = { type: 'task_execution', body: { taskId, payload } };
  return failure === null ? [execution] : [execution, { type: 'task_failure', body: { taskId, payload: failure } }];
}

const toMessages = (told: TelemetryMessage | null): Message[] =>
  told === null ? [] : [{ type: told.event, body: { ...told } }];

/** A start may be reported a moment after it happened; what comes later only says that it goes on. */
const startDelayMs = 1_000;

function isProgress(event: ExecutionEvent | TaskEvent, isFirst: (key: string) => boolean): boolean {
  const { state, startedAtMs, eventTimeMs } = event;
  if (state !== 'running') return false;
  if (startedAtMs !== null && eventTimeMs - startedAtMs > startDelayMs) return true;
  return !isFirst(JSON.stringify([thingOf(event), event.workspace, event.attempt]));
}

function tellReport(event: OrchestratorEvent): Telling[] {
  const messages = once(() => {
    const { type, payload } = describeReport(event);
    return [{ type, body: { payload } }];
  });
  const tellings: Telling[] = [{ kind: 'orchestrator', id: event.orchestratorId, messages }];
  const { kind } = event;
  if (kind === 'worker_pool' || kind === 'worker' || kind === 'scaling_event') {
    tellings.push({ kind: 'worker-pool', id: event.poolId, messages });
  }
  if (kind === 'scaling_event') tellings.push({ kind: 'scaling-events', id: '', messages });
  if (kind === 'coordination_event') tellings.push({ kind: 'coordination', id: event.orchestratorId, messages });
  return tellings;
}

export function tellAlert(record: AlertRecord): Telling[] {
  const messages = () => [{ type: 'alert', body: { payload: describeAlert(record) } }];
  return [{ kind: 'alerts', id: '', messages }];
}

interface ThingOfRun {
  source: string;
  executionId: string;
  taskId?: string;
  mapIndex?: number;
}

/** Names what a message is about within its workspace: an execution, an attempt of a task, or what is measured. */
export const executionThing = ({ source, executionId }: ThingOfRun): string => JSON.stringify([source, executionId]);
export const attemptThing = (task: ThingOfRun & { attempt: number }): string =>
  JSON.stringify([task.source, task.executionId, task.taskId, task.mapIndex, task.attempt]);

/** What a report is the latest of. */
export function reportThing(event: OrchestratorEvent): string {
  const {
    poolId = '',
    queueId = '',
    workerId = '',
  } = event as { poolId?: string; queueId?: string; workerId?: string };
  return JSON.stringify([event.source, event.kind, event.orchestratorId, poolId, queueId, workerId]);
}

export function thingOf(event: TelemetryEvent): string {
  if (event.kind === 'execution') return executionThing(event);
  return event.kind === 'task' ? attemptThing(event) : reportThing(event);
}

const identityFields = reportIdentity.map((column) =>
  column.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
);

/** What two records have in common of which the pipelines store one. */
export function identityOf(event: TelemetryEvent): string {
  const { workspace, eventTimeMs, origin } = event;
  const at = [workspace, eventTimeMs, origin === null ? '' : Object.values(origin).join('/')];
  if (event.kind === 'execution' || event.kind === 'task') {
    return JSON.stringify([...at, thingOf(event), event.attempt, event.state]);
  }
  const fields = event as unknown as Record<string, unknown>;
  return JSON.stringify([...at, ...identityFields.map((field) => fields[field] ?? '')]);
}

/** The identity of the record that made a row what it is, unless that was republished. */
export const identityOfRow = (
  workspace: string,
  thing: string,
  row: { eventTimeMs: number; attempt: number; state: string },
) => JSON.stringify([workspace, row.eventTimeMs, '', thing, row.attempt, row.state]);

export const alertIdentityOf = (record: AlertRecord): string =>
  JSON.stringify(['a', record.workspace ?? 'default', record.alert_id, record.notification_id, record.event_time]);
