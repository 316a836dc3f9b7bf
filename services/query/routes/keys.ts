import type { Static } from 'typebox';
import {
  ApiKeyAnswer,
  ApiKeysAnswer,
  KeyPath,
  NewKeyAnswer,
  NewKeyBody,
  RevokeQuery,
} from '../../../schemas/api/operation.ts';
import { answers, ErrorAnswer } from '../../../schemas/api/parts.ts';
import { toInstant, toMaybeInstant } from '../answer-values.ts';
import { type ApiKey, anyWorkspace, makeApiKey } from '../api-keys.ts';
import type { Caller } from '../auth.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';

const config = { role: 'admin' } as const;

/** Keys of the API. Administrators see and make those of their own workspaces; who may do everything, all. */
export const apiKeys: Family = {
  prefix: '/api/v1',
  tag: 'operation',
  register(app: App, services: Services): void {
    const { keys, nowMs } = services;
    app.get(
      '/keys',
      { config, schema: { summary: 'API keys, revoked and expired ones too', response: answers(ApiKeysAnswer) } },
      async ({ caller }) => {
        const own = keys.ring.list().filter((key) => runs(caller, key.workspaces));
        return { items: own.toSorted((one, other) => one.createdAtMs - other.createdAtMs).map(describeKey) };
      },
    );
    app.post(
      '/keys',
      {
        config,
        schema: {
          summary: 'Make an API key',
          description:
            'The key stands in this answer and nowhere else. From the first key on, nobody is answered without one.',
          body: NewKeyBody,
          response: { 201: NewKeyAnswer, '4xx': ErrorAnswer, '5xx': ErrorAnswer },
        },
      },
      async ({ body: { name, role, workspaces, expires_in_days: days }, caller, id }, reply) => {
        refuseForeign(caller, workspaces);
        const createdAtMs = nowMs();
        const expiresAtMs = days === undefined ? null : createdAtMs + days * 86_400_000;
        const { key, text } = makeApiKey({ name, role, workspaces, createdAtMs, expiresAtMs });
        await keys.store(key, { author: caller.name, reason: 'made', requestId: id });
        return reply.code(201).send({ ...describeKey(key), key: text });
      },
    );
    app.delete(
      '/keys/:key_id',
      {
        config,
        schema: {
          summary: 'Revoke an API key',
          params: KeyPath,
          querystring: RevokeQuery,
          response: answers(ApiKeyAnswer),
        },
      },
      async ({ params, query: { reason = 'revoked' }, caller, id }) => {
        const key = keys.ring.get(params.key_id);
        if (key === undefined || !runs(caller, key.workspaces)) {
          throw new ApiError('not_found', 'There is no such key.');
        }
        if (key.revokedAtMs !== null) return describeKey(key);
        const revoked = { ...key, revokedAtMs: nowMs() };
        await keys.store(revoked, { author: caller.name, reason, requestId: id });
        return describeKey(revoked);
      },
    );
  },
};

const runs = (caller: Caller, workspaces: readonly string[]): boolean =>
  caller.workspaces.includes(anyWorkspace) || workspaces.every((workspace) => caller.workspaces.includes(workspace));

/** Nobody makes a key that may do more than the caller. */
function refuseForeign(caller: Caller, workspaces: readonly string[]): void {
  if (!runs(caller, workspaces)) {
    throw new ApiError('workspace_forbidden', 'A key may be made for workspaces of the caller only.');
  }
}

function describeKey({ id, name, role, workspaces, ...times }: ApiKey): Static<typeof ApiKeyAnswer> {
  return {
    id,
    name,
    role,
    workspaces: [...workspaces],
    created_at: toInstant(times.createdAtMs),
    expires_at: toMaybeInstant(times.expiresAtMs),
    revoked_at: toMaybeInstant(times.revokedAtMs),
  };
}
