import type { WebSocket } from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { closed, Id } from '../../../schemas/api/parts.ts';
import { converse, converseOnFixed } from '../../live/conversation.ts';
import { LiveClient } from '../../live/live-client.ts';
import { type LiveTopic, parseTopic, stepEvents, workflowEvents } from '../../live/live-topic.ts';
import { readSnapshot } from '../../live/snapshots.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';

const SocketQuery = Type.Object(
  {
    workspace_id: Type.Optional(Type.String({ maxLength: 512 })),
    workspace_slug: Type.Optional(Type.String({ maxLength: 512 })),
  },
  closed,
);
const FixedQuery = Type.Object(
  { ...SocketQuery.properties, source: Type.Optional(Type.String({ maxLength: 512 })) },
  closed,
);

/** Live sockets: one on which clients choose what they follow, and those whose address says it. */
export const live: Family = {
  prefix: '',
  tag: 'live',
  register(app: App, services: Services): void {
    const open = makeOpen(services);
    const { hub, mostSubscriptions, patterns } = services.live;
    const stateReader = (reader: FastifyRequest['reader']) => (topic: LiveTopic, source: string) =>
      topic.kind === 'pattern' ? patterns.readState(reader, topic.id, source) : readSnapshot(reader, topic, source);
    const plain = () => {
      throw new ApiError('upgrade_required', 'This is the address of a WebSocket.');
    };
    const hide = { hide: true };

    app.route({
      method: 'GET',
      url: '/ws',
      schema: { ...hide, querystring: SocketQuery },
      handler: plain,
      wsHandler: (socket, request) => {
        const { reader } = request;
        const options = { hub, mostSubscriptions, readSnapshot: stateReader(reader) };
        open(socket, request, { speaksEvents: false, onFrame: converse(options) });
      },
    });

    app.route<{ Params: { workflow_id: string } }>({
      method: 'GET',
      url: '/ws/workflows/:workflow_id',
      schema: { ...hide, params: Type.Object({ workflow_id: Id }), querystring: FixedQuery },
      handler: plain,
      wsHandler: (socket, request) => openEvents(socket, request, workflowEvents(request.params.workflow_id)),
    });
    app.route<{ Params: { workflow_id: string; step_id: string } }>({
      method: 'GET',
      url: '/ws/workflows/:workflow_id/step/:step_id',
      schema: { ...hide, params: Type.Object({ workflow_id: Id, step_id: Id }), querystring: FixedQuery },
      handler: plain,
      wsHandler: (socket, request) => {
        const { workflow_id, step_id } = request.params;
        openEvents(socket, request, stepEvents(workflow_id, step_id));
      },
    });
    const openEvents = (socket: WebSocket, request: FastifyRequest, topic: LiveTopic) => {
      const client = open(socket, request, { speaksEvents: true, onFrame: converseOnFixed });
      hub.follow(client, topic, sourceOf(request), null);
    };

    app.route<{ Params: { execution_id: string } }>({
      method: 'GET',
      url: '/api/v1/workflows/executions/:execution_id/ws',
      schema: { ...hide, params: Type.Object({ execution_id: Id }), querystring: FixedQuery },
      handler: plain,
      wsHandler: (socket, request) => {
        const client = open(socket, request, { speaksEvents: false, onFrame: converseOnFixed });
        const topic = parseTopic(`execution:${request.params.execution_id}`);
        if (topic !== null) hub.follow(client, topic, sourceOf(request), stateReader(request.reader));
      },
    });
  },
};

const sourceOf = ({ query }: FastifyRequest): string => (query as { source?: string }).source ?? '';

interface Conversation {
  speaksEvents: boolean;
  onFrame: (client: LiveClient, text: string | null) => void;
}

function makeOpen({ live: { hub, bufferBytes, framesPerMinute, metrics }, nowMs }: Services) {
  return (socket: WebSocket, request: FastifyRequest, conversation: Conversation): LiveClient => {
    const client = new LiveClient({
      ...conversation,
      socket,
      workspace: request.workspace,
      bufferBytes,
      framesPerMinute,
      nowMs,
      metrics,
      onClose: (one) => hub.leave(one),
      onFailure: (error) => request.log.error({ err: error }, 'a live socket failed'),
    });
    hub.join(client, request.isStillAllowed);
    return client;
  };
}
