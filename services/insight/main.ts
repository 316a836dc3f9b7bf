import { setPriority } from 'node:os';
import { Database } from '../../clickhouse/client.ts';
import { startProcess } from '../../pipelines/process.ts';
import { databaseOptions } from '../../pipelines/servers.ts';
import { AnalysisThreads } from './analysis-threads.ts';
import { createInsightMetrics } from './insight-metrics.ts';
import { RefreshJob } from './refresh-job.ts';

/**
 * `npm run insight`: keeps the analyses of all workflows up to date. Several may run, on several machines. With `--once`
 * it ends when everything that is due is computed.
 */
const backgroundPriority = 10;
const shell = await startProcess({ name: 'insight' });
const { settings, log, registry, onStop } = shell;
// Whoever stores telemetry or waits for an answer goes first.
setPriority(backgroundPriority);
const database = new Database(databaseOptions(settings));
onStop('clickhouse', () => database.close());
const threads = new AnalysisThreads({
  database: databaseOptions(settings),
  threads: 1,
  waitingMost: 1,
  timeoutMs: 120_000,
  heapMb: 1500,
});
onStop('analyses', () => threads.close());
const job = new RefreshJob({
  database,
  threads,
  metrics: createInsightMetrics(registry),
  log,
  nowMs: Date.now,
  refreshMs: settings.insightRefreshMinutes * 60_000,
  limit: settings.insightExecutions,
  instance: process.pid,
});
onStop('job of analyses', () => job.stop());
shell.reportReadiness(() => '');
if (process.argv.includes('--once')) {
  await job.runToEnd();
  await shell.stop('all that was due is computed');
} else {
  job.start();
}
