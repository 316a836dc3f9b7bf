import type { Static } from 'typebox';
import {
  countAskOf,
  type HourRow,
  hoursQuestion,
  type LedgerRow,
  ledgerQuestion,
  outcomes,
  type RecountRow,
  recountQuestion,
  rowsWithin,
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
        const askedMs = nowMs();
        const range = alignRange(parseRange(query, '24h', askedMs));
        const ask = countAskOf(range, askedMs);
        const mayReadLedger = runsEverything(caller);
        const [ledger, hours, recounts] = await Promise.all([
          mayReadLedger ? reader.ask(ledgerQuestion, { streams: Object.values(streams) }) : null,
          Promise.all(kinds.map((kind) => reader.ask(hoursQuestion, { kind, stream: streams[kind], ...ask }))),
          Promise.all(kinds.map((kind) => reader.ask(recountQuestion, { kind, ...ask }))),
        ]);
        const rollups = kinds.flatMap((kind, at) => compareOutcomes(kind, rowsWithin(recounts[at] ?? [], range)));
        const partitions = ledger === null ? null : ledger.map(describePartition);
        const isWhole = (partitions ?? []).every(({ lost_retention }) => lost_retention === 0);
        return {
          range: { from: toInstant(range.fromMs), to: toInstant(range.toMs) },
          is_complete: isWhole && rollups.every(({ different }) => different === 0),
          ledger: partitions,
          hours: kinds.flatMap((kind, at) => sumUpHours(kind, rowsWithin(hours[at] ?? [], range))),
          rollups,
          reasons: explainIf(!mayReadLedger, { ledger: 'partitions hold the records of all workspaces' }),
        };
      },
    );
  },
};

const kinds = ['executions', 'tasks'] as const;
type Kind = (typeof kinds)[number];
type Whole = Static<typeof CompletenessAnswer>;

const longestDays = 31;
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** Whole minutes, as the rollups have them; single records are counted, so the range is short. */
function alignRange({ fromMs, toMs }: TimeRange): { fromMs: number; toMs: number } {
  if (toMs - fromMs > longestDays * 24 * hourMs) {
    throw new ApiError('too_much_asked', `Records are counted over ${longestDays} days at most.`, { longestDays });
  }
  return { fromMs: Math.floor(fromMs / minuteMs) * minuteMs, toMs: Math.ceil(toMs / minuteMs) * minuteMs };
}

const sumOf = <Row>(rows: readonly Row[], numberOf: (row: Row) => number): number =>
  rows.reduce((sum, row) => sum + numberOf(row), 0);

function sumUpHours(kind: Kind, rows: readonly HourRow[]): Whole['hours'] {
  const byHour = Map.groupBy(rows, ({ at }) => Math.floor((at * 1000) / hourMs) * hourMs);
  return [...byHour].map(([atMs, own]) => {
    const [stored, dropped] = [sumOf(own, (row) => row.stored), sumOf(own, (row) => row.dropped)];
    return { kind, hour: toInstant(atMs), stored, dropped, dead_letters: sumOf(own, (row) => row.dead) };
  });
}

function compareOutcomes(kind: Kind, rows: readonly RecountRow[]): Whole['rollups'] {
  return outcomes.map((state) => {
    const own = rows.filter((row) => row.state === state);
    const [from_rows, from_rollups] = [sumOf(own, (row) => row.rows_say), sumOf(own, (row) => row.rollups_say)];
    return { kind, state, from_rows, from_rollups, different: from_rollups - from_rows };
  });
}

function describePartition(row: LedgerRow): NonNullable<Whole['ledger']>[number] {
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
