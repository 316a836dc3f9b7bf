/**
 * What odd telemetry is of: small, but shaped like those that people run. Times are medians of log-normal
 * distributions, so that most runs are alike and a few take far longer, as in practice. All of a run takes a few
 * minutes at most, so that half an hour of history holds many whole runs.
 */

export interface OddTask {
  id: string;
  type: 'compute' | 'io' | 'network' | 'decision' | 'human' | 'wait';
  operator: string;
  pool: string;
  queue: string;
  /** Ids of the tasks it waits for. */
  after: readonly string[];
  durationMsMedian: number;
  durationSigma: number;
  /** Chance that one attempt fails. */
  failureRatio: number;
  /** Attempts before a failure is final. */
  attempts: number;
  retryDelayMs: number;
  costPerHour: number;
  /** CPU time as a share of run time. */
  cpuRatio: number;
  memoryBytes: number;
  /** Chance that a branch is not taken. */
  skipRatio: number;
  /** For a mapped task, how many instances at least and at most. */
  mapped: readonly [least: number, most: number] | null;
}

export interface OddWorkflow {
  id: string;
  name: string;
  project: string;
  source: string;
  sourceVersion: string;
  /** Newest last; most runs are of the newest. */
  versions: readonly string[];
  trigger: 'manual' | 'scheduled' | 'event' | 'api' | 'webhook' | 'chain';
  cron: string;
  /** How often it runs compared with the others. */
  weight: number;
  /** How its source composes the id of a run from a serial number and the start of the run. */
  executionId: (serial: number, startedAt: string) => string;
  tasks: readonly OddTask[];
}

const taskDefaults = {
  pool: 'default',
  queue: 'default',
  after: [],
  durationSigma: 0.5,
  failureRatio: 0.01,
  attempts: 3,
  retryDelayMs: 2_000,
  costPerHour: 0.08,
  cpuRatio: 0.6,
  memoryBytes: 256 * 2 ** 20,
  skipRatio: 0,
  mapped: null,
} as const;

const task = (
  id: string,
  type: OddTask['type'],
  operator: string,
  durationMsMedian: number,
  rest: Partial<OddTask> = {},
): OddTask => ({ ...taskDefaults, id, type, operator, durationMsMedian, ...rest });

const ordersEtl: OddWorkflow = {
  id: 'orders_etl',
  name: 'Orders into the warehouse',
  project: 'sales',
  source: 'airflow',
  sourceVersion: '3.1.0',
  versions: ['v11', 'v12'],
  trigger: 'scheduled',
  cron: '*/5 * * * *',
  weight: 4,
  executionId: (serial, startedAt) => `orders_etl/scheduled__${startedAt}+00:00.${serial}`,
  tasks: [
    task('extract.orders', 'io', 'PostgresOperator', 8_000, { pool: 'database' }),
    task('extract.customers', 'io', 'PostgresOperator', 5_000, { pool: 'database' }),
    task('extract.rates', 'network', 'HttpOperator', 1_500, { failureRatio: 0.08, queue: 'external' }),
    task('clean', 'compute', 'PythonOperator', 12_000, {
      after: ['extract.orders', 'extract.customers', 'extract.rates'],
      failureRatio: 0.03,
    }),
    task('check_quality', 'decision', 'BranchOperator', 800, { after: ['clean'] }),
    task('quarantine', 'io', 'S3Operator', 2_000, { after: ['check_quality'], skipRatio: 0.85 }),
    task('load', 'io', 'ClickHouseOperator', 9_000, { after: ['check_quality'], pool: 'database', failureRatio: 0.02 }),
    task('refresh_dashboards', 'network', 'HttpOperator', 700, { after: ['load'] }),
  ],
};

const churnTraining: OddWorkflow = {
  id: 'churn-training',
  name: 'Train the churn model',
  project: 'ml',
  source: 'prefect',
  sourceVersion: '3.8.0',
  versions: ['2026.09', '2026.10', '2026.11'],
  trigger: 'api',
  cron: '',
  weight: 1,
  executionId: (serial, startedAt) => `churn-training~${startedAt}~${serial}`,
  tasks: [
    task('load-features', 'io', 'Task', 15_000, { pool: 'cpu' }),
    task('split', 'compute', 'Task', 2_000, { after: ['load-features'], pool: 'cpu' }),
    task('train', 'compute', 'Task', 60_000, {
      after: ['split'],
      pool: 'gpu',
      queue: 'gpu',
      durationSigma: 0.7,
      failureRatio: 0.06,
      costPerHour: 2.4,
      cpuRatio: 3.2,
      memoryBytes: 8 * 2 ** 30,
      mapped: [3, 6],
    }),
    task('evaluate', 'compute', 'Task', 10_000, { after: ['train'], pool: 'cpu' }),
    task('approve', 'human', 'PauseFlow', 20_000, { after: ['evaluate'], durationSigma: 1.2, cpuRatio: 0 }),
    task('publish', 'network', 'Task', 3_000, { after: ['approve'], pool: 'cpu', skipRatio: 0.2 }),
  ],
};

const orderSaga: OddWorkflow = {
  id: 'OrderSaga',
  name: 'Order saga',
  project: 'shop',
  source: 'temporal',
  sourceVersion: '1.32.0',
  versions: ['7'],
  trigger: 'event',
  cron: '',
  weight: 12,
  executionId: (serial) => `order:${1_000_000 + serial}/payment+shipping`,
  tasks: [
    task('ReserveStock', 'network', 'Activity', 250, {
      queue: 'orders',
      failureRatio: 0.02,
      attempts: 5,
      retryDelayMs: 500,
    }),
    task('ChargeCard', 'network', 'Activity', 900, {
      after: ['ReserveStock'],
      queue: 'payments',
      failureRatio: 0.05,
      attempts: 4,
      retryDelayMs: 1_000,
      durationSigma: 0.9,
    }),
    task('CreateShipment', 'network', 'Activity', 600, { after: ['ChargeCard'], queue: 'orders' }),
    task('WaitForCourier', 'wait', 'Timer', 15_000, { after: ['CreateShipment'], queue: 'orders', cpuRatio: 0 }),
    task('SendMail', 'network', 'Activity', 300, { after: ['WaitForCourier'], queue: 'mail', failureRatio: 0.03 }),
  ],
};

const nightlyBilling: OddWorkflow = {
  id: 'nightly_billing',
  name: 'Nightly billing',
  project: 'finance',
  source: 'airflow',
  sourceVersion: '3.1.0',
  versions: ['v3'],
  trigger: 'scheduled',
  cron: '0 2 * * *',
  weight: 1,
  executionId: (serial, startedAt) => `nightly_billing/manual__${startedAt}.${serial}`,
  tasks: [
    task('list_accounts', 'io', 'PostgresOperator', 4_000, { pool: 'database' }),
    task('bill_account', 'compute', 'PythonOperator', 6_000, {
      after: ['list_accounts'],
      pool: 'batch',
      queue: 'batch',
      mapped: [8, 24],
      failureRatio: 0.02,
      durationSigma: 0.8,
    }),
    task('close_books', 'io', 'PostgresOperator', 7_000, { after: ['bill_account'], pool: 'database' }),
    task('report', 'network', 'EmailOperator', 900, { after: ['close_books'] }),
  ],
};

const imageRendering: OddWorkflow = {
  id: 'render-thumbnails',
  name: 'Render thumbnails',
  project: 'media',
  source: 'argo',
  sourceVersion: '3.7.2',
  versions: ['main'],
  trigger: 'webhook',
  cron: '',
  weight: 6,
  executionId: (serial) => `render-thumbnails-${serial.toString(36)}.media`,
  tasks: [
    task('fetch', 'network', 'Container', 1_200, { pool: 'spot', failureRatio: 0.03 }),
    task('small', 'compute', 'Container', 2_500, { after: ['fetch'], pool: 'spot' }),
    task('medium', 'compute', 'Container', 4_000, { after: ['fetch'], pool: 'spot' }),
    task('large', 'compute', 'Container', 9_000, {
      after: ['fetch'],
      pool: 'spot',
      memoryBytes: 2 ** 30,
      failureRatio: 0.05,
    }),
    task('store', 'io', 'Container', 1_000, { after: ['small', 'medium', 'large'] }),
  ],
};

const datasetSync: OddWorkflow = {
  id: 'sync.dataset',
  name: 'Sync the partner dataset',
  project: '',
  source: 'dagster',
  sourceVersion: '1.6.0',
  versions: ['a1f3', 'b207'],
  trigger: 'chain',
  cron: '',
  weight: 3,
  executionId: (serial, startedAt) => `sync.dataset:${startedAt}:${serial}`,
  tasks: [
    task('poll', 'wait', 'sensor', 6_000, { durationSigma: 1, cpuRatio: 0.01 }),
    task('download', 'network', 'op', 10_000, { after: ['poll'], failureRatio: 0.1, attempts: 4, durationSigma: 1 }),
    task('validate', 'compute', 'op', 3_000, { after: ['download'] }),
    task('notify', 'network', 'op', 400, { after: ['validate'], skipRatio: 0.5 }),
  ],
};

export const oddWorkflows: readonly OddWorkflow[] = [
  ordersEtl,
  churnTraining,
  orderSaga,
  nightlyBilling,
  imageRendering,
  datasetSync,
];
