import { Type } from 'typebox';
import {
  AnyJson,
  Count,
  closed,
  Id,
  Instant,
  maybeInstant,
  maybeText,
  nullable,
  Reasons,
  sourceParameter,
} from './parts.ts';

/** Definitions of workflows, `/api/v1/workflows`: declared by people, or learned from telemetry. */

export const RegistryPath = Type.Object({ workflow_id: Id }, closed);

const projectParameter = {
  project: Type.Optional(Type.String({ minLength: 1, maxLength: 512, description: 'which project declares it' })),
};

export const DefinitionQuery = Type.Object({ ...projectParameter, ...sourceParameter }, closed);

/** Checked by its own schema, which names every mistake with its place. */
export const DefinitionBody = Type.Record(Type.String(), Type.Unknown(), {
  description: 'a workflow definition: id, name, version, description, trigger, variables, tasks, …',
  examples: [
    {
      id: 'load_orders',
      name: 'Load orders',
      version: '1',
      description: 'Two steps, one after the other.',
      trigger: { type: 'scheduled', cron: '0 * * * *' },
      variables: {},
      tasks: [
        {
          id: 'extract',
          name: 'Extract',
          kind: 'work',
          type: 'io',
          operator: 'Sql',
          pool: 'default',
          durationMs: 2000,
        },
        {
          id: 'load',
          name: 'Load',
          kind: 'work',
          type: 'io',
          operator: 'Sql',
          pool: 'default',
          after: ['extract'],
          durationMs: 1000,
        },
      ],
    },
  ],
});

export const DefinitionPutQuery = Type.Object(
  {
    project: Type.String({ minLength: 1, maxLength: 200, default: 'default' }),
    expected_revision: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'what you have seen, 0 for none: refused when somebody was faster',
      }),
    ),
    reason: Type.Optional(Type.String({ maxLength: 4000 })),
  },
  closed,
);

export const DefinitionReceipt = Type.Object({
  workflow_id: Type.String({ examples: ['load_orders'] }),
  project: Type.String({ examples: ['default'] }),
  revision: Type.Integer({ examples: [281474976710700] }),
  previous_revision: nullable(Type.Integer({ description: 'null: there was none' })),
});

export const DefinitionAnswer = Type.Object({
  workflow_id: Type.String({ examples: ['load_orders'] }),
  origin: Type.String({ description: 'declared or learned', examples: ['declared'] }),
  project: maybeText,
  version: maybeText,
  revision: nullable(Type.Integer({ description: 'null: nobody declared it' })),
  changed_by: maybeText,
  changed_at: maybeInstant,
  definition: AnyJson,
  basis: Type.Union(
    [
      Type.Object({
        source: Type.String(),
        executions: Type.Integer({ description: 'newest executions that it was learned from' }),
        versions: Type.Array(Type.String(), { description: 'versions that telemetry names' }),
      }),
      Type.Null(),
    ],
    { description: 'what it was learned from' },
  ),
  reasons: Reasons,
});

export const WorkflowsQuery = Type.Object(
  {
    ...projectParameter,
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 100 }),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 4000 })),
  },
  closed,
);

export const WorkflowsAnswer = Type.Object({
  items: Type.Array(
    Type.Object({
      workflow_id: Type.String({ examples: ['load_orders'] }),
      origin: Type.String({ examples: ['learned'] }),
      project: maybeText,
      name: maybeText,
      version: maybeText,
      revision: nullable(Type.Integer()),
      sources: Type.Array(Type.String()),
      finished_executions: Count,
      last_day: nullable(Type.String({ format: 'date', description: 'last day with telemetry of it; null: none yet' })),
    }),
  ),
  next_cursor: maybeText,
});

export const VersionsAnswer = Type.Object({
  workflow_id: Type.String({ examples: ['load_orders'] }),
  project: maybeText,
  declared: Type.Array(
    Type.Object({
      revision: Type.Integer(),
      version: maybeText,
      removed: Type.Boolean(),
      changed_by: Type.String(),
      changed_at: Instant,
      reason: maybeText,
    }),
    { description: 'newest first' },
  ),
  seen: Type.Array(Type.String(), { description: 'versions that telemetry names' }),
});

export const DifferencesQuery = Type.Object(
  {
    ...projectParameter,
    from: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'a revision; the one before `to` where left out',
      }),
    ),
    to: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'a revision; the newest where left out',
      }),
    ),
  },
  closed,
);

export const DifferencesAnswer = Type.Object({
  workflow_id: Type.String({ examples: ['load_orders'] }),
  project: Type.String(),
  from: Type.Integer(),
  to: Type.Integer(),
  differences: Type.Array(
    Type.Object({
      path: Type.String({
        description: 'as one would write it in code; tasks by their id',
        examples: ['tasks[load].timeoutMs'],
      }),
      change: Type.String({ description: 'added, removed or changed', examples: ['changed'] }),
      before: AnyJson,
      after: AnyJson,
    }),
  ),
});
