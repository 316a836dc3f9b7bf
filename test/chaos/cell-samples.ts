import {
  executionCellsTable,
  executionDimensions,
  taskCellsTable,
  taskDimensions,
} from '../../clickhouse/tables/cells.ts';
import { orchestratorCellsTable, orchestratorDimensions } from '../../clickhouse/tables/orchestrator-cells.ts';
import { type CellValues, cellKey, type Recomputation } from '../../pipelines/verify/recompute.ts';
import { readJsonLines, readValues, type StoredTable, selectMeasure } from '../../pipelines/verify/stored.ts';
import type { Kind } from '../support/pipeline-process.ts';
import { kinds, type Stand } from './stand.ts';

export const cellTables: Record<Kind, { table: StoredTable; dimensions: readonly string[] }> = {
  executions: { table: executionCellsTable, dimensions: executionDimensions },
  tasks: { table: taskCellsTable, dimensions: taskDimensions },
  orchestrators: { table: orchestratorCellsTable, dimensions: orchestratorDimensions },
};
const coordinates = new Set(['window_start', 'stream', 'partition', 'chunk', 'fold_version', 'ver']);
const versionShift = 2n ** 48n;
const versionsATime = 2;
/** Each is recomputed from the whole log. */
const mostVersions = 40;

interface CellVersion {
  key: string;
  values: CellValues;
}

/** Every cell that was seen with one version, in one partition of one stream. */
export interface VersionSample {
  kind: Kind;
  stream: string;
  partition: number;
  foldVersion: number;
  /** The last offset that the values stand for. */
  position: number;
  cells: CellVersion[];
}

/**
 * Cells as they stood at some moment of the run, whether they are still there or not: one with version v must be the fold
 * of its chunk below v, also while faults run.
 */
export class CellSamples {
  readonly #stand: Stand;
  readonly versions = new Map<string, VersionSample>();

  constructor(stand: Stand) {
    this.#stand = stand;
  }

  async take(): Promise<void> {
    for (const kind of kinds) await this.#takeKind(kind, this.#stand.streamOf(kind));
  }

  async #takeKind(kind: Kind, stream: string): Promise<void> {
    const { database, random } = this.#stand;
    if ([...this.versions.values()].filter((sample) => sample.kind === kind).length >= mostVersions) return;
    const { table, dimensions } = cellTables[kind];
    const measures = table.columns
      .filter(({ name }) => !coordinates.has(name) && !dimensions.includes(name))
      .flatMap(selectMeasure);
    const answer = await database.stream(
      `SELECT ${dimensions.join(', ')}, toUnixTimestamp(window_start), partition, chunk, fold_version, toString(ver),
         ${measures.map(({ sql }) => sql).join(', ')}
       FROM ${table.name} WHERE stream = {stream: String} AND (partition, ver) IN (
         SELECT partition, ver FROM ${table.name} WHERE stream = {stream: String} AND ver % {shift: UInt64} != 0 GROUP BY partition, ver
         ORDER BY cityHash64(partition, ver, {salt: UInt32}) LIMIT {most: UInt8})
       FORMAT JSONCompactEachRow`,
      { stream, shift: String(versionShift), salt: random.below(1_000_000), most: versionsATime },
    );
    const fields = measures.map(({ field }) => field);
    for await (const row of readJsonLines(answer)) {
      const [windowSeconds, partition, chunk, foldVersion, ver, ...values] = row.slice(dimensions.length);
      const dims = JSON.stringify(row.slice(0, dimensions.length));
      const cell = {
        key: cellKey(dims, Number(windowSeconds) * 1000, Number(chunk)),
        values: readValues(fields, values),
      };
      const place = { kind, stream, partition: Number(partition), foldVersion: Number(foldVersion) };
      this.#keep({ ...place, position: Number(BigInt(ver as string) % versionShift) - 1 }, cell);
    }
  }

  #keep(of: Omit<VersionSample, 'cells'>, cell: CellVersion): void {
    const name = `${of.stream} ${of.partition} ${of.foldVersion} ${of.position}`;
    const known = this.versions.get(name);
    if (known === undefined) this.versions.set(name, { ...of, cells: [cell] });
    else known.cells.push(cell);
  }
}

/** Values that are not those of the recomputation, in words. */
export function differencesOf(cells: Iterable<CellVersion>, expected: Recomputation): string[] {
  const differences: string[] = [];
  for (const { key, values } of cells) {
    const wanted: CellValues = expected.cells.get(key) ?? new Map();
    for (const field of new Set([...wanted.keys(), ...values.keys()])) {
      const [want, have] = [wanted.get(field) ?? 0n, values.get(field) ?? 0n];
      if (want !== have) differences.push(`cell ${key} ${field}: expected ${want}, found ${have}`);
    }
  }
  return differences;
}
