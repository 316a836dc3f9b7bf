import type { Patch } from './code-tree.ts';
import type { Fault, Params } from './faults.ts';
import { allKilled, deathBeforeRetention, upgradeBrokenOff } from './mutant-faults.ts';
import { pipelineFaults } from './pipeline-faults.ts';
import type { PlannedFault } from './plan.ts';
import { serverFaults } from './server-faults.ts';

/** A slip that somebody could make, and the circumstances that show it in the numbers. */
export interface Mutant {
  name: string;
  patches: readonly Patch[];
  seconds: number;
  plan: readonly PlannedFault[];
  chunkRecords?: number;
  instances?: number;
  env?: Record<string, string>;
  /** Statements that the mutant would have had in its migrations. */
  statements?: readonly string[];
  /** Both releases fold alike, under two versions. */
  upgrades?: boolean;
  /** Only hours show it. */
  hours?: boolean;
  /** The model of the machine shows it too. */
  inModel?: 'plainly' | 'where the log is trimmed';
}

const partition = 'pipelines/partition.ts';
const writer = 'pipelines/writer.ts';

function at(seconds: number, name: string, params: Params = {}): PlannedFault {
  const fault = [...pipelineFaults, ...serverFaults].find((candidate) => candidate.name === name) as Fault;
  return { atMs: seconds * 1_000, fault, params };
}

const special = (seconds: number, fault: Fault): PlannedFault => ({
  atMs: seconds * 1_000,
  fault,
  params: fault.draw({} as never),
});

const kills = (...seconds: number[]): PlannedFault[] =>
  seconds.map((second, index) => at(second, 'kill', { slot: index, afterMs: 0 }));

const deaths = (point: string, ...seconds: number[]): PlannedFault[] =>
  seconds.map((second, index) => at(second, 'die-at', { slot: index, point, times: 2 }));

const startLine = 'const start = byLedger === null ? low : Math.min(byLedger, byCommit) * chunkRecords;';
const believeTheCommit: Patch = { file: partition, find: startLine, replace: 'const start = committed ?? low;' };

export const mutants: readonly Mutant[] = [
  {
    name: 'commit-inside-a-chunk',
    inModel: 'plainly',
    patches: [
      {
        file: partition,
        find: 'commitOffset: completed === undefined ? null : completed.end + 1,',
        replace: 'commitOffset: this.#position,',
      },
      believeTheCommit,
    ],
    seconds: 20,
    plan: kills(6, 10, 14),
  },
  {
    name: 'commit-before-the-acknowledgement',
    inModel: 'plainly',
    patches: [
      {
        file: writer,
        find: "    await insert('opening chunks', [openings]);",
        replace: "    await this.#commit(taken);\n    await insert('opening chunks', [openings]);",
      },
      believeTheCommit,
    ],
    seconds: 25,
    chunkRecords: 64,
    plan: deaths('opened', 6, 10, 14, 18),
  },
  {
    name: 'cells-as-deltas',
    inModel: 'plainly',
    patches: [
      {
        file: 'pipelines/cells.ts',
        find: 'for (const cell of taken) cell.dirty = false;',
        replace: 'this.#byDims.clear();\n    for (const cell of taken) cell.dims.lastCell = null;',
      },
    ],
    seconds: 15,
    plan: kills(8),
  },
  {
    name: 'tokens-instead-of-keys',
    patches: [
      {
        file: 'clickhouse/client.ts',
        find: '        clickhouse_settings: insertSettings,\n      });\n      for await',
        replace:
          "        clickhouse_settings: { ...insertSettings, deduplicate_insert: 'enable', insert_deduplicate: 1, insert_deduplication_token: block.token },\n      });\n      for await",
      },
      {
        file: 'clickhouse/block.ts',
        find: '  addAll(rows: readonly Row[]): void {\n',
        replace:
          "  token = '';\n  addAll(rows: readonly any[]): void {\n    const first = rows[0];\n    if (this.#rows === 0 && first?.recordTimeMs !== undefined) this.token = [this.table.name, first.stream, first.partition, first.offset].join(' ');\n",
      },
    ],
    statements: ['execution_events', 'task_events', 'orchestrator_events', 'drops', 'dead_letters'].map(
      (table) => `ALTER TABLE ${table} MODIFY SETTING non_replicated_deduplication_window = 100000`,
    ),
    seconds: 35,
    chunkRecords: 8192,
    plan: kills(6, 9, 12, 15, 18, 21, 24, 27, 30),
  },
  {
    name: 'chunk-started-in-the-middle',
    inModel: 'plainly',
    patches: [
      { file: partition, find: startLine, replace: 'const start = last === undefined ? low : last.lastOffset + 1;' },
    ],
    seconds: 20,
    plan: kills(6, 10, 14),
  },
  {
    name: 'validation-after-folding',
    patches: [
      {
        file: 'pipelines/normalise.ts',
        find: 'if (value > context.recordTimeMs + context.futureBoundMs) {',
        replace: 'if (value > Number.MAX_SAFE_INTEGER) {',
      },
      {
        file: partition,
        find: '    sink.stored({\n      stream: this.stream,',
        replace: `    if (event.eventTimeMs > record.timestampMs + 300_000) {
      chunk.tally.stored--;
      chunk.tally.dead++;
      sink.rejected(this.#placeOf(record), record, new Rejection('future', 'found when its row was made', ''));
      return 'stored';
    }
    sink.stored({
      stream: this.stream,`,
      },
    ],
    seconds: 30,
    plan: kills(8),
  },
  {
    name: 'duplicates-forgotten-on-restart',
    inModel: 'plainly',
    patches: [
      {
        file: partition,
        find: '      this.#history.forgotten.add(hashLow, hashHigh),\n',
        replace: '      undefined,\n',
      },
    ],
    seconds: 25,
    chunkRecords: 256,
    plan: kills(8, 12, 16, 20),
  },
  {
    name: 'one-way-join',
    inModel: 'plainly',
    patches: [
      {
        file: 'pipelines/fold.ts',
        find: 'if (attempt.unjoined === null) return;',
        replace: 'return;',
      },
    ],
    seconds: 20,
    plan: kills(8),
  },
  {
    name: 'watermark-from-the-wall-clock',
    inModel: 'plainly',
    patches: [
      {
        file: 'pipelines/chunk.ts',
        find: 'watermarkMs: Math.max(0, maxEventTimeMs - latenessBoundMs),',
        replace: 'watermarkMs: Date.now() - latenessBoundMs,',
      },
    ],
    seconds: 15,
    plan: kills(8),
  },
  {
    name: 'roll-up-cursor-in-memory',
    hours: true,
    patches: [
      {
        file: 'pipelines/rollup.ts',
        find: 'this.#cursors = new Map(mine.map((cursor) => [cursor.target, cursor]));',
        replace: `this.#cursors = new Map(
      mine.map((cursor) => [
        cursor.target,
        { ...cursor, readThroughMs: this.#cursors.get(cursor.target)?.readThroughMs ?? Math.floor(Date.now() / 1000) * 1000 },
      ]),
    );`,
      },
    ],
    env: { CHAOS_ROLLUP_OVERLAP_SECONDS: '5' },
    seconds: 45,
    plan: [special(15, allKilled), special(30, allKilled)],
  },
  {
    name: 'ledger-before-the-rows',
    inModel: 'plainly',
    patches: [
      {
        file: writer,
        find: "    await insert('entities', entities);",
        replace: "    await insert('ledger', [ledger]);\n    await insert('entities', entities);",
      },
    ],
    seconds: 25,
    chunkRecords: 64,
    plan: deaths('entities', 6, 10, 14, 18),
  },
  {
    name: 'cells-before-raw-rows',
    inModel: 'where the log is trimmed',
    patches: [
      {
        file: writer,
        find: `    await insert('rows', rows);
    this.#effects.reached?.('rows');
    await insert('cells', cells);
    this.#effects.reached?.('cells');`,
        replace: `    await insert('cells', cells);
    this.#effects.reached?.('cells');
    await insert('rows', rows);
    this.#effects.reached?.('rows');`,
      },
    ],
    seconds: 25,
    instances: 1,
    plan: [special(8, deathBeforeRetention)],
  },
  {
    name: 'no-ledger-row-at-the-start',
    inModel: 'plainly',
    patches: [
      {
        file: 'pipelines/chunk.ts',
        find: 'if (!this.#isOpened) sink.opening(',
        replace: 'if (this.place.chunk < 0) sink.opening(',
      },
    ],
    upgrades: true,
    seconds: 35,
    // The flush begins a chunk that it does not end, and the old release soon ends it, on any machine.
    chunkRecords: 64,
    plan: [special(8, upgradeBrokenOff)],
  },
  {
    name: 'eviction-inside-a-slice',
    inModel: 'plainly',
    patches: [
      {
        file: partition,
        find: '      folded[this.#foldRecord(record, outcome, things[index], sink)]++;',
        replace:
          '      this.#history.evict(Number.MAX_SAFE_INTEGER);\n      folded[this.#foldRecord(record, outcome, things[index], sink)]++;',
      },
    ],
    env: { WEIR_HISTORY_RECORDS: '50' },
    seconds: 20,
    plan: kills(8),
  },
  {
    name: 'hour-version-by-count',
    hours: true,
    patches: [
      {
        file: 'clickhouse/queries/rollups.ts',
        find: 'function contentVersion({ fromCells }: Rollup): string {',
        replace:
          "function contentVersion({ fromCells }: Rollup): string {\n  if (fromCells) return 'toUInt128(count())';",
      },
    ],
    seconds: 30,
    plan: kills(8, 20),
  },
];
