import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

/** `npm run bench -- NAME [options]`: one file a question. */
const notBenches = new Set([
  'run.ts',
  'alert-matching.ts',
  'alert-naive.ts',
  'alert-tally.ts',
  'alert-weeks.ts',
  'report.ts',
  'servers.ts',
  'catch-up.ts',
  'kafka-engine.ts',
  'steady-load.ts',
  'estimates.ts',
  'insight-scale.ts',
  'forecasts.ts',
  'simulated-fleet.ts',
  'query-load.ts',
  'query-routes.ts',
  'query-set-up.ts',
  'store-fill.ts',
  'store-records.ts',
  'store-questions.ts',
  'window-differences.ts',
  'window-fold.ts',
]);
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && !notBenches.has(file))
  .map((file) => file.replace(/\.ts$/, ''));
const [name, ...options] = process.argv.slice(2);
if (name === undefined || !names.includes(name)) {
  console.error(`usage: npm run bench -- NAME [options], where NAME is one of: ${names.join(', ')}`);
  process.exit(2);
}
const script = path.join(import.meta.dirname, `${name}.ts`);
const { status } = spawnSync(process.execPath, ['--max-old-space-size=8000', '--expose-gc', script, ...options], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
