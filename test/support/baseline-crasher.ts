import { Registry } from 'prom-client';
import { Database } from '../../clickhouse/client.ts';
import { BaselineJob } from '../../pipelines/baseline-job.ts';
import { createBaselineMetrics } from '../../pipelines/baseline-metrics.ts';

/** Runs the baseline job on one stream to its end, and dies without a word at its n-th step: `baseline-crasher.ts N STREAM`. */
const { CLICKHOUSE_URL = '', CLICKHOUSE_USER = '', CLICKHOUSE_PASSWORD = '', CLICKHOUSE_DATABASE = '' } = process.env;
const [, , steps, stream = ''] = process.argv;
let stepsLeft = Number(steps);
const database = new Database({
  url: CLICKHOUSE_URL,
  user: CLICKHOUSE_USER,
  password: CLICKHOUSE_PASSWORD,
  database: CLICKHOUSE_DATABASE,
});
const silent = () => undefined;
const job = new BaselineJob({
  database,
  metrics: createBaselineMetrics(new Registry()),
  log: { info: silent, warn: silent, error: silent },
  streams: { executions: stream, tasks: stream },
  limits: { sliceRows: 400, backfillSeconds: 2 * 86_400 },
  reached: () => {
    if (--stepsLeft === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await job.runToEnd();
await database.close();
