import { ByteWriter } from './byte-writer.ts';
import type { Column, Table, Values } from './columns.ts';

/** Adding up a hundred columns for each row would cost more than the rows: once for so many, or for so large a share more. */
const measuredEveryRows = 64;
const measuredShare = 1 / 8;

/**
 * A column of a block. As long as every value is the default one only their number is kept, and such a column is not sent at
 * all: a producer that knows nothing of cost or memory does not pay for columns about them.
 */
class BlockColumn<Row> {
  readonly column: Column<Row>;
  readonly #isDefault: (value: unknown) => boolean;
  #defaults = 0;
  #values: Values<unknown> | null = null;

  constructor(column: Column<Row>) {
    this.column = column;
    this.#isDefault = column.codec.isDefault;
  }

  /** A column at a time, because a hundred calls that each know where they go beat a hundred that do not. */
  add(rows: readonly Row[]): void {
    const { value: take } = this.column;
    let from = 0;
    if (this.#values === null) {
      while (from < rows.length && this.#isDefault(take(rows[from] as Row))) from++;
      this.#defaults += from;
      if (from === rows.length) return;
    }
    const values = this.open();
    for (let index = from; index < rows.length; index++) values.add(take(rows[index] as Row));
  }

  /** null as long as every value is the default one. */
  get values(): Values<unknown> | null {
    return this.#values;
  }

  open(): Values<unknown> {
    if (this.#values === null) {
      this.#values = this.column.codec.open();
      this.#values.addDefaults(this.#defaults);
    }
    return this.#values;
  }

  release(): void {
    this.#values?.release();
    this.#values = null;
    this.#defaults = 0;
  }
}

/** Rows of one table in ClickHouse's Native format. Rows are encoded when they are added and may change afterwards. */
export class Block<Row> {
  readonly table: Table<Row>;
  readonly #columns: BlockColumn<Row>[];
  #rows = 0;
  #bytes = 0;
  #measuredRows = 0;

  constructor(table: Table<Row>, rows: Iterable<Row> = []) {
    this.table = table;
    this.#columns = table.columns.map((column) => new BlockColumn(column));
    this.addAll([...rows]);
  }

  add(row: Row): void {
    this.addAll([row]);
  }

  /** Many at once cost about half. */
  addAll(rows: readonly Row[]): void {
    for (const column of this.#columns) column.add(rows);
    this.#rows += rows.length;
  }

  get rows(): number {
    return this.#rows;
  }

  /** How much memory the rows take, known to within a few rows, or an eighth of them. */
  get bytes(): number {
    const stale = this.#measuredRows + Math.max(measuredEveryRows, this.#measuredRows * measuredShare);
    if (this.#rows >= stale || this.#rows < this.#measuredRows) {
      this.#measuredRows = this.#rows;
      this.#bytes = this.#columns.reduce((sum, { values }) => sum + (values?.bytes ?? 0), 0);
    }
    return this.#bytes;
  }

  /**
   * The statement's column list and its body, as the pieces of memory it is in: joining them would make the collector
   * run for every insert.
   */
  encode(): { columns: string[]; body: Buffer[] } {
    // Without any column the server would not learn how many rows there are.
    this.#columns[0]?.open();
    const sent = this.#columns.filter(({ values }) => values !== null);
    const titles = new ByteWriter();
    const takeTitle = (): Buffer => {
      const title = Buffer.concat(titles.segments());
      titles.release();
      return title;
    };
    titles.varint(sent.length);
    titles.varint(this.#rows);
    const parts: Buffer[] = [];
    for (const { column, values } of sent) {
      titles.string(column.name);
      titles.string(column.codec.sentAs);
      parts.push(takeTitle());
      values?.collect(parts);
    }
    return { columns: sent.map(({ column }) => column.name), body: parts };
  }

  /** Gives the memory back; the rows are gone. */
  release(): void {
    for (const column of this.#columns) column.release();
    this.#rows = 0;
    this.#bytes = 0;
    this.#measuredRows = 0;
  }
}
