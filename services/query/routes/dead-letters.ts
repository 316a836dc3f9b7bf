import type { Static } from 'typebox';
import {
  type DeadLetterRow,
  deadLetterQuestion,
  deadLettersQuestion,
} from '../../../clickhouse/queries/dead-letters.ts';
import { type RejectionMeaning, rejections } from '../../../pipelines/rejections.ts';
import { DeadLetter, DeadLetterPath, DeadLettersAnswer, DeadLettersQuery } from '../../../schemas/api/accounting.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { latestInstantMs } from '../../../schemas/events.ts';
import { explainIf, toInstant } from '../answer-values.ts';
import { readCursor, writeCursor } from '../cursors.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { afterNow, parseRange } from '../time-range.ts';

/** Records that could not be stored, with the reason and what to do. */
export const deadLetters: Family = {
  prefix: '/api/v1',
  tag: 'accounting',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/dead-letters',
      {
        schema: {
          summary: 'Dead letters, newest first',
          description:
            'Those of the workspace. What could not be read far enough to tell whose it is comes with them for administrators of all workspaces.',
          querystring: DeadLettersQuery,
          response: answers(DeadLettersAnswer),
        },
      },
      async ({ query, readers }) => {
        const { topic = '', reason = '', limit, cursor, ...rest } = query;
        const range = parseRange(rest, '30d', afterNow(nowMs()));
        const ask = {
          topic,
          reason,
          fromMs: range.fromMs,
          toMs: range.toMs,
          ...readPosition(cursor),
          limit: limit + 1,
        };
        const pages = await Promise.all(readers.map((reader) => reader.ask(deadLettersQuestion, ask)));
        const rows = pages.flat().toSorted(newestFirst);
        const last = rows.length > limit ? rows[limit - 1] : undefined;
        return {
          items: rows.slice(0, limit).map(describeLetter),
          next_cursor:
            last === undefined ? null : writeCursor([last.record_time_ms, last.stream, last.partition, last.offset]),
          reasons: explainIf(readers.length === 1, {
            items: 'letters of which nobody can tell the workspace are left out',
          }),
        };
      },
    );
    app.get(
      '/dead-letters/:topic/:partition/:offset',
      {
        schema: {
          summary: 'One dead letter, by its place in the log',
          params: DeadLetterPath,
          response: answers(DeadLetter),
        },
      },
      async ({ params, readers }) => {
        const found = await Promise.all(readers.map((reader) => reader.ask(deadLetterQuestion, params)));
        const [letter] = found.flat();
        if (letter === undefined) throw new ApiError('not_found', 'There is no dead letter at this place.');
        return describeLetter(letter);
      },
    );
  },
};

function readPosition(cursor: string | undefined) {
  // Before the first page stands something newer than anything there can be.
  if (cursor === undefined) {
    return { afterMs: latestInstantMs, afterStream: '', afterPartition: 0, afterOffset: 0 };
  }
  const [afterMs, afterStream, afterPartition, afterOffset] = readCursor(cursor, [
    'number',
    'string',
    'number',
    'number',
  ]);
  if (afterMs > latestInstantMs || afterPartition > 2 ** 31 - 1) {
    throw new ApiError('invalid_cursor', 'The cursor is none that this route has given.');
  }
  return { afterMs, afterStream, afterPartition, afterOffset };
}

const descending = (one: string | number, other: string | number) => (one === other ? 0 : one > other ? -1 : 1);

const newestFirst = (one: DeadLetterRow, other: DeadLetterRow): number =>
  descending(one.record_time_ms, other.record_time_ms) ||
  descending(one.stream, other.stream) ||
  descending(one.partition, other.partition) ||
  descending(one.offset, other.offset);

function describeLetter(row: DeadLetterRow): Static<typeof DeadLetter> {
  const { topic, partition, offset, reason, detail, excerpt, key_bytes, value_bytes, workspace } = row;
  const { meaning, remedy } = describeReason(reason);
  return {
    place: `${topic}/${partition}/${offset}`,
    topic,
    partition,
    offset,
    time: toInstant(row.record_time_ms),
    reason,
    meaning,
    remedy,
    detail,
    excerpt,
    key_bytes,
    value_bytes,
    workspace: workspace === '' ? null : workspace,
  };
}

/** A letter of another release may carry a reason that this one does not know. */
function describeReason(reason: string): Pick<RejectionMeaning, 'meaning' | 'remedy'> {
  const known = Object.hasOwn(rejections, reason)
    ? (rejections as Record<string, RejectionMeaning>)[reason]
    : undefined;
  return known ?? { meaning: 'The record was refused for a reason of another release.', remedy: 'Read the detail.' };
}
