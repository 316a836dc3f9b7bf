import { Database } from '../clickhouse/client.ts';
import { BaselineJob } from './baseline-job.ts';
import { createBaselineMetrics } from './baseline-metrics.ts';
import { startProcess } from './process.ts';
import { databaseOptions, telemetryStreams } from './servers.ts';

/**
 * `npm run baselines`: the baseline job in a process of its own, beside the one that every pipeline runs. With `--once` it
 * ends when everything that is due is published.
 */
const shell = await startProcess({ name: 'baselines' });
const database = new Database(databaseOptions(shell.settings));
shell.onStop('clickhouse', () => database.close());
const job = new BaselineJob({
  database,
  metrics: createBaselineMetrics(shell.registry),
  log: shell.log,
  streams: telemetryStreams(shell.settings),
});
shell.onStop('baseline job', () => job.stop());
shell.reportReadiness(() => '');
if (process.argv.includes('--once')) {
  await job.runToEnd();
  await shell.stop('all that is due is published');
} else {
  job.start();
}
