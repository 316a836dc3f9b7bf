import { parseArgs } from 'node:util';
import { Database } from '../clickhouse/client.ts';
import { backfillEntities } from './entity-backfill.ts';
import { readSettings } from './process.ts';
import { databaseOptions, readRunningServers } from './servers.ts';

/**
 * `npm run backfill -- entities`: makes the latest states of executions and attempts anew from raw rows. It may be stopped
 * at any time and goes on where it was.
 */
const usage = `npm run backfill -- entities [--from-start] [--data DIR]

Makes executions, task_attempts and the lists of both anew from the raw rows that are kept, the newest day first.
One that was stopped goes on where it was; --from-start begins anew.\n`;

function readArgs() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        'from-start': { type: 'boolean', default: false },
        data: { type: 'string', default: '.weir' },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    return refuse(`${(error as Error).message}\n\n${usage}`);
  }
}

function refuse(problem: string): never {
  process.stderr.write(problem);
  process.exit(2);
}

const { values: args, positionals } = readArgs();
if (args.help) {
  process.stdout.write(usage);
  process.exit(0);
}
if (positionals.length !== 1 || positionals[0] !== 'entities') refuse(usage);
const settings = readSettings({ ...readRunningServers(process.env.WEIR_DATA_DIR ?? args.data), ...process.env });
if (settings.clickhouseUrl === '') {
  refuse('nothing runs here (npm start, --data DIR); or set CLICKHOUSE_URL, with its user and password\n');
}
// The days of many rows are counted in one question, which takes longer than an insert may.
const database = new Database({ ...databaseOptions(settings), requestTimeoutMs: 300_000 });
let isStopped = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    isStopped = true;
  });
}
const sayEveryMs = 2000;
let saidAtMs = 0;
try {
  const isFinished = await backfillEntities({
    database,
    nowMs: Date.now,
    fromStart: args['from-start'],
    report: (progress) => {
      if (progress.isFinished) process.stdout.write(`done: ${progress.rowsRead} raw rows\n`);
      else if (Date.now() - saidAtMs >= sayEveryMs) {
        saidAtMs = Date.now();
        process.stdout.write(`${progress.kind} of ${progress.day}: ${progress.rowsRead} raw rows so far\n`);
      }
      return !isStopped;
    },
  });
  if (!isFinished) process.stdout.write('stopped; the same command goes on from here\n');
  process.exitCode = isFinished ? 0 : 1;
} catch (error) {
  process.stderr.write(`${(error as Error).message}\nThe same command goes on from here.\n`);
  process.exitCode = 1;
} finally {
  await database.close();
}
