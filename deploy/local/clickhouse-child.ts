import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { DataType, load, open } from 'ffi-rs';

/**
 * This process becomes a ClickHouse server: the library of the embedded engine holds the whole
 * server, and one call of its command line opens the ports and then blocks the main thread for good.
 *
 *     clickhouse-child.ts CONFIG_FILE DATA_DIR HTTP_PORT TCP_PORT
 *
 * So signals are not handled here. A worker thread reads standard input instead: its first line
 * names the address and the credentials, and its end, which comes when the parent stops us or is
 * gone, ends the blocking query, whereupon the engine shuts down in order.
 */
const keepAlive =
  'SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; ' +
  'SELECT sleepEachRow(0.1) FROM system.numbers ' +
  'SETTINGS function_sleep_max_microseconds_per_block = 0, max_block_size = 1 FORMAT Null';

/**
 * How long the engine may take to shut down before the process is killed. Alone it takes 150 ms, but
 * it waits five seconds for idle connections that clients keep open. Killing it loses nothing:
 * whatever was acknowledged is in the files.
 */
const shutdownTimeoutMs = 1_200;

export interface ChildGreeting {
  url: string;
  user: string;
  password: string;
}

if (isMainThread) serve(process.argv.slice(2));
else watchParent();

function serve([configFile, dataDir, httpPort, tcpPort]: string[]): never {
  new Worker(new URL(import.meta.url));
  const args = [
    'clickhouse',
    '--multiquery',
    `--config-file=${configFile}`,
    `--path=${dataDir}`,
    `--http_port=${httpPort}`,
    `--tcp_port=${tcpPort}`,
    '--listen_host=127.0.0.1',
    `--query=${keepAlive}`,
  ];
  const require = createRequire(import.meta.url);
  const folder = path.dirname(require.resolve('@chdb/lib-linux-x64-gnu/package.json'));
  open({ library: 'chdb', path: path.join(folder, 'libchdb.so') });
  const failure = load({
    library: 'chdb',
    funcName: 'chdb_query_cmdline',
    retType: DataType.I32,
    paramsType: [DataType.I32, DataType.StringArray],
    paramsValue: [args.length, args],
  });
  // A server that could not start has threads left that may wait for each other for good when the runtime ends in order.
  if (failure !== 0) process.kill(process.pid, 'SIGKILL');
  process.exit(0);
}

/** Runs in the worker, whose process.stdin would pass through the blocked main thread: hence fd 0. */
async function watchParent(): Promise<void> {
  let greeting: ChildGreeting | undefined;
  try {
    for await (const line of createInterface({ input: createReadStream('', { fd: 0 }) })) {
      greeting ??= JSON.parse(line) as ChildGreeting;
    }
  } catch {
    // Standard input that cannot be read is taken for one that has ended.
  }
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), shutdownTimeoutMs);
  if (greeting === undefined) process.kill(process.pid, 'SIGKILL');
  else await endKeepAlive(greeting);
}

async function endKeepAlive({ url, user, password }: ChildGreeting): Promise<void> {
  const body = "KILL QUERY WHERE query LIKE 'SELECT sleepEachRow(0.1) FROM system.numbers%' ASYNC";
  const headers = { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password, connection: 'close' };
  try {
    await fetch(url, { method: 'POST', body, headers });
  } catch {
    // Not up yet, or no longer: there is nothing to shut down in order.
    process.kill(process.pid, 'SIGKILL');
  }
  parentPort?.close();
}
