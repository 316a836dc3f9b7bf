import { Type } from 'typebox';
import { closed, Id, Instant, maybeText, nullable, oneOf, rangeParameters } from './parts.ts';

/** Scores of finished executions and attempts, `/api/v1/scores`. */

const scoreMeasures = ['duration', 'queue', 'cpu', 'memory'] as const;
const scoreDirections = ['usual', 'high', 'low'] as const;

export const ScoresQuery = Type.Object(
  {
    ...rangeParameters,
    workflow_id: Type.Optional(Id),
    task_id: Type.Optional(Id),
    execution_id: Type.Optional(Id),
    measure: Type.Optional(oneOf(scoreMeasures)),
    direction: Type.Optional(oneOf([...scoreDirections, 'unusual'], { description: 'unusual is high or low' })),
    limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
  },
  closed,
);

const measured = 'milliseconds, and bytes of memory';

export const ScoresAnswer = Type.Object({
  items: Type.Array(
    Type.Object({
      workflow_id: Type.String(),
      task_id: nullable(Type.String({ description: 'null for the execution as a whole' })),
      execution_id: Type.String(),
      source: Type.String(),
      map_index: nullable(Type.Integer()),
      attempt: Type.Integer(),
      workflow_version: maybeText,
      state: Type.String(),
      ended_at: Instant,
      measure: Type.String({ description: scoreMeasures.join(', ') }),
      value: Type.Number({ description: measured }),
      expected: Type.Number({ description: `what is usual at that hour: ${measured}` }),
      low: Type.Number({ description: 'lower end of what is usual' }),
      high: Type.Number({ description: 'upper end of what is usual' }),
      score: Type.Number({ description: 'robust deviations from what is usual, negative below it' }),
      direction: Type.String({ description: scoreDirections.join(', ') }),
      baseline_id: Type.String({ description: 'what it stands on' }),
      facts: Type.Array(Type.String(), { description: 'what explains it, where it is not usual' }),
    }),
  ),
});
