import { readLogRanges } from '../../pipelines/verify/read-log.ts';
import type { Kind } from '../support/pipeline-process.ts';
import type { Stand } from './stand.ts';

/** What became of every offset of a topic, counted from what is stored and from nothing else. */
export interface Accounts {
  /** Places of records that are neither a row, nor a drop, nor a dead letter. */
  lost: string[];
  doubled: string[];
  /** Offsets that the ledger gives up, because the log lost them before they were read. */
  lostToRetention: number;
  problems: string[];
}

export const rawTables: Record<Kind, string> = {
  executions: 'execution_events',
  tasks: 'task_events',
  orchestrators: 'orchestrator_events',
};

/** Our producers leave no holes in the offsets, so every one of them has to be somewhere. */
export async function readAccounts(stand: Stand, kind: Kind): Promise<Accounts> {
  const accounts: Accounts = { lost: [], doubled: [], lostToRetention: 0, problems: [] };
  const { telemetry, group: groupId } = stand;
  const topic = telemetry.topics[kind];
  const [entry] = await telemetry.admin.fetchOffsets({ groupId, topics: [topic] });
  const committed = new Map(entry?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  for (const { partition, first, end } of await readLogRanges(telemetry.admin, topic)) {
    const times = await readTimes(stand, kind, partition);
    const [ledger] = await stand.database.rows<{ last: number; lost: number }>(
      `SELECT toFloat64(max(last_offset)) AS last, toFloat64(sum(lost_retention)) AS lost FROM chunks FINAL
       WHERE stream = {stream: String} AND partition = {partition: UInt32}`,
      { stream: stand.streamOf(kind), partition },
    );
    let missing = 0;
    for (let offset = 0; offset < end; offset++) {
      const n = times.get(offset) ?? 0;
      if (n > 1) accounts.doubled.push(`${topic}/${partition}/${offset}`);
      if (n > 0) continue;
      if (offset < first) missing++;
      else accounts.lost.push(`${topic}/${partition}/${offset}`);
    }
    accounts.lostToRetention += ledger?.lost ?? 0;
    if (missing !== (ledger?.lost ?? 0))
      accounts.problems.push(
        `${topic}/${partition}: retention took ${missing} unread records, the ledger says ${ledger?.lost}`,
      );
    const commit = committed.get(partition) ?? -1;
    if (commit > (ledger?.last ?? -1) + 1)
      accounts.problems.push(`${topic}/${partition}: committed is ${commit}, the ledger ends at ${ledger?.last}`);
  }
  return accounts;
}

/** How often each offset is found. */
async function readTimes(stand: Stand, kind: Kind, partition: number): Promise<Map<number, number>> {
  const of = 'stream = {stream: String} AND partition = {partition: UInt32}';
  const tables = [rawTables[kind], 'drops', 'dead_letters'];
  const rows = await stand.database.rows<{ at: number; n: number }>(
    `SELECT toFloat64(offset) AS at, toUInt32(count()) AS n FROM (
       ${tables.map((table) => `SELECT offset FROM ${table} FINAL WHERE ${of}`).join(' UNION ALL ')}) GROUP BY at`,
    { stream: stand.streamOf(kind), partition },
  );
  return new Map(rows.map(({ at, n }) => [at, n]));
}
