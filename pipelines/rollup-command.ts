import { Database } from '../clickhouse/client.ts';
import { startProcess } from './process.ts';
import { RollupJob } from './rollup.ts';
import { createRollupMetrics } from './rollup-metrics.ts';
import { databaseOptions } from './servers.ts';

/**
 * `npm run rollup`: the roll-up job in a process of its own, beside the one that every pipeline runs; where there is
 * much history, for instance. With `--once` it ends when hours and days have all that is there.
 */
const shell = await startProcess({ name: 'rollup' });
const database = new Database(databaseOptions(shell.settings));
shell.onStop('clickhouse', () => database.close());
const job = new RollupJob({
  database,
  metrics: createRollupMetrics(shell.registry),
  log: shell.log,
  intervalMs: shell.settings.rollupIntervalMs,
});
shell.onStop('roll-up job', () => job.stop());
shell.reportReadiness(() => '');
if (process.argv.includes('--once')) {
  await job.runToEnd();
  await shell.stop('all is rolled up');
} else {
  job.start();
}
