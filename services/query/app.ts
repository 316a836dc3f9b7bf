import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import compress from '@fastify/compress';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import websocket from '@fastify/websocket';
import Fastify, { type FastifyBaseLogger, type FastifyReply, type FastifyRequest, LogController } from 'fastify';
import type { Database } from '../../clickhouse/client.ts';
import { GatheredAsks } from '../../clickhouse/gathered-asks.ts';
import { KeptAnswers } from '../../clickhouse/kept-answers.ts';
import { KeptRows } from '../../clickhouse/kept-rows.ts';
import { type Asked, WorkspaceReader } from '../../clickhouse/question.ts';
import { mostFrameBytes } from '../../schemas/live.ts';
import { type Authenticator, chooseWorkspace, requireRole, runsEverything } from './auth.ts';
import { ApiError, replyWithError } from './errors.ts';
import { type App, families, type Services } from './families.ts';
import type { QueryMetrics } from './metrics.ts';
import { describeApi } from './open-api.ts';
import { chooseProtocol, readSocketHeaders, requireOrigin } from './socket-requests.ts';

interface AppOptions extends Services {
  database: Database;
  auth: Authenticator;
  metrics: QueryMetrics;
  log: FastifyBaseLogger;
  origins: readonly string[];
  requestsPerMinute: number;
  maxBodyBytes: number;
  slowQuestionMs: number;
}

/** Requests a minute of one address without a right key that are answered as such. */
const mostRefusals = 60;

/** Idle connections of browsers and proxies are kept about a minute; whoever sends slower than this is cut. */
const requestTimeoutMs = 60_000;

export async function buildApp(options: AppOptions): Promise<App> {
  const app = createServer(options);
  await addPlugins(app, options);
  await app.register(swagger, describeApi());
  await app.register(swaggerUi, { routePrefix: '/docs', uiConfig: { docExpansion: 'none' } });
  addCallers(app, options);
  addMetrics(app, options);
  app.setErrorHandler(replyWithError);
  app.setNotFoundHandler({ preHandler: app.rateLimit() }, () => {
    throw new ApiError('no_such_route', 'There is no such route.');
  });
  app.get('/openapi.json', { config: { isPublic: true }, schema: { hide: true } }, () => app.swagger());
  for (const { prefix, tag, register } of families) {
    await app.register(
      async (scope: App) => {
        scope.addHook('onRoute', (route) => {
          route.schema = { tags: [tag], ...route.schema };
        });
        register(scope, options);
      },
      { prefix },
    );
  }
  await app.ready();
  return app;
}

function createServer({ log, maxBodyBytes }: AppOptions): App {
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit: maxBodyBytes,
    requestTimeout: requestTimeoutMs,
    routerOptions: { maxParamLength: 3 * 512 },
    return503OnClosing: true,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, useDefaults: true, allErrors: false } },
    frameworkErrors: (error, request, reply) => void replyWithError(error, request as unknown as FastifyRequest, reply),
  }).withTypeProvider<TypeBoxTypeProvider>();
  // A page elsewhere may send plain text to this machine without asking first, but no JSON.
  app.removeContentTypeParser('text/plain');
  return app;
}

async function addPlugins(app: App, { origins, requestsPerMinute, auth, live }: AppOptions): Promise<void> {
  await app.register(websocket, {
    options: { maxPayload: mostFrameBytes, perMessageDeflate: false, handleProtocols: chooseProtocol },
    // Who breaks the protocol, or sends more than a frame may hold, has been told so and is being closed by then.
    errorHandler: (error, socket, request) => {
      if (socket.readyState !== socket.OPEN) return;
      request.log.error({ err: error }, 'a live socket failed');
      socket.close(1011, 'something went wrong here');
    },
    preClose: (done) => void live.hub.drain().then(() => done()),
  });
  await app.register(helmet, { contentSecurityPolicy: false, hsts: false });
  await app.register(cors, { origin: [...origins], maxAge: 600, exposedHeaders: ['x-request-id', 'retry-after'] });
  await app.register(compress, { threshold: 2048, encodings: ['zstd', 'br', 'gzip'] });
  await app.register(rateLimit, {
    max: requestsPerMinute,
    timeWindow: 60_000,
    hook: 'preHandler',
    // Told apart by key where there is one, because many callers may share an address.
    keyGenerator: (request) => (auth.isOpen || request.caller === undefined ? request.ip : request.caller.name),
    errorResponseBuilder: () => new ApiError('rate_limited', 'Too many requests.'),
  });
}

/** Who calls and for which workspace is known before anything else of a request is looked at. */
function addCallers(app: App, options: AppOptions): void {
  const { auth, database, metrics, slowQuestionMs, origins, live } = options;
  const kept = new KeptAnswers(options.nowMs);
  const gathered = new GatheredAsks();
  const keptRows = new KeptRows(options.nowMs);
  app.decorateRequest('caller');
  app.decorateRequest('workspace', '');
  app.decorateRequest('reader');
  app.decorateRequest('readers');
  app.decorateRequest('isStillAllowed');
  app.decorateRequest('readerOf');
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    const { config } = request.routeOptions;
    if (config.isPublic || request.url.startsWith('/docs')) return;
    const headers = request.ws ? readSocketHeaders(request.headers, request.query) : request.headers;
    if (request.ws) admitSocket(request);
    request.caller = await auth.identify(headers).catch((error) => refuseCaller(error, request, headers));
    if (request.is404) return;
    requireRole(request.caller, config.role ?? 'viewer');
    request.workspace = chooseWorkspace(request.caller, headers);
    request.isStillAllowed = () => isAllowed(headers, request.workspace);
    // Whoever opens a socket is not waiting for one answer.
    const waiting = request.ws ? {} : { signal: signalOf(reply), sinceMs: performance.now() };
    const readerOf = (workspace: string) =>
      new WorkspaceReader(
        database,
        { workspace, requestId: request.id, kept, gathered, keptRows, ...waiting },
        (asked) => note(asked, request),
      );
    request.reader = readerOf(request.workspace);
    request.readerOf = readerOf;
    request.readers = runsEverything(request.caller) ? [request.reader, readerOf('')] : [request.reader];
  });
  const admitSocket = ({ headers }: FastifyRequest) => {
    requireOrigin(headers, origins);
    if (live.hub.clients >= live.mostClients) {
      throw new ApiError('too_many_clients', `${live.mostClients} live sockets are open here.`);
    }
  };
  /** While the provider's keys cannot be fetched, what was allowed before stays so. */
  const isAllowed = async (headers: IncomingHttpHeaders, workspace: string): Promise<boolean> => {
    try {
      const caller = await auth.identify(headers);
      return chooseWorkspace(caller, headers) === workspace;
    } catch (error) {
      return error instanceof ApiError && error.code === 'identity_unavailable';
    }
  };
  /** Whoever guesses is slowed down; who has a right key is answered although others behind the address guess. */
  const countRefusal = app.createRateLimit({ max: mostRefusals, timeWindow: 60_000, keyGenerator: ({ ip }) => ip });
  const refuseCaller = async (
    error: unknown,
    request: FastifyRequest,
    headers: IncomingHttpHeaders,
  ): Promise<never> => {
    const hasTried = headers.authorization !== undefined || headers['x-api-key'] !== undefined;
    const isRefusal = hasTried && error instanceof ApiError && error.code === 'unauthenticated';
    const counted = isRefusal ? await countRefusal(request) : null;
    if (counted !== null && !counted.isAllowed && counted.isExceeded) {
      throw new ApiError('rate_limited', 'Too many requests without a right key.');
    }
    throw error;
  };
  const note = (asked: Asked, request: FastifyRequest) => {
    const { name: question, durationMs, readRows } = asked;
    metrics.questionSeconds.observe({ question }, durationMs / 1000);
    metrics.readRows.inc({ question }, readRows);
    if (durationMs < slowQuestionMs) return;
    metrics.slowQuestions.inc({ question });
    request.log.info({ ...asked, workspace: request.workspace, route: request.routeOptions.url }, 'a slow question');
  };
}

/** Aborted when the caller hangs up before the answer: then nobody need look for it any more. */
function signalOf({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}

function addMetrics(app: App, { metrics }: AppOptions): void {
  app.addHook('onResponse', async ({ method, routeOptions }, reply) => {
    const labels = { method, route: routeOptions.url ?? 'none', status: String(reply.statusCode) };
    metrics.requestSeconds.observe(labels, reply.elapsedTime / 1000);
  });
}
