import type { Database } from '../../clickhouse/client.ts';
import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import { type EntityRecord, entityName, entityRecord, expectEntity } from './expected-entities.ts';
import type { TopicReport } from './report.ts';
import { readJsonLines } from './stored.ts';

export interface EntitySource {
  database: Database;
  kind: 'executions' | 'tasks';
  stream: string;
  partition: number;
  /** Up to where the pipeline says that everything is durable. */
  lastOffset: number;
  /** First offset that the log still holds: what was said before it is unknown. */
  firstOffset: number;
  /** Rows of records before this instant may have expired. */
  keptSinceMs: number;
  report: TopicReport;
}

const views = { executions: 'executions_latest', tasks: 'task_attempts_latest' } as const;
const rawTables = { executions: 'execution_events', tasks: 'task_events' } as const;
/** Differences that are looked into one by one, to tell a wrong row from one that is ahead of what was read. */
const mostSuspects = 1000;

interface Suspect {
  name: string;
  differences: { column: string; expected: string; found: string }[];
}

/** Compares the executions or attempts that one partition of the log speaks of with what their view shows. */
export class EntityCheck {
  readonly #source: EntitySource;
  readonly #records = new Map<string, EntityRecord[]>();
  /** Entities that records behind the ledger speak of: their rows may have these already, or not. */
  readonly #moving = new Set<string>();

  constructor(source: EntitySource) {
    this.#source = source;
  }

  add(event: ExecutionEvent | TaskEvent, offset: number): void {
    const record = entityRecord(event, offset);
    const name = entityName(record);
    if (offset > this.#source.lastOffset) {
      this.#moving.add(name);
      return;
    }
    const known = this.#records.get(name);
    if (known === undefined) this.#records.set(name, [record]);
    else known.push(record);
  }

  /** To be called when all records have been added and it is known which of them repeat others. */
  async compare(duplicates: ReadonlySet<number>): Promise<void> {
    const { report, firstOffset, partition, keptSinceMs } = this.#source;
    if (firstOffset > 0) {
      report.notes.push(
        `partition ${partition}: the log no longer tells all of its ${this.#source.kind}, they are not compared`,
      );
      return;
    }
    for (const [name, records] of this.#records) {
      if (records.some(({ eventTimeMs }) => eventTimeMs < keptSinceMs)) this.#records.delete(name);
    }
    const missing = new Set(this.#records.keys());
    const suspects: Suspect[] = [];
    for await (const row of this.#readRows()) {
      const name = this.#nameOf(row);
      const records = this.#records.get(name);
      if (records === undefined) continue;
      missing.delete(name);
      if (this.#moving.has(name)) continue;
      report.totals.entities++;
      const expected = expectEntity(records.filter(({ offset }) => !duplicates.has(offset)));
      const differences = compareColumns(expected, row);
      if (differences.length > 0 && suspects.length < mostSuspects) suspects.push({ name, differences });
    }
    for (const name of missing)
      suspects.push({ name, differences: [{ column: 'row', expected: 'one', found: 'none' }] });
    await this.#report(suspects);
  }

  async *#readRows(): AsyncGenerator<Record<string, unknown>> {
    const answer = await this.#source.database.stream(
      `SELECT * FROM ${views[this.#source.kind]} FORMAT JSONCompactEachRowWithNames
       SETTINGS output_format_json_named_tuples_as_objects = 1`,
    );
    let columns: string[] | undefined;
    for await (const values of readJsonLines(answer)) {
      if (columns === undefined) columns = values as string[];
      else yield Object.fromEntries(columns.map((column, index) => [column, values[index]]));
    }
  }

  #nameOf({ workspace, source, execution_id, task_id, map_index, attempt }: Record<string, unknown>): string {
    const execution = [workspace, source, execution_id];
    return JSON.stringify(this.#source.kind === 'tasks' ? [...execution, task_id, map_index, attempt] : execution);
  }

  /** What the pipeline has stored since the log was read, or read from another partition, is no difference. */
  async #report(suspects: readonly Suspect[]): Promise<void> {
    const { report, kind, partition } = this.#source;
    const explained = await this.#findExplained(suspects);
    for (const { name, differences } of suspects) {
      if (explained.has(name)) continue;
      const offsets = (this.#records.get(name) ?? []).map(({ offset }) => offset).slice(0, 10);
      for (const { column, expected, found } of differences) {
        report.differ(`partition ${partition} ${views[kind]} ${name} ${column}`, expected, found, offsets);
      }
    }
    if (explained.size > 0)
      report.notes.push(`partition ${partition}: ${explained.size} of its ${kind} are told elsewhere too`);
  }

  async #findExplained(suspects: readonly Suspect[]): Promise<Set<string>> {
    const { database, kind, partition, lastOffset } = this.#source;
    const explained = new Set<string>();
    for (const { name } of suspects.slice(0, mostSuspects)) {
      const [workspace, source, execution, task = '', mapIndex = -1, attempt = 1] = JSON.parse(name) as string[];
      const [row] = await database.rows<{ elsewhere: number }>(
        `SELECT count() AS elsewhere FROM ${rawTables[kind]}
         WHERE workspace = {workspace: String} AND source = {source: String} AND execution_id = {execution: String}
           ${kind === 'tasks' ? 'AND task_id = {task: String} AND map_index = {mapIndex: Int32} AND attempt = {attempt: UInt32}' : ''}
           AND (partition != {partition: UInt32} OR offset > {lastOffset: Int64} OR stream != {stream: String})`,
        { workspace, source, execution, task, mapIndex, attempt, partition, lastOffset, stream: this.#source.stream },
      );
      if ((row?.elsewhere ?? 0) > 0) explained.add(name);
    }
    return explained;
  }
}

function compareColumns(expected: Record<string, unknown>, found: Record<string, unknown>): Suspect['differences'] {
  return Object.keys({ ...expected, ...found }).flatMap((column) => {
    const [left, right] = [canonical(expected[column]), canonical(found[column])];
    return left === right ? [] : [{ column, expected: left, found: right }];
  });
}

/** One text for equal values, with broken surrogates as UTF-8 stores them; `undefined` for a column nobody expects. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'string' ? inner.toWellFormed() : inner)) ?? 'nothing';
