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

interface ChunkRow {
  stream: string;
  partition: number;
  chunk: number;
  isComplete: boolean;
  foldVersion: number;
}

interface Progress {
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
  /** Chunks that were complete, and by which fold: a newer one opens them anew though the group is past them. */
  readonly #completedBy = new Map<string, number>();
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

  /**
   * The commits first and the ledger after: what is committed must be on the books already. The ledger may take its time to
   * answer, in which somebody can set the group back and have chunks folded anew, so only what still is committed counts.
   */
  async #lookAtCommits(): Promise<void> {
    const before = await this.#readCommitted();
    const ledger = this.#progressOf(
      await this.#stand.database.rows<ChunkRow>(
        `SELECT stream, partition, toFloat64(chunk) AS chunk, complete AS isComplete, fold_version AS foldVersion
         FROM chunks FINAL ORDER BY stream, partition, chunk`,
      ),
    );
    const placeOf = ({ stream, partition, offset }: Committed) => `${stream}/${partition} ${offset}`;
    const still = new Set((await this.#readCommitted()).map(placeOf));
    for (const commit of before) {
      if (still.has(placeOf(commit))) this.#judgeCommit(commit, ledger.get(`${commit.stream}/${commit.partition}`));
    }
  }

  #progressOf(rows: readonly ChunkRow[]): Map<string, Progress> {
    const ledger = new Map<string, Progress>();
    for (const { stream, partition, chunk, isComplete, foldVersion } of rows) {
      const place = `${stream}/${partition}`;
      const key = `${place} ${chunk}`;
      if (isComplete) this.#completedBy.set(key, foldVersion);
      const isOpenedAnew = !isComplete && foldVersion > (this.#completedBy.get(key) ?? Number.MAX_SAFE_INTEGER);
      const { firstIncomplete = null } = ledger.get(place) ?? {};
      const isFirst = firstIncomplete === null && !isComplete && !isOpenedAnew;
      ledger.set(place, { last: chunk, firstIncomplete: isFirst ? chunk : firstIncomplete });
    }
    return ledger;
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
