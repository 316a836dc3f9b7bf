import { waitUntil } from '../support/launched.ts';
import type { Fleet } from './fleet.ts';
import { setOffsets } from './group-offsets.ts';
import { kinds, type Stand } from './stand.ts';

/**
 * What is dated by a clock, or counts how often something was looked at; and the lists, in which a life that is told out of order
 * may leave an entry for each place where a batch of it ended.
 */
const undated = new Set([
  'execution_list',
  'task_list',
  'schema_migrations',
  'rollup_cursors',
  'idle_partitions',
  'baselines',
  'baseline_generations',
]);
/** A version says up to where a cell had been folded when it was last written, and flushes end elsewhere in a replay. */
const columnsOf = (table: string): string =>
  /_(cells|hours|days)$/.test(table) ? '* EXCEPT (written_at, ver)' : '* EXCEPT (written_at)';
const patienceMs = 180_000;

/** Folds the whole log once more, by one process and from its first offset; answers which tables have changed. */
export async function replayAll(stand: Stand, fleet: Fleet): Promise<string[]> {
  await fleet.stopAll();
  const before = await readChecksums(stand);
  for (const kind of kinds) await setOffsets(stand, kind, () => 0);
  const process = fleet.launch();
  const records = await countRecords(stand);
  const isDone = async () =>
    (await process.metric('weir_records_total').catch(() => 0)) >= records &&
    (await process.metric('weir_true_lag_records').catch(() => 1)) === 0;
  if (!(await waitUntil(isDone, patienceMs)))
    return [`the replay did not come to its end: ${await process.whyNotReady()}`];
  // The last flush and a run of the roll-up job.
  await process.stop();
  const after = await readChecksums(stand);
  return [...before].flatMap(([table, checksum]) =>
    after.get(table) === checksum ? [] : [`${table} was ${checksum} and became ${after.get(table)}`],
  );
}

async function countRecords(stand: Stand): Promise<number> {
  let records = 0;
  for (const kind of kinds) {
    const ends = await stand.telemetry.admin.fetchTopicOffsets(stand.telemetry.topics[kind]);
    for (const { low, high } of ends) records += Number(high) - Number(low);
  }
  return records;
}

async function readChecksums({ database }: Stand): Promise<Map<string, string>> {
  const tables = await database.rows<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name",
  );
  const checksums = new Map<string, string>();
  for (const { name } of tables) {
    if (undated.has(name)) continue;
    const [row] = await database.rows<{ rows: string; sum: string }>(
      `SELECT toString(count()) AS rows, toString(sum(cityHash64(formatRow('JSONCompactEachRow', ${columnsOf(name)})))) AS sum
       FROM ${name} FINAL`,
    );
    checksums.set(name, `${row?.rows} rows of sum ${row?.sum}`);
  }
  return checksums;
}
