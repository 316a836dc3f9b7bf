import { Type } from 'typebox';
import { Count, closed, Instant, maybeText, nullable, Reasons, rangeParameters } from './parts.ts';

/** What became of records, `/api/v1`: completeness and dead letters. */

const topicKind = Type.Union([Type.Literal('executions'), Type.Literal('tasks')]);

export const CompletenessQuery = Type.Object(rangeParameters, closed);

export const CompletenessAnswer = Type.Object({
  range: Type.Object({ from: Instant, to: Instant }),
  is_complete: Type.Boolean({ description: 'nothing unaccounted for, nothing lost, and rollups equal to their rows' }),
  ledger: Type.Union(
    [
      Type.Array(
        Type.Object({
          topic: Type.String(),
          stream: Type.String({ description: 'topic@epoch' }),
          partition: Count,
          chunks: Count,
          first_offset: Count,
          last_offset: Type.Integer(),
          offsets: Count,
          stored: Count,
          dropped: Count,
          duplicate: Count,
          dead_letters: Count,
          lost_retention: Count,
          unaccounted: Type.Integer({
            description: 'offsets that hold no record: marks of transactions, or records that compaction removed',
          }),
          watermark: Instant,
        }),
      ),
      Type.Null(),
    ],
    { description: 'of whole partitions, which all workspaces share: for administrators of all of them' },
  ),
  hours: Type.Array(
    Type.Object({
      kind: topicKind,
      hour: Instant,
      stored: Count,
      dropped: Count,
      dead_letters: Count,
    }),
  ),
  rollups: Type.Array(
    Type.Object({
      kind: topicKind,
      state: Type.String(),
      from_rows: Type.Integer(),
      from_rollups: Type.Integer(),
      different: Type.Integer(),
    }),
  ),
  reasons: Reasons,
});

const letterMembers = {
  place: Type.String({ description: 'topic/partition/offset', examples: ['telemetry.tasks/3/70389'] }),
  topic: Type.String(),
  partition: Count,
  offset: Count,
  time: Instant,
  reason: Type.String(),
  meaning: Type.String(),
  remedy: Type.String(),
  detail: Type.String(),
  excerpt: Type.String({ description: 'the beginning of the record, secrets removed' }),
  key_bytes: Count,
  value_bytes: Count,
  workspace: nullable(Type.String({ description: 'null: it could not be told whose record it is' })),
};

export const DeadLetter = Type.Object(letterMembers);

export const DeadLettersQuery = Type.Object(
  {
    ...rangeParameters,
    topic: Type.Optional(Type.String({ minLength: 1, maxLength: 249 })),
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
  },
  closed,
);

export const DeadLettersAnswer = Type.Object({
  items: Type.Array(DeadLetter),
  next_cursor: maybeText,
  reasons: Reasons,
});

export const DeadLetterPath = Type.Object(
  {
    topic: Type.String({ minLength: 1, maxLength: 249 }),
    partition: Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }),
    offset: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  },
  closed,
);
