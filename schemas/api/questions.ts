import { Type } from 'typebox';
import {
  Change,
  closed,
  Instant,
  maybeNumber,
  nullable,
  PercentileMethod,
  Range,
  Reasons,
  rangeParameters,
  stepParameter,
} from './parts.ts';

/** Questions of any subject, `/api/v1`: percentiles and trends. */

const filter = (description: string) => Type.Optional(Type.String({ maxLength: 512, description }));

const questionParameters = {
  subject: Type.Union([Type.Literal('execution'), Type.Literal('task')], { description: 'what is counted' }),
  workflow_id: filter('only this workflow'),
  workflow_version: filter('only this version of it'),
  task_id: filter('only this task; subject task'),
  task_type: filter('only tasks of this type; subject task'),
  pool: filter('only tasks of this pool; subject task'),
  trigger_type: filter('only executions with this trigger; subject execution'),
  project: filter('only this project'),
  source: filter('only this source'),
  group_by: Type.Optional(
    Type.String({
      maxLength: 32,
      description:
        'one answer for each: workflow_id, workflow_version, task_id, task_type, pool, trigger_type, project, source',
    }),
  ),
  ...rangeParameters,
};

export const PercentilesQuery = Type.Object(
  {
    ...questionParameters,
    metric: Type.Optional(
      Type.String({
        maxLength: 32,
        default: 'duration_ms',
        description: 'duration_ms, completed_duration_ms, other_duration_ms, queue_ms or attempt_duration_ms',
      }),
    ),
    percentiles: Type.Optional(
      Type.String({
        maxLength: 100,
        default: '50,90,95,99',
        description: 'from 0 to 100, two decimals at most, up to 20',
      }),
    ),
  },
  closed,
);

export const PercentilesAnswer = Type.Object({
  subject: Type.String(),
  metric: Type.String(),
  range: Range,
  percentiles: PercentileMethod,
  groups: Type.Array(
    Type.Object({
      key: nullable(Type.String({ description: 'null: everything' })),
      count: Type.Integer(),
      mean: maybeNumber,
      min: maybeNumber,
      max: maybeNumber,
      values: Type.Record(Type.String(), Type.Union([Type.Number(), Type.Null()]), {
        examples: [{ p50: 1200.5, p95: 4100.2 }],
      }),
      reasons: Reasons,
    }),
  ),
});

export const TrendsQuery = Type.Object(
  {
    ...questionParameters,
    ...stepParameter,
    metric: Type.Optional(
      Type.String({
        maxLength: 32,
        default: 'duration_ms_mean',
        description: 'see the names in a refusal, or the examples',
      }),
    ),
    compare: Type.Optional(Type.Literal('previous', { description: 'with the range of the same length right before' })),
  },
  closed,
);

export const TrendsAnswer = Type.Object({
  subject: Type.String(),
  metric: Type.String(),
  step: Type.String(),
  range: Range,
  groups: Type.Array(
    Type.Object({
      key: nullable(Type.String()),
      value: nullable(Type.Number({ description: 'over the whole range' })),
      change: Type.Union([Change, Type.Null()]),
      points: Type.Array(
        Type.Object({
          time: Instant,
          value: nullable(Type.Number({ description: 'null: nothing to measure in the step, a gap' })),
          count: Type.Integer({ description: 'things that finished in the step' }),
        }),
      ),
    }),
  ),
});
