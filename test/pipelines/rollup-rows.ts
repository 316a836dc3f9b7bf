import { Registry } from 'prom-client';
import { Block } from '../../clickhouse/block.ts';
import { Database } from '../../clickhouse/client.ts';
import { migrate, migrateOptions } from '../../clickhouse/migrate.ts';
import { chunksTable, versionOf } from '../../clickhouse/tables/bookkeeping.ts';
import { type CellRow, executionCellsTable, taskCellsTable } from '../../clickhouse/tables/cells.ts';
import { counts, distributions, quantities } from '../../clickhouse/tables/measures.ts';
import { type Rollup, rollupPairs } from '../../clickhouse/tables/rollups.ts';
import { RollupJob, type RollupOptions } from '../../pipelines/rollup.ts';
import { createRollupMetrics } from '../../pipelines/rollup-metrics.ts';
import type { Random } from '../../services/simulator/random.ts';
import { type CellContent, insertCells, makeCell } from '../clickhouse/cell-rows.ts';
import { defaultSettings } from '../clickhouse/default-settings.ts';
import { createTestDatabase, type TestDatabase } from '../support/stack.ts';

export const chunkRecords = 1024;
export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;
export const stream = 'views@1';
const tables = { executions: executionCellsTable, tasks: taskCellsTable } as const;
const pairs = { executions: rollupPairs[0], tasks: rollupPairs[1] } as const;
export type Kind = keyof typeof tables;
export const kinds = ['executions', 'tasks'] as const;

/** A cell of the test: the position is an offset within its chunk. */
export interface Place {
  workflow: string;
  windowStartMs: number;
  partition?: number;
  chunk?: number;
  position?: number;
  foldVersion?: number;
}

/** Where chunks of a test are: the job reads their size from the ledger. */
export async function openChunks(database: Database, foldVersion = 1, chunk = 0): Promise<void> {
  const tally = { stored: 0, dropped: 0, dead: 0, duplicate: 0, lostRetention: 0 };
  const instants = { maxEventTimeMs: 0, watermarkMs: 0, maxRecordTimeMs: 0, lastRecordOffset: -1 };
  const place = { stream, partition: 0, chunk, chunkRecords, foldVersion, firstOffset: chunk * chunkRecords };
  const lastOffset = chunk * chunkRecords - 1;
  const row = { ...place, ...tally, ...instants, lastOffset, complete: false, lastRecordHash: [0, 0] };
  await database.insert(new Block(chunksTable, [row]));
}

export class Rollups {
  readonly target: TestDatabase;
  readonly database: Database;

  static async create(name: string): Promise<Rollups> {
    const target = await createTestDatabase(name);
    await migrate(target, migrateOptions(defaultSettings()));
    const rollups = new Rollups(target);
    await openChunks(rollups.database);
    return rollups;
  }

  private constructor(target: TestDatabase) {
    this.target = target;
    this.database = new Database(target);
  }

  cell(kind: Kind, place: Place, content: CellContent): CellRow {
    const { workflow, windowStartMs, partition = 0, chunk = 0, position = 0, foldVersion = 1 } = place;
    const dims = pairs[kind].hours.dimensions.map((name) => (name === 'workflow_id' ? workflow : `some ${name}`));
    const ver = versionOf(foldVersion, chunk * chunkRecords + position);
    return makeCell({ dims, windowStartMs, partition, chunk, ver, foldVersion }, content);
  }

  async insert(kind: Kind, cells: readonly CellRow[]): Promise<void> {
    await insertCells(this.database, tables[kind], cells);
  }

  job(options: Partial<RollupOptions> = {}): RollupJob {
    return new RollupJob({
      database: this.database,
      metrics: createRollupMetrics(new Registry()),
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      intervalMs: 1_000,
      ...options,
    });
  }

  /** Rows of a rollup before its boundary, and what they should be by their minutes: each as sorted text. */
  async compare(rollup: Rollup): Promise<{ stored: string[]; expected: string[] }> {
    const key = [...rollup.dimensions, 'window_start'];
    const cells = rollup.target.startsWith('task') ? 'task_cells' : 'execution_cells';
    const window = rollup.windowSeconds === 3600 ? 'toStartOfHour' : 'toStartOfDay';
    const merged = [
      ...counts.map((name) => `sum(${name})`),
      ...distributions.flatMap((name) => [
        `sum(${name}_sum)`,
        `min(${name}_min)`,
        `max(${name}_max)`,
        `mapFilter((k, v) -> v != 0, sumMap(${name}_hist))`,
      ]),
      ...quantities.flatMap((name) => [`sum(${name}_n)`, `sum(${name}_sum)`, `max(${name}_max)`]),
    ];
    const plain = merged.map((merge) => /\(([a-z_]+)\)+$/.exec(merge)?.[1]);
    const boundary = `window_start < (SELECT max(boundary) FROM rollup_cursors WHERE target = '${rollup.target}')`;
    const [stored, expected] = await Promise.all([
      this.target.query(`SELECT ${key.join(', ')}, ${plain.join(', ')} FROM ${rollup.target} FINAL WHERE ${boundary}`),
      this.target.query(
        `SELECT ${rollup.dimensions.join(', ')}, ${window}(c.window_start), ${merged.join(', ')}
         FROM ${cells} AS c FINAL WHERE c.${boundary} GROUP BY ${rollup.dimensions.join(', ')}, ${window}(c.window_start)`,
      ),
    ]);
    return { stored: stored.split('\n').sort(), expected: expected.split('\n').sort() };
  }

  async count(table: string): Promise<number> {
    return Number(await this.target.query(`SELECT count() FROM ${table}`));
  }
}

export const allRollups: readonly Rollup[] = kinds.flatMap((kind) => [pairs[kind].hours, pairs[kind].days]);

export function drawContent(random: Random): CellContent {
  const durations = (n: number, medianUs: number) =>
    Array.from({ length: n }, () => Math.round(random.logNormal(medianUs, 1.5)));
  return {
    counts: { completed: random.below(5), failed: random.below(3) - 1, contributions: 1 + random.below(9) },
    added: {
      completed_duration_us: durations(random.below(6), 4_000_000),
      other_duration_us: durations(random.below(3), 300),
      queue_us: durations(random.below(4), 90_000_000),
    },
    removed: { queue_us: durations(random.below(2), 90_000_000) },
    quantities: { cost_micros: random.chance(0.5) ? [random.below(1_000_000)] : [] },
  };
}
