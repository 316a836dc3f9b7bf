import type { Database } from '../clickhouse/client.ts';
import { readBaselines, readNewestGenerations } from '../clickhouse/queries/baselines.ts';
import type { BaselineKey, BaselineKind, BaselineMeasure, BaselineRow } from '../clickhouse/tables/baselines.ts';
import { baselineJobDefaults } from './baseline-job.ts';

export interface BaselineLookupOptions {
  database: Database;
  /** Keys that are remembered, each at one generation; those used least recently are forgotten. */
  mostKeys?: number;
  nowMs?(): number;
}

/** An event whose baseline is wanted. */
export interface BaselineWish extends BaselineKey {
  eventTimeMs: number;
}

interface Known {
  rows: Map<BaselineMeasure, BaselineRow>;
  /** The generation was complete when it was read, so nothing will ever change. */
  isSettled: boolean;
  readAtMs: number;
}

const defaultMostKeys = 20_000;
/** How long an answer holds whose generation may still come. */
const refreshMs = 60_000;

const kindOf = ({ taskId }: BaselineKey): BaselineKind['kind'] => (taskId === '' ? 'executions' : 'tasks');

const keyText = ({ workspace, source, workflowId, workflowVersion, taskId }: BaselineKey): string =>
  JSON.stringify([workspace, source, workflowId, workflowVersion, taskId]);

/** The newest instant at which a generation may have become valid by the time of an event. */
export function generationOf(eventTimeMs: number): number {
  const { leadSeconds, periodSeconds } = baselineJobDefaults;
  const sinceLeadMs = eventTimeMs - leadSeconds * 1000;
  return sinceLeadMs - (sinceLeadMs % (periodSeconds * 1000)) + leadSeconds * 1000;
}

/**
 * Answers which baseline was valid when an event happened: of its version where that has one, otherwise of all versions
 * together. What is needed is read for many events at once, and remembered while it is in use. Between two generations
 * the answer is always the same, so it is remembered by generation.
 */
export class BaselineLookup {
  readonly #database: Database;
  readonly #mostKeys: number;
  readonly #nowMs: () => number;
  /** By key and generation, the one used least recently first. */
  readonly #known = new Map<string, Known>();

  constructor({ database, mostKeys = defaultMostKeys, nowMs = Date.now }: BaselineLookupOptions) {
    this.#database = database;
    this.#mostKeys = mostKeys;
    this.#nowMs = nowMs;
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#known.size;
  }

  /** Reads what `find` will be asked for. A batch may need more keys than are remembered afterwards. */
  async prepare(wishes: readonly BaselineWish[]): Promise<void> {
    const wanted = new Map<number, Map<string, BaselineKey>>();
    for (const wish of wishes) {
      const generationMs = generationOf(wish.eventTimeMs);
      const name = `${generationMs} ${keyText(wish)}`;
      const known = this.#known.get(name);
      if (known !== undefined) this.#keep(name, known);
      if (known !== undefined && (known.isSettled || this.#nowMs() - known.readAtMs < refreshMs)) continue;
      const keys = wanted.get(generationMs) ?? new Map<string, BaselineKey>();
      wanted.set(generationMs, keys.set(keyText(wish), wish));
    }
    if (wanted.size === 0) return;
    // Asked first: a generation that is complete now has all its rows in what is read next.
    const newest = await readNewestGenerations(this.#database);
    for (const [generationMs, keys] of wanted) await this.#read(generationMs, [...keys.values()], newest);
    this.#forget(wishes.length);
  }

  /** Null where nothing was known of the key at that time, or nothing has been prepared. */
  find(key: BaselineKey, measure: BaselineMeasure, eventTimeMs: number): BaselineRow | null {
    return this.#known.get(`${generationOf(eventTimeMs)} ${keyText(key)}`)?.rows.get(measure) ?? null;
  }

  async #read(
    generationMs: number,
    keys: readonly BaselineKey[],
    newest: ReadonlyMap<BaselineKind['kind'], number>,
  ): Promise<void> {
    const rows = await readBaselines(this.#database, keys, generationMs / 1000);
    const byKey = Map.groupBy(rows, keyText);
    const readAtMs = this.#nowMs();
    for (const key of keys) {
      const general = byKey.get(keyText({ ...key, workflowVersion: '' })) ?? [];
      const own = byKey.get(keyText(key)) ?? [];
      const isSettled = (newest.get(kindOf(key)) ?? 0) >= generationMs;
      // The version's own stands behind, and so takes the place of the general one.
      const found = new Map([...general, ...own].map((row) => [row.measure, row]));
      this.#keep(`${generationMs} ${keyText(key)}`, { rows: found, isSettled, readAtMs });
    }
  }

  #keep(name: string, known: Known): void {
    this.#known.delete(name);
    this.#known.set(name, known);
  }

  #forget(inUse: number): void {
    const most = Math.max(this.#mostKeys, inUse);
    for (const name of this.#known.keys()) {
      if (this.#known.size <= most) return;
      this.#known.delete(name);
    }
  }
}
