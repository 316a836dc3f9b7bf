import { parseArgs } from 'node:util';
import { formatProblems, parseSettings, type Settings } from '../schemas/settings.ts';
import { DatabaseError } from './client.ts';
import { MigrationRefused, type MigrationReport, migrate, migrateOptions } from './migrate.ts';

const help = `npm run migrate: brings the schema of your ClickHouse up to date.

  npm run migrate [-- --dry-run]

  --dry-run   say what would be done, and change nothing
  --help      this text

CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD and CLICKHOUSE_DATABASE name the server. The embedded one of
\`npm start\` needs no command: it is migrated with every start.`;

const badUsageExitCode = 2;

function endBadUsage(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(badUsageExitCode);
}

function readOptions() {
  try {
    const options = { 'dry-run': { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const;
    return parseArgs({ options }).values;
  } catch (error) {
    return endBadUsage(`${(error as Error).message}\n\n${help}`);
  }
}

function readSettings(): Settings {
  const parsed = parseSettings(process.env);
  if ('problems' in parsed) return endBadUsage(formatProblems(parsed.problems));
  if (parsed.settings.clickhouseUrl === '') return endBadUsage(`CLICKHOUSE_URL is not set.\n\n${help}`);
  return parsed.settings;
}

/** What was done, or would be; the lines of a second run say that nothing is left to do. */
function describeReport(report: MigrationReport, dryRun: boolean): string[] {
  const { applied, already, adjusted } = report;
  const [apply, adjust] = dryRun ? ['would apply', 'would run'] : ['applied', 'ran'];
  const upToDate = applied.length === 0 && adjusted.length === 0;
  return [
    ...applied.map((name) => `${apply} ${name}`),
    ...adjusted.map((statement) => `${adjust} ${statement}`),
    upToDate ? `nothing to do: all ${already.length} migrations have been applied` : '',
  ].filter((line) => line !== '');
}

const { 'dry-run': dryRun = false, help: wantsHelp } = readOptions();
if (wantsHelp) {
  process.stdout.write(`${help}\n`);
  process.exit(0);
}
const settings = readSettings();
const target = {
  url: settings.clickhouseUrl,
  user: settings.clickhouseUser,
  password: settings.clickhousePassword,
  database: settings.clickhouseDatabase,
  tlsCaFile: settings.clickhouseTlsCaFile,
};
try {
  const report = await migrate(target, { ...migrateOptions(settings), dryRun });
  process.stdout.write(`${describeReport(report, dryRun).join('\n')}\n`);
} catch (error) {
  // What a person has to put right is said in words; anything else is a bug of ours and shows where it stands.
  if (!(error instanceof MigrationRefused || error instanceof DatabaseError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
