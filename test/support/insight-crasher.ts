import { Registry } from 'prom-client';
import { Database } from '../../clickhouse/client.ts';
import { AnalysisThreads } from '../../services/insight/analysis-threads.ts';
import { createInsightMetrics } from '../../services/insight/insight-metrics.ts';
import { RefreshJob } from '../../services/insight/refresh-job.ts';

/** Runs the job of analyses to its end, and dies without a word at its n-th step: `insight-crasher.ts N`. */
const { CLICKHOUSE_URL = '', CLICKHOUSE_USER = '', CLICKHOUSE_PASSWORD = '', CLICKHOUSE_DATABASE = '' } = process.env;
let stepsLeft = Number(process.argv[2]);
const target = {
  url: CLICKHOUSE_URL,
  user: CLICKHOUSE_USER,
  password: CLICKHOUSE_PASSWORD,
  database: CLICKHOUSE_DATABASE,
};
const database = new Database(target);
const threads = new AnalysisThreads({
  database: target,
  threads: 1,
  waitingMost: 1,
  timeoutMs: 120_000,
  heapMb: 500,
});
const silent = () => undefined;
const job = new RefreshJob({
  database,
  threads,
  metrics: createInsightMetrics(new Registry()),
  log: { info: silent, warn: silent, error: silent },
  nowMs: Date.now,
  refreshMs: 3_600_000,
  limit: 200,
  instance: 0,
  reached: () => {
    if (--stepsLeft === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await job.runToEnd();
await threads.close();
await database.close();
