import type { Static } from 'typebox';
import { type AuditRow, auditQuestion, changesQuestion } from '../../../clickhouse/queries/audit.ts';
import { AuditAnswer, AuditQuery } from '../../../schemas/api/operation.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { latestInstantMs } from '../../../schemas/events.ts';
import { orNull, readJson, toInstant } from '../answer-values.ts';
import { keysCollection, keysWorkspace } from '../api-keys.ts';
import { runsEverything } from '../auth.ts';
import { readCursor, writeCursor } from '../cursors.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { afterNow, parseRange } from '../time-range.ts';

/** Who set up or asked for what, when and why. */
export const audit: Family = {
  prefix: '/api/v1',
  tag: 'operation',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/audit',
      {
        config: { role: 'admin' },
        schema: {
          summary: 'Changes and commands, newest first',
          description:
            'Every change of what people set up, whether it counted or not, and every command with its approval and its outcome. ' +
            'API keys belong to no workspace: their changes come with those of a workspace for administrators of all of them.',
          querystring: AuditQuery,
          response: answers(AuditAnswer),
        },
      },
      async ({ query, reader, readerOf, caller }) => {
        const { collection = '', key = '', author = '', limit, cursor, ...rest } = query;
        const { fromMs, toMs } = parseRange(rest, '30d', afterNow(nowMs()));
        const position = readPosition(cursor);
        const ask = { collection, key, author, fromMs, toMs, ...position, limit: limit + 1 };
        const hidden = runsEverything(caller) ? '' : keysCollection;
        const asksOfKeys = runsEverything(caller) && reader.workspace !== keysWorkspace;
        const [own, ofKeys] = await Promise.all([
          reader.ask(auditQuestion, { ...ask, hidden }),
          asksOfKeys ? readerOf(keysWorkspace).ask(changesQuestion, { ...ask, hidden }) : [],
        ]);
        const rows = [...own, ...ofKeys].toSorted(newestFirst);
        const last = rows.length > limit ? rows[limit - 1] : undefined;
        return {
          items: rows.slice(0, limit).map(describeEntry),
          next_cursor: last === undefined ? null : writeCursor([last.at_ms, last.place]),
        };
      },
    );
  },
};

function readPosition(cursor: string | undefined): { afterMs: number; afterPlace: string } {
  if (cursor === undefined) return { afterMs: latestInstantMs, afterPlace: '' };
  const [afterMs, afterPlace] = readCursor(cursor, ['number', 'string']);
  if (afterMs > latestInstantMs) throw new ApiError('invalid_cursor', 'The cursor is none that this route has given.');
  return { afterMs, afterPlace };
}

const newestFirst = (one: AuditRow, other: AuditRow): number =>
  other.at_ms - one.at_ms || (one.place === other.place ? 0 : one.place < other.place ? 1 : -1);

function describeEntry(row: AuditRow): Static<typeof AuditAnswer>['items'][number] {
  return {
    time: toInstant(row.at_ms),
    place: row.place,
    collection: row.collection,
    key: row.key,
    action: row.action,
    author: row.author,
    reason: orNull(row.reason),
    revision: row.revision,
    previous_revision: row.previous_revision,
    request_id: orNull(row.request_id),
    value: withoutSecrets(readJson(row.value)),
  };
}

/** A secret that is hashed or sealed is of no use to a reader. */
function withoutSecrets(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { secretHash: _hash, sealed: _sealed, ...rest } = value as Record<string, unknown>;
  return rest;
}
