import path from 'node:path';
import { startClickHouse } from '../../deploy/local/clickhouse.ts';
import { startKafka } from '../../deploy/local/kafka.ts';

/** Starts both servers in the folder that it is given and then waits to be killed. */
const folder = process.argv[2];
await Promise.all([
  startKafka({ dataDir: path.join(folder, 'kafka') }),
  startClickHouse({ dataDir: path.join(folder, 'clickhouse') }),
]);
console.log('both run');
