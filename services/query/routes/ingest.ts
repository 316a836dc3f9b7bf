import type { FastifyRequest } from 'fastify';
import { AcceptedAnswer, EventsBody, ExecutionBody, IngestHeaders, IngestPath } from '../../../schemas/api/ingest.ts';
import { ErrorAnswer } from '../../../schemas/api/parts.ts';
import type { App, Family, Services } from '../families.ts';
import { IdempotencyKeys } from '../idempotency.ts';
import type { IncomingEvent } from '../incoming-events.ts';

/** Telemetry from producers that have no Kafka; answered when the brokers have it. */
export const ingest: Family = {
  prefix: '/api/v1',
  tag: 'ingest',
  register(app: App, services: Services): void {
    const accept = makeAccept(services);
    const response = { 202: AcceptedAnswer, '4xx': ErrorAnswer, '5xx': ErrorAnswer };
    const config = { role: 'operator' } as const;
    app.post(
      '/workflow-analytics/executions',
      {
        config,
        schema: {
          summary: 'Record an execution event, with events of its tasks',
          description:
            'The same rules as on Kafka. Answers 202 when the brokers have it; it shows up in answers a second later.',
          headers: IngestHeaders,
          body: ExecutionBody,
          response,
        },
      },
      async (request, reply) => reply.code(202).send(await accept(request, splitExecution(request.body))),
    );
    app.post(
      '/ingest/:kind',
      {
        config,
        schema: {
          summary: 'Record a batch of events of one topic',
          description: 'All of them or none. The same rules as on Kafka: an event that is sent again counts once.',
          params: IngestPath,
          headers: IngestHeaders,
          body: EventsBody,
          response,
        },
      },
      async (request, reply) => {
        const { kind } = request.params;
        const events = request.body.events.map((value, at) => ({ kind, place: `events.${at}`, value }));
        return reply.code(202).send(await accept(request, events));
      },
    );
  },
};

/** Members of an execution that its tasks share with it. */
const inherited = [
  'workflowId',
  'workflow_id',
  'workflowVersion',
  'workflow_version',
  'source',
  'project',
  'projectId',
];

function splitExecution({ tasks = [], ...execution }: Record<string, unknown> & { tasks?: object[] }): IncomingEvent[] {
  const shared = Object.fromEntries(
    inherited.filter((name) => name in execution).map((name) => [name, execution[name]]),
  );
  const executionId = execution.execution_id ?? execution.executionId ?? execution.id;
  return [
    { kind: 'executions', place: 'execution', value: execution },
    ...tasks.map((task, at) => {
      const value = { ...shared, execution_id: executionId, ...task };
      return { kind: 'tasks' as const, place: `tasks.${at}`, value };
    }),
  ];
}

function makeAccept({ gate, publisher, nowMs }: Services) {
  const keys = new IdempotencyKeys(nowMs);
  return async (request: FastifyRequest, events: readonly IncomingEvent[]) => {
    const publish = async () => {
      await publisher.publish(gate.check(events, request.workspace, nowMs()));
      const count = (kind: IncomingEvent['kind']) => events.filter((event) => event.kind === kind).length;
      const counts = { executions: count('executions'), tasks: count('tasks'), orchestrators: count('orchestrators') };
      return { accepted: events.length, ...counts };
    };
    const key = request.headers['idempotency-key'];
    if (typeof key !== 'string') return publish();
    const scope = [request.caller.name, request.workspace, request.url, key];
    return keys.run(scope, request.body, publish);
  };
}
