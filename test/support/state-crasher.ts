import { Registry } from 'prom-client';
import { Database } from '../../clickhouse/client.ts';
import { createKafka } from '../../pipelines/kafka.ts';
import { createPipelineMetrics } from '../../pipelines/metrics.ts';
import { readSettings } from '../../pipelines/process.ts';
import { databaseOptions, kafkaOptions } from '../../pipelines/servers.ts';
import { StateReader } from '../../pipelines/state/reader.ts';

/** Reads the state topic, and dies without a word at its n-th step: `state-crasher.ts N`. */
const settings = readSettings();
let stepsLeft = Number(process.argv[2]);
const silent = () => undefined;
new StateReader({
  settings,
  kafka: createKafka(kafkaOptions(settings), { warn: silent, debug: silent }),
  database: new Database(databaseOptions(settings)),
  metrics: createPipelineMetrics(new Registry(), Date.now),
  log: { info: silent, warn: silent, error: silent },
  reached: () => {
    if (--stepsLeft === 0) process.kill(process.pid, 'SIGKILL');
  },
}).start();
