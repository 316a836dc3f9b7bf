import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseOptions } from '../clickhouse/client.ts';
import type { Settings } from '../schemas/settings.ts';
import type { KafkaOptions } from './kafka.ts';

/** How to reach the brokers, from the settings that say so. */
export function kafkaOptions(settings: Settings): KafkaOptions {
  const { kafkaSaslMechanism: mechanism, kafkaSaslUsername: username, kafkaSaslPassword: password } = settings;
  const { kafkaTlsCaFile: caFile, kafkaTlsCertFile: certFile, kafkaTlsKeyFile: keyFile } = settings;
  return {
    brokers: [...settings.kafkaBrokers],
    clientId: settings.kafkaClientId,
    tls: settings.kafkaTls ? { caFile, certFile, keyFile } : null,
    sasl: mechanism === '' ? null : { mechanism, username, password },
  };
}

export function databaseOptions(settings: Settings): DatabaseOptions {
  return {
    url: settings.clickhouseUrl,
    user: settings.clickhouseUser,
    password: settings.clickhousePassword,
    database: settings.clickhouseDatabase,
    tlsCaFile: settings.clickhouseTlsCaFile,
  };
}

/** The logs that pipelines read now, as topic@epoch. */
export function telemetryStreams(settings: Settings): Record<'executions' | 'tasks', string> {
  return {
    executions: `${settings.topicExecutions}@${settings.streamEpochExecutions}`,
    tasks: `${settings.topicTasks}@${settings.streamEpochTasks}`,
  };
}

/** The same for a process that only reads, as the user that sees one workspace at a time. */
export function readingDatabaseOptions(settings: Settings): DatabaseOptions {
  const options = databaseOptions(settings);
  if (settings.clickhouseApiUser === '') return { ...options, requestTimeoutMs: readTimeoutMs };
  const { clickhouseApiUser: user, clickhouseApiPassword: password } = settings;
  return { ...options, user, password, requestTimeoutMs: readTimeoutMs };
}

/** A little longer than the server lets a question run, so that it is the server that gives up. */
const readTimeoutMs = 35_000;

const runningServersFile = 'servers.json';

/** Where a running `npm start` leaves the addresses and the writer's password, for its owner's eyes only. */
export function writeRunningServers(dataDir: string, env: Readonly<Record<string, string>>): void {
  const file = path.join(dataDir, runningServersFile);
  rmSync(file, { force: true });
  writeFileSync(file, `${JSON.stringify(env, null, 2)}\n`, { mode: 0o600 });
}

export function forgetRunningServers(dataDir: string): void {
  rmSync(path.join(dataDir, runningServersFile), { force: true });
}

/** Settings that reach the servers of a running `npm start`; empty where none runs. */
export function readRunningServers(dataDir: string): Record<string, string> {
  try {
    return JSON.parse(readFileSync(path.join(dataDir, runningServersFile), 'utf8')) as Record<string, string>;
  } catch {
    return {};
  }
}
