import { Type } from 'typebox';
import { AnyJson, closed, Instant, maybeInstant, maybeText, nullable, oneOf, rangeParameters } from './parts.ts';

/** Operation, `/api/v1`: API keys, and the audit trail. */

const roles = ['viewer', 'operator', 'admin'] as const;

const keyMembers = {
  id: Type.String({ examples: ['0f3a5c7e9b1d2f40'] }),
  name: Type.String({ description: 'who or what uses it', examples: ['grafana'] }),
  role: Type.String({ examples: ['viewer'] }),
  workspaces: Type.Array(Type.String(), { description: '* stands for all' }),
  created_at: Instant,
  expires_at: maybeInstant,
  revoked_at: maybeInstant,
};

export const ApiKeyAnswer = Type.Object(keyMembers);
export const ApiKeysAnswer = Type.Object({ items: Type.Array(ApiKeyAnswer) });

export const NewKeyBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200 }),
    role: oneOf(roles),
    workspaces: Type.Array(Type.String({ minLength: 1, maxLength: 512 }), { minItems: 1, maxItems: 100 }),
    expires_in_days: Type.Optional(Type.Integer({ minimum: 1, maximum: 3650 })),
  },
  { ...closed, examples: [{ name: 'grafana', role: 'viewer', workspaces: ['default'], expires_in_days: 90 }] },
);

export const NewKeyAnswer = Type.Object({
  ...keyMembers,
  key: Type.String({ description: 'shown this once; what is kept is a hash', examples: ['weir_0f3a5c7e9b1d2f40_…'] }),
});

export const KeyPath = Type.Object({ key_id: Type.String({ pattern: '^[0-9a-f]{16}$' }) }, closed);
export const RevokeQuery = Type.Object({ reason: Type.Optional(Type.String({ maxLength: 4000 })) }, closed);

export const AuditQuery = Type.Object(
  {
    ...rangeParameters,
    collection: Type.Optional(
      Type.String({
        maxLength: 64,
        description: 'kind of entry: commands, api-keys, workflow-definitions, silences, …',
      }),
    ),
    key: Type.Optional(Type.String({ maxLength: 2000, description: 'one entry' })),
    author: Type.Optional(Type.String({ maxLength: 512, description: 'who did it' })),
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
  },
  closed,
);

export const AuditAnswer = Type.Object({
  items: Type.Array(
    Type.Object({
      time: Instant,
      place: Type.String({ description: 'log, partition and offset of the record' }),
      collection: Type.String({ examples: ['workflow-definitions'] }),
      key: Type.String(),
      action: Type.String({
        description:
          'made, changed or removed; conflict or repeated where it did not count; of commands requested, approved, or the outcome',
        examples: ['changed'],
      }),
      author: Type.String(),
      reason: maybeText,
      revision: nullable(Type.Integer()),
      previous_revision: nullable(Type.Integer()),
      request_id: maybeText,
      value: AnyJson,
    }),
  ),
  next_cursor: maybeText,
});
