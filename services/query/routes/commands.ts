import type { FastifyRequest } from 'fastify';
import { commandPageQuestion, listedCommandsQuestion } from '../../../clickhouse/queries/commands.ts';
import {
  CancelBody,
  CancelQuery,
  Command,
  CommandBody,
  CommandHeaders,
  CommandPath,
  CommandsAnswer,
  CommandsQuery,
} from '../../../schemas/api/commands.ts';
import { answers, ErrorAnswer } from '../../../schemas/api/parts.ts';
import { ExecutionPath } from '../../../schemas/api/workflow-analytics.ts';
import { latestInstantMs } from '../../../schemas/events.ts';
import { type CommandWish, describeCommand, findExecution, readCommand, requestFirst } from '../command-desk.ts';
import { readCursor, writeCursor } from '../cursors.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { IdempotencyKeys } from '../idempotency.ts';
import { afterNow, parseRange } from '../time-range.ts';

const config = { role: 'operator' } as const;
const response = { 202: Command, '4xx': ErrorAnswer, '5xx': ErrorAnswer };

/** What orchestrators are asked to do, by people and programs, and what became of it. */
export const commands: Family = {
  prefix: '/api/v1',
  tag: 'commands',
  register(app: App, services: Services): void {
    registerReading(app, services);
    const ask = makeAsk(services);
    registerRequests(app, services, ask);
    registerCancel(app, ask);
  },
};

type Ask = (request: FastifyRequest, wish: CommandWish) => ReturnType<Services['commands']['ask']>;

/** Requests of one key that are under way at once wait for each other; later ones are known by their records. */
function makeAsk({ commands: desk, nowMs }: Services): Ask {
  const keys = new IdempotencyKeys(nowMs);
  return async (request, wish) => {
    const { reader, caller } = request;
    const key = request.headers['idempotency-key'];
    if (typeof key !== 'string' || key === '') return desk.ask(reader, caller, wish, '');
    return keys.run([caller.name, reader.workspace, key], wish, () => desk.ask(reader, caller, wish, key));
  };
}

function registerReading(app: App, { nowMs }: Services): void {
  app.get(
    '/commands',
    {
      schema: {
        summary: 'Commands, newest first, with what became of them',
        querystring: CommandsQuery,
        response: answers(CommandsAnswer),
      },
    },
    async ({ query, reader }) => {
      const { kind = '', execution_id: execution = '', workflow_id: workflow = '', limit, cursor, ...rest } = query;
      const { fromMs, toMs } = parseRange(rest, '30d', afterNow(nowMs()));
      const ask = { kind, execution, workflow, fromMs, toMs, ...readPosition(cursor), limit: limit + 1 };
      const places = await reader.ask(commandPageQuestion, ask);
      const shown = places.slice(0, limit);
      const ids = shown.map(({ command_id }) => command_id);
      const rows = ids.length === 0 ? [] : await reader.ask(listedCommandsQuestion, { ids, limit: 100_000 });
      const byId = Map.groupBy(rows, ({ command_id }) => command_id);
      const last = places.length > limit ? shown.at(-1) : undefined;
      return {
        items: ids.map((id) => describeCommand(requestFirst(byId.get(id) ?? []), nowMs())),
        next_cursor: last === undefined ? null : writeCursor([last.first_ms, last.command_id]),
      };
    },
  );
  app.get(
    '/commands/:command_id',
    { schema: { summary: 'One command, with its outcome', params: CommandPath, response: answers(Command) } },
    async ({ params, reader }) => {
      const rows = await readCommand(reader, params.command_id);
      if (rows === null) throw new ApiError('not_found', 'There is no such command in the workspace.');
      return describeCommand(rows, nowMs());
    },
  );
}

function readPosition(cursor: string | undefined): { afterMs: number; afterId: string } {
  if (cursor === undefined) return { afterMs: latestInstantMs, afterId: '' };
  const [afterMs, afterId] = readCursor(cursor, ['number', 'string']);
  return { afterMs, afterId };
}

function registerRequests(app: App, { commands: desk }: Services, ask: Ask): void {
  app.post(
    '/commands',
    {
      config,
      schema: {
        summary: 'Ask an orchestrator to do something',
        description:
          'One record on the topic of commands, 202 when the brokers have it. Orchestrators that listen carry it out once and answer; ' +
          'the answer can be read at /api/v1/commands/{command_id}.',
        headers: CommandHeaders,
        body: CommandBody,
        response,
      },
    },
    async (request, reply) => reply.code(202).send(await ask(request, request.body)),
  );
  app.post(
    '/commands/:command_id/approve',
    {
      config: { role: 'admin' },
      schema: {
        summary: 'Agree to a command that waits for it',
        description: 'Not by whoever asked for it. The request is sent once more, with who agreed.',
        params: CommandPath,
        response,
      },
    },
    async ({ params, reader, caller }, reply) =>
      reply.code(202).send(await desk.approve(reader, caller, params.command_id, caller.name === 'anonymous')),
  );
}

function registerCancel(app: App, ask: Ask): void {
  app.post(
    '/workflow-analytics/executions/:execution_id/cancel',
    {
      config,
      schema: {
        summary: 'Ask for an execution to be cancelled',
        description: 'The command `cancel`; the reason may stand in the body or in the address.',
        params: ExecutionPath,
        querystring: CancelQuery,
        headers: CommandHeaders,
        body: CancelBody,
        response,
      },
    },
    async (request, reply) => {
      const { execution_id } = request.params;
      const { source, reason: inAddress } = request.query;
      const { reason = inAddress, expires_in_seconds = 600 } = request.body ?? {};
      const found = await findExecution(request.reader, execution_id, source ?? '');
      const wish = {
        kind: 'cancel' as const,
        source: found.source,
        workflow_id: found.workflow_id,
        execution_id,
        ...(reason === undefined ? {} : { reason }),
        expires_in_seconds,
      };
      return reply.code(202).send(await ask(request, wish));
    },
  );
}
