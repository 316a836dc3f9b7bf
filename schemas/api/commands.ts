import { Type } from 'typebox';
import { commandKinds } from '../commands.ts';
import {
  AnyJson,
  closed,
  Id,
  Instant,
  maybeInstant,
  maybeText,
  nullable,
  oneOf,
  rangeParameters,
  sourceParameter,
} from './parts.ts';

/** Commands to orchestrators, `/api/v1/commands`. */

export const CommandPath = Type.Object({ command_id: Type.String({ minLength: 1, maxLength: 512 }) }, closed);

const Reason = Type.String({ maxLength: 4000, description: 'why; part of the audit trail' });
const expiry = {
  expires_in_seconds: Type.Integer({
    minimum: 1,
    maximum: 604_800,
    default: 600,
    description: 'after which it must not be carried out any more',
  }),
};

const Kind = oneOf(commandKinds);

export const CommandBody = Type.Object(
  {
    kind: Kind,
    source: sourceParameter.source,
    orchestrator_id: Type.Optional(Id),
    workflow_id: Type.Optional(Id),
    execution_id: Type.Optional(Id),
    task_id: Type.Optional(Id),
    map_index: Type.Integer({ minimum: -1, maximum: 2 ** 31 - 1, default: -1 }),
    pool_id: Type.Optional(Id),
    optimization_id: Type.Optional(Id),
    parameters: Type.Record(Type.String(), Type.Unknown(), {
      default: {},
      description: 'target_workers of scale_pool, concurrency of change_concurrency',
    }),
    reason: Type.Optional(Reason),
    ...expiry,
    approval_required: Type.Boolean({ default: false, description: 'it waits until an administrator has approved it' }),
    dry_run: Type.Boolean({ default: false, description: 'only to be checked by the orchestrator' }),
  },
  {
    ...closed,
    examples: [
      {
        kind: 'scale_pool',
        pool_id: 'temporal-shop/default',
        parameters: { target_workers: 7 },
        reason: 'a sale begins',
      },
    ],
  },
);

/** The reason may also stand in the address, as the document that names this route has it. */
export const CancelBody = nullable(
  Type.Object({ reason: Type.Optional(Reason), ...expiry }, { ...closed, examples: [{ reason: 'wrong input' }] }),
);
export const CancelQuery = Type.Object({ ...sourceParameter, reason: Type.Optional(Reason) }, closed);

export const Command = Type.Object({
  id: Type.String({ examples: ['cmd_6f1c0d2a9b4e4c1f8a3d5e7b9c1d3f5a'] }),
  kind: Type.String({ examples: ['cancel'] }),
  state: Type.String({
    description:
      'sent, waiting_for_approval, accepted, done, failed, rejected or expired: what became of it so far, by the answers of orchestrators',
    examples: ['done'],
  }),
  source: Type.String(),
  orchestrator_id: maybeText,
  workflow_id: maybeText,
  execution_id: maybeText,
  task_id: maybeText,
  map_index: nullable(Type.Integer()),
  pool_id: maybeText,
  optimization_id: maybeText,
  parameters: AnyJson,
  requested_by: Type.String(),
  reason: maybeText,
  requested_at: Instant,
  expires_at: Instant,
  approval: Type.Object({ required: Type.Boolean(), approved_by: maybeText, approved_at: maybeInstant }),
  dry_run: Type.Boolean(),
  outcome: Type.Union(
    [
      Type.Object({
        outcome: Type.String({ examples: ['done'] }),
        message: maybeText,
        reported_by: maybeText,
        at: Instant,
        result: AnyJson,
      }),
      Type.Null(),
    ],
    { description: 'the answer that settled it, or the latest; null: nobody has answered' },
  ),
});

export const CommandsQuery = Type.Object(
  {
    ...rangeParameters,
    kind: Type.Optional(Kind),
    execution_id: Type.Optional(Id),
    workflow_id: Type.Optional(Id),
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
  },
  closed,
);

export const CommandsAnswer = Type.Object({ items: Type.Array(Command), next_cursor: maybeText });

export const CommandHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'the same key asks for the same command, which is carried out once; with another body it is refused',
    }),
  ),
});
