import { Type } from 'typebox';
import { Count, closed } from './parts.ts';

/** Telemetry over HTTP. Events are JSON as on Kafka: what is in them is checked by the rules of the topics. */

const Event = Type.Record(Type.String(), Type.Unknown(), {
  description: 'one event, as schemas/README.md describes them',
});

/** Every member belongs to the execution, so none is unknown. */
export const ExecutionBody = Type.Object(
  { tasks: Type.Optional(Type.Array(Event, { maxItems: 1000 })) },
  {
    additionalProperties: true,
    description: 'an execution event, and events of its tasks with it',
    examples: [
      {
        workflowId: 'orders_etl',
        id: 'run-1',
        state: 'completed',
        event_time: '2026-11-20T12:00:30Z',
        started_at: '2026-11-20T12:00:00Z',
      },
    ],
  },
);

export const EventsBody = Type.Object(
  { events: Type.Array(Event, { minItems: 1, maxItems: 1000 }) },
  {
    ...closed,
    examples: [
      {
        events: [
          {
            workflow_id: 'orders_etl',
            execution_id: 'run-1',
            task_id: 'load',
            state: 'completed',
            event_time: '2026-11-20T12:00:30Z',
            started_at: '2026-11-20T12:00:10Z',
          },
        ],
      },
    ],
  },
);

export const IngestPath = Type.Object(
  { kind: Type.Union([Type.Literal('executions'), Type.Literal('tasks'), Type.Literal('orchestrators')]) },
  closed,
);

export const IngestHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({ minLength: 1, maxLength: 255, description: 'the same key with another body is refused' }),
  ),
});

export const AcceptedAnswer = Type.Object({
  accepted: Count,
  executions: Count,
  tasks: Count,
  orchestrators: Count,
});
