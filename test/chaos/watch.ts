import { pause } from '../support/launched.ts';
import type { Kind } from '../support/pipeline-process.ts';
import { CellSamples } from './cell-samples.ts';
import { kinds, type Stand } from './stand.ts';

const roundMs = 1_000;
/** Cells and hours are many; of them this part of all keys is watched, every so many rounds. */
const sampledShare = 8;
const largeEveryRounds = 3;
const versionedTables = /^(chunks|\w+_(cells|hours|days))$/;

interface Committed {
  kind: Kind;
  partition: number;
  offset: number;
  stream: string;
}

interface Progress {
  stream: string;
  partition: number;
  last: number;
  firstIncomplete: number | null;
}

/** Looks, while faults run, at what must hold at every moment: commits are ends of chunks on the books, and versions never fall. */
export class Watch {
  readonly #stand: Stand;
  readonly #versions = new Map<string, bigint>();
  readonly samples: CellSamples;
  readonly commitProblems = new Set<string>();
  readonly versionProblems = new Set<string>();
  commitsSeen = 0;
  versionsSeen = 0;
  #sortingKeys: [table: string, key: string][] = [];
  #isOver = false;
  #running: Promise<void> = Promise.resolve();

  constructor(stand: Stand) {
    this.#stand = stand;
    this.samples = new CellSamples(stand);
  }

  async start(): Promise<void> {
    const tables = await this.#stand.database.rows<{ name: string; key: string }>(
      'SELECT name, sorting_key AS key FROM system.tables WHERE database = currentDatabase()',
    );
    this.#sortingKeys = tables.filter(({ name }) => versionedTables.test(name)).map(({ name, key }) => [name, key]);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let round = 0; !this.#isOver; round++) {
      // A server that is away is looked at when it is back.
      await this.#lookAtCommits().catch(() => undefined);
      await this.#lookAtVersions(round).catch(() => undefined);
      if (round % largeEveryRounds === 1) await this.samples.take().catch(() => undefined);
      await pause(roundMs);
    }
  }

  /** The commits first and the ledger after: what is committed must be on the books already. */
  async #lookAtCommits(): Promise<void> {
    const committed = await this.#readCommitted();
    const ledger = await this.#stand.database.rows<Progress>(
      `SELECT stream, partition, toFloat64(max(chunk)) AS last, minOrNullIf(toFloat64(chunk), NOT complete) AS firstIncomplete
       FROM chunks FINAL GROUP BY stream, partition`,
    );
    for (const commit of committed) {
      const { stream, partition } = commit;
      this.#judgeCommit(
        commit,
        ledger.find((row) => row.stream === stream && row.partition === partition),
      );
    }
  }

  async #readCommitted(): Promise<Committed[]> {
    const { telemetry, group: groupId } = this.#stand;
    const committed: Committed[] = [];
    for (const kind of kinds) {
      const stream = this.#stand.streamOf(kind);
      const [entry] = await telemetry.admin.fetchOffsets({ groupId, topics: [telemetry.topics[kind]] });
      for (const { partition, offset } of entry?.partitions ?? []) {
        if (Number(offset) > 0) committed.push({ kind, partition, offset: Number(offset), stream });
      }
    }
    return committed;
  }

  #judgeCommit({ kind, partition, offset, stream }: Committed, row: Progress | undefined): void {
    const place = `${stream}/${partition}`;
    // The topic may have been made again in between, or somebody may have set the group's place.
    if (stream !== this.#stand.streamOf(kind) || this.#stand.plantedOffsets.has(`${place} ${offset}`)) return;
    this.commitsSeen++;
    const chunkRecords = this.#stand.chunkRecordsOf(kind);
    const chunk = Math.floor(offset / chunkRecords);
    const what = `${place}: the commit ${offset}`;
    if (offset % chunkRecords !== 0) this.commitProblems.add(`${what} lies inside a chunk of ${chunkRecords}`);
    else if (row === undefined || row.last < chunk - 1) this.commitProblems.add(`${what} is ahead of the ledger`);
    else if (row.firstIncomplete !== null && row.firstIncomplete < chunk)
      this.commitProblems.add(`${what} is beyond chunk ${row.firstIncomplete}, which is incomplete`);
  }

  async #lookAtVersions(round: number): Promise<void> {
    for (const [table, key] of this.#sortingKeys) {
      if (table !== 'chunks' && round % largeEveryRounds !== 0) continue;
      const share = table === 'chunks' ? 'true' : `cityHash64(${key}) % ${sampledShare} = 0`;
      const rows = await this.#stand.database.rows<{ hash: string; greatest: string }>(
        `SELECT toString(cityHash64(${key})) AS hash, toString(max(ver)) AS greatest FROM ${table} WHERE ${share} GROUP BY hash`,
      );
      for (const { hash, greatest } of rows) this.#judgeVersion(`${table} ${hash}`, BigInt(greatest));
    }
  }

  #judgeVersion(name: string, version: bigint): void {
    this.versionsSeen++;
    const before = this.#versions.get(name) ?? 0n;
    if (version < before) this.versionProblems.add(`${name}: its version fell from ${before} to ${version}`);
    this.#versions.set(name, version);
  }
}
