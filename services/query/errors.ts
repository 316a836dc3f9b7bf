import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { DatabaseError } from '../../clickhouse/client.ts';

/** All that the API answers when it cannot do what it was asked: one table, one shape. */
interface ErrorMeaning {
  status: number;
  /** What to do about it, in words that need no source code. */
  remedy: string;
  /** Seconds after which trying again makes sense. */
  retryAfterSeconds?: number;
}

const meaning = (status: number, remedy: string, retryAfterSeconds?: number): ErrorMeaning => ({
  status,
  remedy,
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});

export const apiErrors = {
  invalid_request: meaning(400, 'Mend what the message names; /docs lists every parameter and its limits.'),
  invalid_json: meaning(400, 'Send a JSON body, with the content type application/json.'),
  invalid_cursor: meaning(400, 'Take the cursor of a page as it is, or leave it out to begin again.'),
  unauthenticated: meaning(401, 'Send an API key or a token: Authorization: Bearer …'),
  forbidden: meaning(403, 'Ask an administrator for a key with the role that this needs.'),
  workspace_forbidden: meaning(403, 'Name a workspace that the key is for in X-Workspace-Id.'),
  origin_forbidden: meaning(403, 'Name the origin of the page in WEIR_API_ORIGINS.'),
  host_forbidden: meaning(403, 'Without API keys, call the service as 127.0.0.1 or localhost.'),
  no_such_route: meaning(404, 'See /docs for all routes.'),
  not_found: meaning(404, 'Check the id and the workspace; telemetry shows up a second after it was sent.'),
  ambiguous_source: meaning(409, 'Several sources of the workspace use this id: add ?source= with one of those named.'),
  ambiguous_project: meaning(409, 'Several projects declare this workflow: add ?project= with one of those named.'),
  idempotency_conflict: meaning(409, 'Use a new Idempotency-Key for another request.'),
  revision_conflict: meaning(409, 'Read it again, and repeat the change on what it is now.'),
  alert_settled: meaning(409, 'Read the alert again.'),
  too_many: meaning(409, 'Remove one that is not needed any more.'),
  not_set_up: meaning(409, 'Ask whoever runs the service for the setting that is named.'),
  execution_ended: meaning(409, 'Nothing is left to be done; read the execution again.'),
  command_settled: meaning(409, 'Look at the command; ask for a new one if it should still be done.'),
  body_too_large: meaning(413, 'Send fewer or smaller events in one request.'),
  unsupported_media_type: meaning(415, 'Send application/json.'),
  too_much_asked: meaning(422, 'Ask for a shorter range, a longer step or fewer groups.'),
  event_refused: meaning(422, 'Mend the events that are named; none of the request was taken.'),
  upgrade_required: meaning(426, 'Open it as a WebSocket; the README says how.'),
  definition_refused: meaning(422, 'Mend the places that are named; the workflow stays as it was.'),
  rate_limited: meaning(429, 'Send requests more slowly.', 10),
  client_gone: meaning(499, 'Ask again; the caller hung up before the answer.'),
  internal: meaning(500, 'Tell whoever runs the service the request id; its log has the cause.'),
  store_unavailable: meaning(503, 'Try again shortly; telemetry is taken in meanwhile.', 5),
  identity_unavailable: meaning(503, 'Try again shortly, or use an API key.', 5),
  broker_unavailable: meaning(503, 'Try again with the same Idempotency-Key; what was taken already counts once.', 5),
  too_many_clients: meaning(503, 'Try again later, or at another instance.', 10),
  change_pending: meaning(503, 'Read it in a moment; the change is on its way and will count in its turn.', 5),
  analysis_busy: meaning(503, 'Try again shortly, or take what was computed last: leave out fresh.', 5),
  stopping: meaning(503, 'Try again shortly; this instance is being replaced.', 2),
  analysis_timeout: meaning(504, 'Ask for fewer executions with limit, or take what was computed last.'),
  store_timeout: meaning(504, 'Ask for a shorter range or a longer step.'),
} as const satisfies Record<string, ErrorMeaning>;

export type ApiErrorCode = keyof typeof apiErrors;

/** Thrown by routes; becomes an answer of the one shape. */
export class ApiError extends Error {
  readonly code: ApiErrorCode;
  /** Choices, bounds or single problems, as plain data. */
  readonly details: Record<string, unknown> | undefined;

  constructor(code: ApiErrorCode, message: string, details?: Record<string, unknown>) {
    super(message);
    this.code = code;
    this.details = details;
  }
}

/** What ClickHouse answers when a question was too large for the bounds of its user. */
const tooMuchCodes = new Set(['158', '191', '241', '307', '396']);
const timeoutCodes = new Set(['159', '160']);
/** The server takes no more just now: too many queries, or no memory at all. */
const busyCodes = new Set(['202', '439']);

function fromDatabase(error: DatabaseError): ApiError {
  if (error.code === 'connection') {
    const isTimeout = /timeout/i.test(error.message);
    if (isTimeout) return new ApiError('store_timeout', 'ClickHouse did not answer in time.');
    return new ApiError('store_unavailable', 'ClickHouse cannot be reached.');
  }
  if (error.code === 'aborted') return new ApiError('client_gone', 'The caller hung up.');
  if (timeoutCodes.has(error.code)) return new ApiError('store_timeout', 'The answer took longer than a request may.');
  if (tooMuchCodes.has(error.code))
    return new ApiError('too_much_asked', 'The answer needs more than one request may.');
  if (busyCodes.has(error.code)) return new ApiError('store_unavailable', 'ClickHouse is too busy.');
  return new ApiError('internal', 'The question could not be answered.');
}

/** The framework's own codes that callers can do something about. */
const frameworkCodes: Record<string, ApiErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_BAD_URL: 'invalid_request',
  FST_ERR_MAX_PARAM_LENGTH: 'invalid_request',
};

function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof DatabaseError) return fromDatabase(error);
  const { validation, validationContext, code = '', statusCode = 500 } = error as Partial<FastifyError>;
  if (validation !== undefined) {
    const problems = validation.map((problem) => describeProblem(problem, validationContext ?? 'request'));
    return new ApiError('invalid_request', `${[...new Set(problems)].slice(0, 10).join('; ')}.`);
  }
  if (Object.hasOwn(frameworkCodes, code))
    return new ApiError(frameworkCodes[code] ?? 'internal', `${(error as Error).message}.`);
  if (error instanceof SyntaxError && statusCode === 400) return new ApiError('invalid_json', 'The body is no JSON.');
  if (statusCode === 413) return new ApiError('body_too_large', 'The body is too large.');
  if (statusCode >= 400 && statusCode < 500) return new ApiError('invalid_request', 'The request cannot be read.');
  return new ApiError('internal', 'Something went wrong here.');
}

type Problem = NonNullable<FastifyError['validation']>[number];

const placeNames: Record<string, string> = {
  querystring: 'parameter',
  params: 'path',
  body: 'body',
  headers: 'header',
};

/** `parameter limit must be <= 200`: what is wrong, by the name that the caller gave it. */
function describeProblem({ keyword, instancePath, params, message }: Problem, context: string): string {
  const place = placeNames[context] ?? context;
  const path = instancePath.replace(/^\//, '').replaceAll('/', '.');
  const { additionalProperty, missingProperty, allowedValues } = params as Record<string, unknown>;
  const inside = (name: unknown) => [place, path === '' ? String(name) : `${path}.${name}`].join(' ');
  if (keyword === 'additionalProperties') return `${inside(additionalProperty)} is unknown`;
  if (keyword === 'required') return `${inside(missingProperty)} is missing`;
  const named = path === '' ? place : `${place} ${path}`;
  if (keyword === 'enum') return `${named} must be one of ${(allowedValues as unknown[]).join(', ')}`;
  return `${named} ${message ?? 'is wrong'}`;
}

/** The last stop of every failure: callers get the shape, the log gets the cause. */
export function replyWithError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const failure = toApiError(error);
  const { status, remedy, retryAfterSeconds } = apiErrors[failure.code] as ErrorMeaning;
  if (status >= 500) request.log.error({ err: error, code: failure.code }, 'a request failed');
  if (retryAfterSeconds !== undefined) void reply.header('retry-after', String(retryAfterSeconds));
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  const { code, message, details } = failure;
  return reply
    .code(status)
    .type('application/json')
    .serializer((body: unknown) => JSON.stringify(body))
    .send({ error: { code, message, remedy, request_id: request.id, ...(details === undefined ? {} : { details }) } });
}
