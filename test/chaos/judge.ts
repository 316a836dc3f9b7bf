import { createDecoder } from '../../pipelines/decode.ts';
import { verifyOutcomes } from '../../pipelines/verify/outcome-check.ts';
import { recompute } from '../../pipelines/verify/recompute.ts';
import { verifyRollups } from '../../pipelines/verify/rollup-check.ts';
import { readCells } from '../../pipelines/verify/stored.ts';
import { verifyTopic } from '../../pipelines/verify/topic-check.ts';
import { type Accounts, rawTables, readAccounts } from './accounts.ts';
import { cellTables, differencesOf, type VersionSample } from './cell-samples.ts';
import { readOlder, readPartitionRecords, schemaRegistryOf } from './log-records.ts';
import { kinds, type Stand } from './stand.ts';
import { traceDifferences, traceOutcomes } from './trace.ts';
import type { Watch } from './watch.ts';

export const invariants = [
  'every offset below the committed one is a row, a counted drop or a dead letter',
  'rows are unique by offset',
  'cells over all chunks equal the recomputation, and finished counts the last ends of entities',
  'a cell with version v is the fold of its chunk below v',
  'commits are ends of chunks with a complete ledger',
  'after the faults the lag is 0 without a hand',
  'versions never fall',
  'a full replay changes nothing',
  'hours and days equal the sums of their minutes',
] as const;

const entityRetentionDays = 90;
const cellsRetentionDays = 90;
const latenessBoundMs = 30_000;

/** What is wrong, by the number of the invariant. */
export class Verdict {
  readonly problems = new Map<number, string[]>();
  lost = 0;
  doubled = 0;
  different = 0;
  records = 0;
  cells = 0;
  lostToRetention = 0;
  /** Records behind the first cell that differs. */
  readonly feeding: string[] = [];

  breach(invariant: number, problems: readonly string[], count = problems.length): void {
    if (count === 0) return;
    this.problems.set(invariant, [...(this.problems.get(invariant) ?? []), ...problems]);
    this.different += count;
  }

  get isClean(): boolean {
    return this.problems.size === 0 && this.lost + this.doubled + this.different === 0;
  }

  get line(): string {
    const held = invariants.length - this.problems.size;
    return `invariants ${held}/${invariants.length}, lost ${this.lost}, doubled ${this.doubled}, different ${this.different}`;
  }
}

/** Compares all that is stored with what the log says. Pipelines may run on: they have nothing to do. */
export async function judge(stand: Stand, watch: Watch, hours: boolean): Promise<Verdict> {
  const verdict = new Verdict();
  for (const kind of kinds) takeAccounts(await readAccounts(stand, kind), verdict);
  await compareWithLog(stand, verdict);
  if (hours) await compareHours(stand, verdict);
  await compareVersions(stand, watch, verdict);
  await compareWithRows(stand, verdict);
  verdict.breach(3, await compareTimes(stand));
  verdict.breach(5, [...watch.commitProblems]);
  verdict.breach(7, [...watch.versionProblems]);
  return verdict;
}

function takeAccounts({ lost, doubled, lostToRetention, problems }: Accounts, verdict: Verdict): void {
  verdict.lost += lost.length;
  verdict.doubled += doubled.length;
  verdict.lostToRetention += lostToRetention;
  if (lost.length > 0)
    verdict.problems.set(
      1,
      lost.slice(0, 5).map((place) => `${place} is nowhere`),
    );
  if (doubled.length > 0)
    verdict.problems.set(
      2,
      doubled.slice(0, 5).map((place) => `${place} is there twice`),
    );
  verdict.breach(1, problems);
}

async function compareWithLog(stand: Stand, verdict: Verdict): Promise<void> {
  const { database, telemetry, epochs } = stand;
  const { kafka, admin, topics } = telemetry;
  for (const kind of kinds) {
    const decoder = createDecoder({ kind, registry: schemaRegistryOf(stand), maxValueBytes: 5_000_000 });
    const of = { kafka, admin, database, decoder, kind, topic: topics[kind], epoch: epochs[kind] };
    const report = await verifyTopic({ ...of, entityRetentionDays, waitMs: 1_000 });
    verdict.records += report.totals.records;
    verdict.cells += report.totals.cells;
    verdict.breach(3, report.details, report.different);
    verdict.feeding.push(...(await traceDifferences(stand, kind, report.details)));
    if (kind !== 'orchestrators') {
      const outcomes = await verifyOutcomes({ database, kind, entityRetentionDays, waitMs: 5_000 });
      const lines = outcomes.lines().slice(1);
      verdict.breach(
        3,
        lines.map((line) => `${kind} by last end, ${line.trim()}`),
        outcomes.different,
      );
      if (outcomes.different > 0) verdict.feeding.push(...(await traceOutcomes(stand, kind)));
    }
  }
}

async function compareHours({ database }: Stand, verdict: Verdict): Promise<void> {
  for (const kind of kinds) {
    for (const rollup of await verifyRollups({ database, kind, cellsRetentionDays, waitMs: 30_000 })) {
      verdict.breach(9, rollup.lines(), rollup.different);
    }
  }
}

/** Only the newest fold is known to the recomputation. */
async function compareVersions(stand: Stand, watch: Watch, verdict: Verdict): Promise<void> {
  await watch.samples.take();
  const newestFold = await readNewestFold(stand);
  const samples = [...watch.samples.versions.values()].filter(
    ({ kind, stream, foldVersion }) => stream === stand.streamOf(kind) && foldVersion === newestFold,
  );
  for (const group of Map.groupBy(samples, ({ kind, partition }) => `${kind} ${partition}`).values()) {
    const [{ kind, partition }] = group as [VersionSample];
    const records = await readPartitionRecords(stand, kind, partition);
    if (records === null) continue;
    const chunkRecords = stand.chunkRecordsOf(kind);
    for (const { position, cells } of group) {
      // What is left of a chunk that retention has begun to remove cannot tell how it was folded.
      if (Math.floor(position / chunkRecords) * chunkRecords < records.firstOffset) continue;
      const different = differencesOf(cells, records.recompute({ chunkRecords, limitOf: () => position }));
      verdict.breach(
        4,
        different.map((text) => `${kind}/${partition} version ${position + 1}: ${text}`),
      );
      verdict.cells += cells.length;
    }
  }
}

/** Also of chunks that the log no longer holds, cells must be what their own rows come to. */
async function compareWithRows(stand: Stand, verdict: Verdict): Promise<void> {
  const newestFold = await readNewestFold(stand);
  for (const kind of ['executions', 'tasks'] as const) {
    const stream = stand.streamOf(kind);
    const partitions = await stand.database.rows<{ partition: number }>(
      'SELECT DISTINCT partition FROM chunks WHERE stream = {stream: String} ORDER BY partition',
      { stream },
    );
    for (const { partition } of partitions) {
      const records = await readOlder(stand, kind, partition, Number.MAX_SAFE_INTEGER);
      const expected = recompute(records, { chunkRecords: stand.chunkRecords, limitOf: () => Number.MAX_SAFE_INTEGER });
      const stored = await readCells(stand.database, cellTables[kind].table, { stream, partition });
      const cells = [...stored]
        .filter(([, cell]) => cell.foldVersion === newestFold)
        .map(([key, { values }]) => ({ key, values }));
      verdict.breach(
        3,
        differencesOf(cells, expected).map((text) => `${kind}/${partition}, from its rows: ${text}`),
      );
    }
  }
}

/** Windows are judged by the ledger's word for how far time has come, so that has to be the rows'. */
async function compareTimes(stand: Stand): Promise<string[]> {
  const problems: string[] = [];
  for (const kind of kinds) {
    const rows = await stand.database.rows<{ place: string; watermark: number; newest: number }>(
      `SELECT concat(stream, '/', toString(partition), ' chunk ', toString(chunk)) AS place,
         toUnixTimestamp64Milli(watermark) AS watermark, toUnixTimestamp64Milli(newest) AS newest
       FROM (SELECT stream, partition, chunk, last_offset, watermark FROM chunks FINAL WHERE stream = {stream: String}) AS ledger
       ASOF LEFT JOIN (
         SELECT stream, partition, toInt64(offset) AS at, max(event_time) OVER (PARTITION BY stream, partition ORDER BY offset) AS newest
         FROM ${rawTables[kind]} FINAL WHERE stream = {stream: String}) AS raw
       ON ledger.stream = raw.stream AND ledger.partition = raw.partition AND ledger.last_offset >= raw.at`,
      { stream: stand.streamOf(kind) },
    );
    for (const { place, watermark, newest } of rows) {
      const expected = Math.max(0, newest - latenessBoundMs);
      if (watermark !== expected) problems.push(`${place}: watermark ${watermark} instead of ${expected}`);
    }
  }
  return problems;
}

async function readNewestFold(stand: Stand): Promise<number> {
  const [row] = await stand.database.rows<{ newest: number }>('SELECT max(fold_version) AS newest FROM chunks');
  return row?.newest ?? 0;
}
