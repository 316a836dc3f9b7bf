import type { Static } from 'typebox';
import {
  hoursQuestion,
  type LedgerRow,
  ledgerQuestion,
  recountQuestion,
} from '../../../clickhouse/queries/accounting.ts';
import { CompletenessAnswer, CompletenessQuery } from '../../../schemas/api/accounting.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { explainIf, toInstant } from '../answer-values.ts';
import { runsEverything } from '../auth.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { parseRange, type TimeRange } from '../time-range.ts';

/** Whether every record of the log is accounted for, and the rollups say what the records say. */
export const completeness: Family = {
  prefix: '/api/v1',
  tag: 'accounting',
  register(app: App, { nowMs, streams }: Services): void {
    app.get(
      '/completeness',
      {
        schema: {
          summary: 'Whether everything that was sent is counted',
          description:
            'Offsets of the log against rows, drops and dead letters; records of the workspace by the hour in which Kafka took them; ' +
            'and outcomes counted anew from single records beside what the rollups say. While telemetry streams in, the newest second may differ.',
          querystring: CompletenessQuery,
          response: answers(CompletenessAnswer),
        },
      },
      async ({ query, reader, caller }) => {
        const { fromMs, toMs } = alignRange(parseRange(query, '24h', nowMs()));
        const kinds = ['executions', 'tasks'] as const;
        const mayReadLedger = runsEverything(caller);
        const [ledger, hours, recounts] = await Promise.all([
          mayReadLedger ? reader.ask(ledgerQuestion, { streams: Object.values(streams) }) : null,
          Promise.all(kinds.map((kind) => reader.ask(hoursQuestion, { kind, stream: streams[kind], fromMs, toMs }))),
          Promise.all(kinds.map((kind) => reader.ask(recountQuestion, { kind, fromMs, toMs }))),
        ]);
        const rollups = kinds.flatMap((kind, at) =>
          recounts[at].map(({ state, rows_say, rollups_say }) => {
            return { kind, state, from_rows: rows_say, from_rollups: rollups_say, different: rollups_say - rows_say };
          }),
        );
        const partitions = ledger === null ? null : ledger.map(describePartition);
        const isWhole = (partitions ?? []).every(({ lost_retention }) => lost_retention === 0);
        return {
          range: { from: toInstant(fromMs), to: toInstant(toMs) },
          is_complete: isWhole && rollups.every(({ different }) => different === 0),
          ledger: partitions,
          hours: kinds.flatMap((kind, at) =>
            hours[at].map(({ hour, stored, dropped, dead }) => {
              return { kind, hour: toInstant(hour * 1000), stored, dropped, dead_letters: dead };
            }),
          ),
          rollups,
          reasons: explainIf(!mayReadLedger, { ledger: 'partitions hold the records of all workspaces' }),
        };
      },
    );
  },
};

const longestDays = 31;
const minuteMs = 60_000;

/** Whole minutes, as the rollups have them; single records are counted, so the range is short. */
function alignRange({ fromMs, toMs }: TimeRange): { fromMs: number; toMs: number } {
  if (toMs - fromMs > longestDays * 86_400_000) {
    throw new ApiError('too_much_asked', `Records are counted over ${longestDays} days at most.`, { longestDays });
  }
  return { fromMs: Math.floor(fromMs / minuteMs) * minuteMs, toMs: Math.ceil(toMs / minuteMs) * minuteMs };
}

function describePartition(row: LedgerRow): NonNullable<Static<typeof CompletenessAnswer>['ledger']>[number] {
  const { stream, partition, chunks, first_offset, last_offset, offsets, stored, dropped, duplicate, dead } = row;
  return {
    topic: stream.slice(0, stream.lastIndexOf('@')),
    stream,
    partition,
    chunks,
    first_offset,
    last_offset,
    offsets,
    stored,
    dropped,
    duplicate,
    dead_letters: dead,
    lost_retention: row.lost_retention,
    unaccounted: offsets - stored - dropped - duplicate - dead - row.lost_retention,
    watermark: toInstant(row.watermark_ms),
  };
}
