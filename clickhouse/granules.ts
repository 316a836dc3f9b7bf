import { setTimeout as sleep } from 'node:timers/promises';
import { type Database, DatabaseError } from './client.ts';

/**
 * How many rows the server finds and reads at once. The migrations made tables with 8 192, of which somebody who looks at one execution, or
 * at one task of a workflow, wants some dozen: reading the rest of a granule took as long as all else of an answer. What it
 * takes is room: raw rows of some 25 bytes take a quarter more, cells nothing.
 */
const rowsOfGranule = 1024;
const coarse = 'index_granularity = 8192';
const fine = `index_granularity = ${rowsOfGranule}`;

/** Those with many rows of which few are asked for at a time. */
const fineTables = [
  ...['execution_events', 'task_events', 'orchestrator_events'],
  ...['execution_cells', 'task_cells', 'orchestrator_cells'],
  ...['execution_hours', 'task_hours', 'orchestrator_hours'],
] as const;

/** Made to stand in the table's place. */
const madeOf = (table: string): string => `${table}_fine`;
/** What stood there before, until its rows have moved. Nothing ever takes another table's place under this name. */
const formerOf = (table: string): string => `${table}_coarse`;

/**
 * A table cannot be told to have other granules, so another one takes its place and its parts move there as they are; what is written
 * from then on has fine ones. Whoever reads or writes meanwhile finds one of the two. It may end anywhere and be run again, or several times
 * at once: rows only ever move into the table, and what is dropped is empty. Answers what it did, or would do.
 */
export async function refineGranules(database: Database, dryRun: boolean): Promise<string[]> {
  const definitions = await readDefinitions(database);
  const unfinished = fineTables.filter((table) => nextStep(table, definitions) !== null);
  if (!dryRun) await Promise.all(unfinished.map((table) => refine(database, table)));
  return unfinished.map((table) => `EXCHANGE TABLES ${table} AND ${madeOf(table)}`);
}

type Definitions = ReadonlyMap<string, string>;
type Step = 'make' | 'exchange' | 'set aside' | 'move';

async function readDefinitions(database: Database): Promise<Definitions> {
  const names = fineTables.flatMap((table) => [table, madeOf(table), formerOf(table)]);
  const tables = await database.rows<{ name: string; definition: string }>(
    'SELECT name, create_table_query AS definition FROM system.tables WHERE database = currentDatabase() AND name IN {names: Array(String)}',
    { names },
  );
  return new Map(tables.map(({ name, definition }) => [name, definition]));
}

function nextStep(table: string, definitions: Definitions): Step | null {
  if (definitions.has(formerOf(table))) return 'move';
  const hasMade = definitions.has(madeOf(table));
  if (definitions.get(table)?.includes(coarse)) return hasMade ? 'exchange' : 'make';
  return hasMade ? 'set aside' : null;
}

/** Each step but the first may be taken by another process at the same time, and then fails for want of the table. */
const refine = (database: Database, table: string): Promise<void> =>
  despiteRaces(async () => {
    for (;;) {
      const definitions = await readDefinitions(database);
      const step = nextStep(table, definitions);
      if (step === null) return;
      await take(database, table, step, definitions);
    }
  });

const raceCodes: ReadonlySet<string> = new Set([
  '57', // a table of that name is there
  '60', // no such table
  '218', // the table was dropped
  '517', // another table took its place while it was changed
  '705', // the table has rows
  '741', // another table has its name by now
]);
const mostFailures = 50;
const retryMs = 100;

/** Does again what fails because another process changes the same tables; it must be such that it may be done twice. */
export async function despiteRaces(work: () => Promise<void>): Promise<void> {
  for (let failed = 0; ; ) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof DatabaseError) || !raceCodes.has(error.code) || ++failed > mostFailures) throw error;
      await sleep(retryMs);
    }
  }
}

async function take(database: Database, table: string, step: Step, definitions: Definitions): Promise<void> {
  const [made, former] = [madeOf(table), formerOf(table)];
  switch (step) {
    case 'make': {
      const definition = definitions.get(table) ?? '';
      const begun = definition.replace(/^CREATE TABLE .+? \(/, `CREATE TABLE IF NOT EXISTS ${made} (`);
      return await database.command(begun.replace(coarse, fine));
    }
    case 'exchange':
      return await database.command(`EXCHANGE TABLES ${table} AND ${made}`);
    case 'set aside':
      return await database.command(`RENAME TABLE ${made} TO ${former}`);
    case 'move':
      await movePartitions(database, former, table);
      // What was being written when the other table took its place still lands in this one.
      await waitForInserts(database);
      await movePartitions(database, former, table);
      return await database.command(`DROP TABLE IF EMPTY ${former} SYNC`);
  }
}

async function movePartitions(database: Database, from: string, to: string): Promise<void> {
  const partitions = await database.rows<{ id: string }>(
    'SELECT DISTINCT partition_id AS id FROM system.parts WHERE database = currentDatabase() AND table = {from: String} AND active ORDER BY id',
    { from },
  );
  for (const { id } of partitions) {
    await database.command(`ALTER TABLE ${from} MOVE PARTITION ID '${id}' TO TABLE ${to}`);
  }
}

async function waitForInserts(database: Database): Promise<void> {
  const sinceMs = performance.now();
  for (;;) {
    const [running] = await database.rows<{ n: number }>(
      `SELECT count() AS n FROM system.processes WHERE query_kind = 'Insert' AND current_database = currentDatabase() AND elapsed > {seconds: Float64}`,
      { seconds: (performance.now() - sinceMs) / 1000 },
    );
    if ((running?.n ?? 0) === 0) return;
    await sleep(retryMs);
  }
}
