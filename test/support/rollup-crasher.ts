import { Registry } from 'prom-client';
import { Database } from '../../clickhouse/client.ts';
import { RollupJob } from '../../pipelines/rollup.ts';
import { createRollupMetrics } from '../../pipelines/rollup-metrics.ts';

/** Runs the roll-up job to its end, and dies without a word at its n-th step: `rollup-crasher.ts N`. */
const { CLICKHOUSE_URL = '', CLICKHOUSE_USER = '', CLICKHOUSE_PASSWORD = '', CLICKHOUSE_DATABASE = '' } = process.env;
let stepsLeft = Number(process.argv[2]);
const database = new Database({
  url: CLICKHOUSE_URL,
  user: CLICKHOUSE_USER,
  password: CLICKHOUSE_PASSWORD,
  database: CLICKHOUSE_DATABASE,
});
const silent = () => undefined;
const job = new RollupJob({
  database,
  metrics: createRollupMetrics(new Registry()),
  log: { info: silent, warn: silent, error: silent },
  intervalMs: 1_000,
  limits: { sliceRows: 60 },
  reached: () => {
    if (--stepsLeft === 0) process.kill(process.pid, 'SIGKILL');
  },
});
await job.runToEnd();
await database.close();
