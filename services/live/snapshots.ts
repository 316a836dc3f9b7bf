import {
  type LiveAsk,
  type LiveExecutionRow,
  type LiveReportRow,
  type LiveTaskRow,
  liveAlertsQuestion,
  liveCoordinationQuestion,
  liveExecutionQuestion,
  liveExecutionTasksQuestion,
  liveOrchestratorQuestion,
  livePoolQuestion,
  liveScalingQuestion,
  liveTaskQuestion,
  liveWorkflowQuestion,
} from '../../clickhouse/queries/live-states.ts';
import type { Question, WorkspaceReader } from '../../clickhouse/question.ts';
import type { OrchestratorEvent } from '../../schemas/orchestrator-events.ts';
import { describeAlert } from './alert-messages.ts';
import type { LiveTopic } from './live-topic.ts';
import { describeReport } from './report-messages.ts';
import { describeExecution, describeFailure, describeTask, isFailure } from './run-messages.ts';
import type { Place, SnapshotContent } from './subscription.ts';
import {
  alertIdentityOf,
  attemptThing,
  executionThing,
  identityOf,
  identityOfRow,
  type Message,
  reportThing,
  tellTaskTopic,
} from './tellings.ts';

/** What a topic is like now, as the same messages that tell of its changes. */

/** Rows of a snapshot: enough for a page, and small enough to be sent at once. */
const mostRows = { executions: 200, attempts: 500, reports: 200, events: 50, alerts: 200 };

/** Null for topics that have no state to begin with. */
export function readSnapshot(reader: WorkspaceReader, topic: LiveTopic, source: string): Promise<SnapshotContent> {
  const ask = { id: topic.id, source };
  switch (topic.kind) {
    case 'execution':
      return readExecution(reader, ask);
    case 'workflow':
      return readRows(reader, liveWorkflowQuestion, { ...ask, limit: mostRows.executions }, tellExecutionRow);
    case 'task':
      return readRows(reader, liveTaskQuestion, { ...ask, limit: mostRows.attempts }, tellAttemptRow);
    case 'orchestrator':
      return readReports(reader, liveOrchestratorQuestion, { ...ask, limit: mostRows.reports });
    case 'worker-pool':
      return readReports(reader, livePoolQuestion, { ...ask, limit: mostRows.reports });
    case 'coordination':
      return readEvents(reader, liveCoordinationQuestion, { ...ask, limit: mostRows.events });
    case 'scaling-events':
      return readEvents(reader, liveScalingQuestion, { ...ask, limit: mostRows.events });
    case 'alerts':
      return readAlerts(reader, { ...ask, limit: mostRows.alerts });
    default:
      return Promise.resolve({ messages: [], truncated: false, holds: () => false });
  }
}

interface Row {
  partition: number;
  offset: number;
}

/** What a row says, of which thing, and what repetitions of its record have in common. */
interface Told {
  thing: string;
  identity: string;
  messages: Message[];
}
type Tell<Given> = (row: Given, workspace: string) => Told;

const tellExecutionRow: Tell<LiveExecutionRow> = (row, workspace) => {
  const thing = executionThing(row);
  const messages = [{ type: 'execution_update', body: { payload: describeExecution(row) } }];
  return { thing, identity: identityOfRow(workspace, thing, row), messages };
};
const tellTaskRow: Tell<LiveTaskRow> = (row, workspace) => {
  const thing = attemptThing(row);
  const messages = [{ type: 'task_update', body: { payload: describeTask(row) } }];
  return { thing, identity: identityOfRow(workspace, thing, row), messages };
};
const tellAttemptRow: Tell<LiveTaskRow> = (row, workspace) => {
  const failure = isFailure(row.state) ? describeFailure(row) : null;
  return { ...tellTaskRow(row, workspace), messages: tellTaskTopic(row.taskId, describeTask(row), failure) };
};
const tellReportRow: Tell<LiveReportRow> = (row) => {
  const event = toEvent(row);
  const { type, payload } = describeReport(event);
  return { thing: reportThing(event), identity: identityOf(event), messages: [{ type, body: { payload } }] };
};

async function readExecution(reader: WorkspaceReader, ask: Omit<LiveAsk, 'limit'>): Promise<SnapshotContent> {
  const [execution, tasks] = await Promise.all([
    readRows(reader, liveExecutionQuestion, { ...ask, limit: mostRows.executions }, tellExecutionRow),
    readRows(reader, liveExecutionTasksQuestion, { ...ask, limit: mostRows.attempts }, tellTaskRow),
  ]);
  return {
    messages: [...execution.messages, ...tasks.messages],
    truncated: execution.truncated || tasks.truncated,
    holds: (place) => (place.log === 'executions' ? execution : tasks).holds(place),
  };
}

/** Rows that are the latest of one thing each: they hold whatever was said of it up to their place in the log. */
async function readRows<Given extends Row>(
  reader: WorkspaceReader,
  question: Question<LiveAsk, Given>,
  ask: LiveAsk,
  tell: Tell<Given>,
): Promise<SnapshotContent> {
  const { told, truncated } = await readTold(reader, question, ask, tell);
  const rows = new Map(told.map((one) => [one.thing, one]));
  const holds = ({ thing, partition, offset, identity }: Place) => {
    const one = rows.get(thing);
    if (one === undefined) return false;
    return one.identity === identity || (one.row.partition === partition && offset <= one.row.offset);
  };
  return { messages: told.flatMap(({ messages }) => messages), truncated, holds };
}

const readReports = (reader: WorkspaceReader, question: Question<LiveAsk, LiveReportRow>, ask: LiveAsk) =>
  readRows(reader, question, ask, tellReportRow);

/** Rows that are one event each. */
async function readEvents(
  reader: WorkspaceReader,
  question: Question<LiveAsk, LiveReportRow>,
  ask: LiveAsk,
): Promise<SnapshotContent> {
  const { told, truncated } = await readTold(reader, question, ask, tellReportRow);
  const identities = new Set(told.map(({ identity }) => identity));
  return {
    messages: told.flatMap(({ messages }) => messages),
    truncated,
    holds: ({ identity }) => identities.has(identity),
  };
}

/** Alerts that are open. What was told before the state that an alert is in now is in it; of resolved ones changes are told. */
async function readAlerts(reader: WorkspaceReader, ask: LiveAsk): Promise<SnapshotContent> {
  const rows = await reader.ask(liveAlertsQuestion, ask);
  const open = rows.slice(0, ask.limit).reverse();
  const states = new Map(open.map((row) => [row.alert_id, row]));
  return {
    messages: open.map((row) => ({ type: 'alert', body: { payload: describeAlert(row) } })),
    truncated: rows.length > ask.limit,
    holds: ({ thing, identity, eventTimeMs }) => {
      const row = states.get(thing);
      return row !== undefined && (alertIdentityOf(row) === identity || eventTimeMs < row.event_time);
    },
  };
}

/** From the oldest to the newest, as changes come. */
async function readTold<Given extends Row>(
  reader: WorkspaceReader,
  question: Question<LiveAsk, Given>,
  ask: LiveAsk,
  tell: Tell<Given>,
) {
  const rows = await reader.ask(question, ask);
  const told = rows.slice(0, ask.limit).map((row) => ({ row, ...tell(row, reader.workspace) }));
  return { told: told.reverse(), truncated: rows.length > ask.limit };
}

/** A stored report as the event it was: columns of instants are text, and lists hold records of the same kind. */
function toEvent(row: LiveReportRow): OrchestratorEvent {
  const [origin = null] = row.origin as unknown[];
  return { ...toFields(row), origin } as unknown as OrchestratorEvent;
}

function toFields(row: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row).map(([column, value]) => {
      const field = column.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
      if (/(_at|^at|_time)$/.test(column)) return [`${field}Ms`, value === null ? null : Date.parse(String(value))];
      return [field, Array.isArray(value) ? value.map(toItem) : value];
    }),
  );
}

const toItem = (item: unknown): unknown =>
  typeof item === 'object' && item !== null && !Array.isArray(item) ? toFields(item as Record<string, unknown>) : item;
