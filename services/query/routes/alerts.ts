import type { Static } from 'typebox';
import {
  type AlertsAsk,
  alertHistoryQuestion,
  alertQuestion,
  alertsQuestion,
} from '../../../clickhouse/queries/alert-pages.ts';
import { poolSizeQuestion } from '../../../clickhouse/queries/pool-size.ts';
import { stateChangesQuestion } from '../../../clickhouse/queries/state-entries.ts';
import type { WorkspaceReader } from '../../../clickhouse/question.ts';
import {
  type AlertAcknowledgement,
  alertCollections,
  alertRuleIds,
  alertSeverities,
  alertStates,
} from '../../../schemas/alerts.ts';
import {
  AcknowledgeBody,
  AlertHistoryAnswer,
  AlertPath,
  AlertsAnswer,
  AlertsQuery,
  OneAlertAnswer,
  RemediesAnswer,
} from '../../../schemas/api/alerts.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { latestInstantMs } from '../../../schemas/events.ts';
import type { AlertRecord } from '../../../schemas/records.ts';
import { adviseOn, commandOf, poolOf } from '../../alerts/advice.ts';
import { describeAlert } from '../../alerts/alert-answer.ts';
import { orNull, toInstant } from '../answer-values.ts';
import { readCursor, writeCursor } from '../cursors.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { readSetUp } from '../state-desk.ts';
import { afterNow, parseRange } from '../time-range.ts';

/** Alerts as they stand, how they came to, and who took them on. */
export const alerts: Family = {
  prefix: '/api/v1',
  tag: 'alerts',
  register(app: App, services: Services): void {
    registerPages(app, services);
    registerAcknowledging(app, services);
  },
};

const mostChanges = 1000;

function registerPages(app: App, { nowMs, automaticRemedies: automatic }: Services): void {
  app.get(
    '/alerts',
    {
      schema: {
        summary: 'Alerts, those that changed last first',
        description: 'Those that were open at some time of the range, of the last seven days where none is given.',
        querystring: AlertsQuery,
        response: answers(AlertsAnswer),
      },
    },
    async ({ query, reader }) => {
      const rows = await reader.ask(alertsQuestion, readAsk(query, nowMs()));
      const shown = rows.slice(0, query.limit);
      const last = rows.length > query.limit ? shown.at(-1) : undefined;
      return {
        items: shown.map(describeAlert),
        next_cursor: last === undefined ? null : writeCursor([last.event_time, last.alert_id]),
      };
    },
  );
  app.get(
    '/alerts/:alert_id',
    {
      schema: {
        summary: 'One alert, and what may be done about it',
        params: AlertPath,
        response: answers(OneAlertAnswer),
      },
    },
    async ({ params, reader }) => await describeOne(reader, await findAlert(reader, params.alert_id), automatic),
  );
  app.get(
    '/alerts/:alert_id/history',
    {
      schema: {
        summary: 'How an alert came to stand as it does',
        params: AlertPath,
        response: answers(AlertHistoryAnswer),
      },
    },
    async ({ params, reader }) => {
      const { alert_id: alertId } = params;
      const entry = { collection: alertCollections.acknowledgements, key: alertId, limit: mostChanges };
      const [changes, people] = await Promise.all([
        reader.ask(alertHistoryQuestion, { alertId, limit: mostChanges }),
        reader.ask(stateChangesQuestion, entry),
      ]);
      // An alert that nothing changed is none.
      if (changes.length === 0) await findAlert(reader, alertId);
      const acknowledgements = people.toReversed().map(({ deleted, changed_by: by, changed_at_ms: atMs, reason }) => {
        return { action: deleted ? 'taken_back' : 'acknowledged', at: toInstant(atMs), by, comment: orNull(reason) };
      });
      return { changes: changes.map(describeAlert), acknowledgements };
    },
  );
  app.get(
    '/alerts/:alert_id/remedies',
    { schema: { summary: 'What may be done about an alert', params: AlertPath, response: answers(RemediesAnswer) } },
    async ({ params, reader }) => {
      const alert = await findAlert(reader, params.alert_id);
      return { alert_id: alert.alert_id, remedies: await describeRemedies(reader, alert, automatic) };
    },
  );
}

function registerAcknowledging(app: App, { state, automaticRemedies: automatic }: Services): void {
  const config = { role: 'operator' } as const;
  const collection = alertCollections.acknowledgements;
  app.post(
    '/alerts/:alert_id/acknowledge',
    {
      config,
      schema: {
        summary: 'Take an alert on, so that others know',
        description: 'Answered when it can be read back. The alert itself changes with its next judgement.',
        params: AlertPath,
        body: AcknowledgeBody,
        response: answers(OneAlertAnswer),
      },
    },
    async ({ params, body, reader, caller, id: requestId }) => {
      const alert = await findAlert(reader, params.alert_id);
      if (alert.state === 'resolved')
        throw new ApiError('alert_settled', 'The alert is resolved: there is nothing to take on.');
      const { comment } = body;
      const value: AlertAcknowledgement = { at: Date.now(), comment };
      await state.put({ reader, caller, requestId }, { collection, key: alert.alert_id }, value, { reason: comment });
      return await describeOne(reader, alert, automatic);
    },
  );
  app.delete(
    '/alerts/:alert_id/acknowledge',
    {
      config,
      schema: { summary: 'Take an acknowledgement back', params: AlertPath, response: answers(OneAlertAnswer) },
    },
    async ({ params, reader, caller, id: requestId }) => {
      const alert = await findAlert(reader, params.alert_id);
      const entry = { collection, key: alert.alert_id };
      const known = await readSetUp<AlertAcknowledgement>(reader, entry);
      if (known === null) throw new ApiError('not_found', 'Nobody has acknowledged the alert.');
      await state.remove({ reader, caller, requestId }, entry, { expectedRevision: known.revision });
      return await describeOne(reader, alert, automatic);
    },
  );
}

async function findAlert(reader: WorkspaceReader, alertId: string): Promise<AlertRecord> {
  const [alert] = await reader.ask(alertQuestion, { alertId });
  if (alert === undefined) throw new ApiError('not_found', 'There is no such alert in the workspace.');
  return alert;
}

async function describeOne(
  reader: WorkspaceReader,
  alert: AlertRecord,
  automatic: readonly string[],
): Promise<Static<typeof OneAlertAnswer>> {
  const entry = { collection: alertCollections.acknowledgements, key: alert.alert_id };
  const known = await readSetUp<AlertAcknowledgement>(reader, entry);
  const acknowledgement = known && {
    at: toInstant(known.changedAtMs),
    by: known.changedBy,
    comment: String(known.value.comment),
    revision: known.revision,
  };
  return { alert: describeAlert(alert), acknowledgement, remedies: await describeRemedies(reader, alert, automatic) };
}

const toPlain = (command: object | null): Record<string, unknown> | null => (command === null ? null : { ...command });

async function describeRemedies(reader: WorkspaceReader, alert: AlertRecord, automatic: readonly string[]) {
  const poolId = poolOf(alert);
  const [size] = poolId === null ? [] : await reader.ask(poolSizeQuestion, { poolId });
  const facts = {
    workersTotal: size?.workers_total ?? undefined,
    workersMax: size?.workers_max ?? undefined,
    automatic,
  };
  return adviseOn(alert, facts).map((remedy) => ({ ...remedy, command: toPlain(commandOf(alert, remedy)) }));
}

function readAsk(query: Static<typeof AlertsQuery>, nowMs: number): AlertsAsk {
  const { state, severity, rule_id, workflow_id, task_id, orchestrator_id, subject_id, limit, cursor, ...rest } = query;
  const { fromMs, toMs } = parseRange(rest, '7d', afterNow(nowMs));
  return {
    states: readNames('state', state, alertStates),
    severities: readNames('severity', severity, alertSeverities),
    rules: readNames('rule_id', rule_id, alertRuleIds),
    workflowId: workflow_id ?? '',
    taskId: task_id ?? '',
    orchestratorId: orchestrator_id ?? '',
    subjectId: subject_id ?? '',
    fromMs,
    toMs,
    ...readPosition(cursor),
    limit: limit + 1,
  };
}

function readPosition(cursor: string | undefined): { afterMs: number; afterId: string } {
  if (cursor === undefined) return { afterMs: latestInstantMs, afterId: '' };
  const [afterMs, afterId] = readCursor(cursor, ['number', 'string']);
  if (afterMs > latestInstantMs) throw new ApiError('invalid_cursor', 'The cursor is none that this route has given.');
  return { afterMs, afterId };
}

/** Some names of a list, with commas between. */
export function readNames(parameter: string, text: string | undefined, known: readonly string[]): string[] {
  const names = (text ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const strange = names.filter((name) => !known.includes(name));
  if (strange.length === 0) return names;
  throw new ApiError(
    'invalid_request',
    `parameter ${parameter} holds ${strange.join(', ')}, and takes ${known.join(', ')}.`,
  );
}
