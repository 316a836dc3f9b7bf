import type { Kind } from '../support/pipeline-process.ts';
import { rawTables } from './accounts.ts';
import type { Stand } from './stand.ts';

/** Words of the verification that name a cell and the offsets of the records that lead there. */
const differing = /of partition (\d+) chunk .* \(from offsets? ([\d, ]+)\)$/;

/** The records that feed the first cell that differs, as they are stored. */
export async function traceDifferences(stand: Stand, kind: Kind, details: readonly string[]): Promise<string[]> {
  const first = details.map((detail) => differing.exec(detail)).find((match) => match !== null);
  if (first === undefined) return [];
  const [, partition, offsets = ''] = first;
  const what = kind === 'orchestrators' ? 'kind, orchestrator_id' : 'execution_id, state, attempt, started_at';
  const rows = await stand.database.rows<Record<string, unknown>>(
    `SELECT offset, event_time, ${what} FROM ${rawTables[kind]} FINAL
     WHERE stream = {stream: String} AND partition = {partition: UInt32} AND offset IN {offsets: Array(UInt64)} ORDER BY offset`,
    { stream: stand.streamOf(kind), partition: Number(partition), offsets: offsets.split(', ').map(Number) },
  );
  return rows.map((row) => `${kind}/${partition} ${JSON.stringify(row)}`);
}
