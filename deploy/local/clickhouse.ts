import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { ChildGreeting } from './clickhouse-child.ts';
import { type ClickHouseUsers, loadOrMakeUsers, type ReadableTable, renderUsersFile } from './clickhouse-users.ts';
import { type GuardedProcess, type ProcessExit, watchProcess } from './guarded-process.ts';
import { readTail } from './log-file.ts';
import { findFreePort } from './ports.ts';

interface ClickHouseOptions {
  dataDir: string;
  /** Free ports are taken when none are given. */
  httpPort?: number;
  tcpPort?: number;
  /** The product's database, the only one that the API and readers may read; default `weir`. */
  database?: string;
  /** What the API and readers may read. The engine learns of changes only when it starts anew. */
  readable?: readonly ReadableTable[];
  memoryBytes?: number;
  /** An `error` log says little; `trace` says all. */
  logLevel?: 'error' | 'warning' | 'information' | 'debug' | 'trace';
}

export interface EmbeddedClickHouse {
  /** The HTTP address, as CLICKHOUSE_URL wants it; credentials apart. */
  url: string;
  httpPort: number;
  tcpPort: number;
  pid: number;
  database: string;
  users: ClickHouseUsers;
  logFile: string;
  stop(): Promise<void>;
  /** SIGKILL, as a test of durability wants it. */
  kill(): void;
  exited: Promise<ProcessExit>;
  onExit(listener: (exit: ProcessExit) => void): void;
}

const readyTimeoutMs = 30_000;

/** The engine comes as an npm package, for this platform only so far. */
function isEngineInstalled(): boolean {
  try {
    createRequire(import.meta.url).resolve('@chdb/lib-linux-x64-gnu/package.json');
    return process.platform === 'linux' && process.arch === 'x64';
  } catch {
    return false;
  }
}

/** Starts ClickHouse on loopback with the users of the product; resolves when it serves. */
export async function startClickHouse(options: ClickHouseOptions): Promise<EmbeddedClickHouse> {
  const dataDir = path.resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true });
  const database = options.database ?? 'weir';
  const users = await loadOrMakeUsers(dataDir);
  const access = { database, users, readable: options.readable ?? [] };
  if (!isEngineInstalled()) {
    const { startClickHouseContainer } = await import('./clickhouse-container.ts');
    return await startClickHouseContainer(dataDir, access);
  }
  const httpPort = options.httpPort || (await findFreePort());
  const tcpPort = options.tcpPort || (await findFreePort(new Set([httpPort])));
  const configFile = path.join(dataDir, 'config.xml');
  await writeFile(path.join(dataDir, 'users.xml'), renderUsersFile(access), { mode: 0o600 });
  await writeFile(configFile, renderConfig(dataDir, options));
  const url = `http://127.0.0.1:${httpPort}`;
  const child = spawnEngine(dataDir, [configFile, path.join(dataDir, 'data'), `${httpPort}`, `${tcpPort}`], {
    url,
    user: users.writer.name,
    password: users.writer.password,
  });
  await waitUntilServing(child, url, users, dataDir);
  const { pid, stop, kill, exited, onExit } = child;
  const logFile = path.join(dataDir, 'clickhouse.log');
  return { url, httpPort, tcpPort, pid, database, users, logFile, stop, kill, exited, onExit };
}

function spawnEngine(dataDir: string, args: string[], greeting: ChildGreeting): GuardedProcess {
  const script = new URL('./clickhouse-child.ts', import.meta.url).pathname;
  const output = openSync(path.join(dataDir, 'engine.log'), 'a');
  // A process group of its own, so that Ctrl-C reaches the parent only.
  const child = spawn(process.execPath, [script, ...args], {
    cwd: dataDir,
    stdio: ['pipe', output, output],
    detached: true,
  });
  closeSync(output);
  const watched = watchProcess(child);
  child.stdin?.write(`${JSON.stringify(greeting)}\n`);
  return watched;
}

/**
 * The engine keeps no log tables unless told to (they cost more CPU than the telemetry of a small
 * installation), and the caches are cut to what a laptop can spare. Its level of logging stands there twice, because the
 * library of the engine takes it from a place of its own, and without one traces every step of every query.
 */
function renderConfig(dataDir: string, options: ClickHouseOptions): string {
  const { memoryBytes = 4_000_000_000, logLevel = 'warning' } = options;
  return `<clickhouse>
  <users_config>users.xml</users_config>
  <user_files_path>${dataDir}/user_files/</user_files_path>
  <tmp_path>${dataDir}/tmp/</tmp_path>
  <format_schema_path>${dataDir}/format_schemas/</format_schema_path>
  <log-level>${logLevel}</log-level>
  <logger>
    <level>${logLevel}</level>
    <log>${dataDir}/clickhouse.log</log>
    <errorlog>${dataDir}/clickhouse.err.log</errorlog>
    <size>10M</size>
    <count>2</count>
  </logger>
  <max_server_memory_usage>${memoryBytes}</max_server_memory_usage>
  <mark_cache_size>134217728</mark_cache_size>
  <primary_index_cache_size>134217728</primary_index_cache_size>
  <max_thread_pool_size>500</max_thread_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <access_control_improvements>
    <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
    <users_without_row_policies_can_read_rows>true</users_without_row_policies_can_read_rows>
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
  </access_control_improvements>
</clickhouse>
`;
}

async function waitUntilServing(
  child: GuardedProcess,
  url: string,
  { writer }: ClickHouseUsers,
  dataDir: string,
): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  const headers = {
    'X-ClickHouse-User': writer.name,
    'X-ClickHouse-Key': writer.password,
    connection: 'close',
  };
  for (;;) {
    const answer = await fetch(`${url}/?query=SELECT+1`, { headers }).catch(() => undefined);
    if (answer?.ok) return;
    if (child.hasExited() || Date.now() > deadline) {
      const what = child.hasExited() ? 'ended while starting' : `did not serve within ${readyTimeoutMs} ms`;
      child.kill();
      const tail = await readTail(path.join(dataDir, 'engine.log'));
      throw new Error(`ClickHouse ${what}; the end of ${dataDir}/engine.log:\n${tail}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
