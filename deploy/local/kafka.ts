import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { fetchJars, findCacheDir } from './fetch-jars.ts';
import { type GuardedProcess, type ProcessExit, startGuarded } from './guarded-process.ts';
import { findJava, type Java } from './java.ts';
import { kafkaVersion } from './kafka-jars.ts';
import { readTail, rotateLog } from './log-file.ts';
import { findFreePort } from './ports.ts';

const run = promisify(execFile);

export interface KafkaOptions {
  dataDir: string;
  /** A free port is taken when none is given. */
  port?: number;
  controllerPort?: number;
  cacheDir?: string | undefined;
  mirrorUrl?: string | undefined;
  /** Broker settings that come on top of ours, by their Kafka names. */
  settings?: Record<string, string>;
  /** Jars that are already there, to spare looking for them again. */
  jars?: readonly string[];
  java?: Java;
  /** Asked while the broker starts: true when nobody wants it any more. */
  isGivenUp?: () => boolean;
}

export interface EmbeddedKafka {
  /** host:port, as KAFKA_BROKERS wants it. */
  brokers: string;
  port: number;
  controllerPort: number;
  pid: number;
  logFile: string;
  /** Orderly: the broker writes its logs out and says goodbye. */
  stop(): Promise<void>;
  /** SIGKILL, as a test of durability wants it. */
  kill(): void;
  exited: Promise<ProcessExit>;
  onExit(listener: (exit: ProcessExit) => void): void;
}

const readyTimeoutMs = 60_000;

/** Starts one Kafka node, broker and controller in one JVM, on loopback; resolves when it serves. */
export async function startKafka(options: KafkaOptions): Promise<EmbeddedKafka> {
  const [java, jars] = await Promise.all([
    options.java ?? findJava(),
    options.jars ?? fetchJars({ cacheDir: options.cacheDir, mirrorUrl: options.mirrorUrl }),
  ]);
  const dataDir = path.resolve(options.dataDir);
  await mkdir(dataDir, { recursive: true });
  const port = options.port || (await findFreePort());
  const controllerPort = options.controllerPort || (await findFreePort(new Set([port])));
  const config = path.join(dataDir, 'server.properties');
  await writeFile(config, renderProperties({ dataDir, port, controllerPort, extra: options.settings }));
  const logFile = path.join(dataDir, 'kafka.log');
  await rotateLog(logFile);
  const archive = locateArchive(options.cacheDir ?? findCacheDir(), dataDir, java);
  const jvm = { java, dataDir, jvmArgs: [...jvmArgs, '-cp', jars.join(':')] };
  await formatOnce(jvm, config, archive.use);
  const args = [...archive.use, ...archive.make, ...jvm.jvmArgs, 'kafka.Kafka', config];
  const child = await startGuarded({ command: java.command, args, logFile, cwd: dataDir, graceSeconds: 8 });
  await waitUntilServing(child, port, logFile, options.isGivenUp);
  return {
    brokers: `127.0.0.1:${port}`,
    port,
    controllerPort,
    pid: child.pid,
    logFile,
    async stop() {
      await child.stop();
      await archive.keep();
    },
    kill: child.kill,
    exited: child.exited,
    onExit: child.onExit,
  };
}

/** One node with a few partitions needs little: the serial collector and no second compiler. */
const jvmArgs = [
  '-Xmx512m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Djava.awt.headless=true',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
  '-Dorg.slf4j.simpleLogger.showDateTime=true',
  '-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS',
];

interface PropertiesInput {
  dataDir: string;
  port: number;
  controllerPort: number;
  extra: Record<string, string> | undefined;
}

function renderProperties({ dataDir, port, controllerPort, extra }: PropertiesInput): string {
  const settings: Record<string, string | number | boolean> = {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': path.join(dataDir, 'log'),
    ...oneNodeSettings,
    ...extra,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

const oneNodeSettings: Record<string, string | number | boolean> = {
  'offsets.topic.replication.factor': 1,
  'offsets.topic.num.partitions': 4,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'transaction.state.log.num.partitions': 4,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
  'share.coordinator.state.topic.num.partitions': 1,
  'group.initial.rebalance.delay.ms': 0,
  // Tests of dying consumers should not have to wait for the default of six seconds.
  'group.min.session.timeout.ms': 1000,
  'auto.create.topics.enable': false,
  // After kill -9 the controller waits for the old session to end before it lets the broker back.
  'broker.session.timeout.ms': 3000,
  'broker.heartbeat.interval.ms': 500,
  'num.network.threads': 2,
  'num.io.threads': 4,
  'background.threads': 2,
  // The default is a quarter of this heap.
  'log.cleaner.dedupe.buffer.size': 33_554_432,
};

interface Jvm {
  java: Java;
  dataDir: string;
  jvmArgs: readonly string[];
}

/** Gives the data directory its cluster id, once; a directory that has one keeps it. */
async function formatOnce(jvm: Jvm, config: string, archiveArgs: readonly string[]): Promise<void> {
  if (existsSync(path.join(jvm.dataDir, 'log', 'meta.properties'))) return;
  const idBytes = randomBytes(16);
  // An id that begins with a dash, one in 64, would be taken for an option.
  idBytes[0] &= 0x7f;
  const clusterId = idBytes.toString('base64url');
  const tool = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', config, '--ignore-formatted'];
  try {
    await run(jvm.java.command, [...archiveArgs, ...jvm.jvmArgs, ...tool], { cwd: jvm.dataDir });
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new Error(`Kafka could not format ${jvm.dataDir}: ${stderr || (error as Error).message}`);
  }
}

/**
 * The archive of loaded classes halves the start. Java writes it when a first orderly run ends; it
 * serves only the same jars on the same JVM, so both are in its name, and Java ignores it quietly
 * when it does not fit after all.
 */
function locateArchive(cacheDir: string, dataDir: string, java: Java) {
  const name = `kafka-${kafkaVersion}-java-${java.version}.jsa`;
  const file = path.join(path.resolve(cacheDir), name);
  const draft = path.join(dataDir, name);
  const made = existsSync(file);
  return {
    use: made ? [`-XX:SharedArchiveFile=${file}`, '-Xshare:auto'] : [],
    make: made ? [] : [`-XX:ArchiveClassesAtExit=${draft}`, '-Xlog:cds=off', '-Xlog:cds+dynamic=off'],
    async keep() {
      if (made || !existsSync(draft)) return;
      // Copied, because the cache may lie on another file system; renamed, so that it appears whole.
      await copyFile(draft, `${file}.${process.pid}`);
      await rename(`${file}.${process.pid}`, file);
      await rm(draft, { force: true });
    },
  };
}

async function waitUntilServing(
  child: GuardedProcess,
  port: number,
  logFile: string,
  isGivenUp: () => boolean = () => false,
): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  while (!(await answersMetadata(port))) {
    if (isGivenUp()) {
      child.kill();
      await child.exited;
      throw new Error('Kafka was stopped while it was starting');
    }
    if (child.hasExited() || Date.now() > deadline) {
      const what = child.hasExited() ? 'ended while starting' : `did not serve within ${readyTimeoutMs} ms`;
      child.kill();
      throw new Error(`Kafka ${what}; the end of ${logFile}:\n${await readTail(logFile)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/**
 * Asks for the cluster's metadata: the port opens before the controller lets the broker take part,
 * and only a broker that takes part is named in the answer.
 */
function answersMetadata(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect({ host: '127.0.0.1', port }, () => socket.write(metadataRequest));
    const finish = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2000, () => finish(false));
    socket.on('error', () => finish(false));
    socket.on('close', () => finish(false));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      const answer = Buffer.concat(chunks);
      // Length, correlation id and throttle time come before the number of brokers.
      if (answer.length >= 16) finish(answer.readInt32BE(12) > 0);
    });
  });
}

/** Metadata, version 8, of no topic: key 3, correlation 1, client `weir`, then three false flags. */
const metadataRequest = Buffer.concat([
  Buffer.from([0, 0, 0, 21, 0, 3, 0, 8, 0, 0, 0, 1, 0, 4]),
  Buffer.from('weir'),
  Buffer.from([0, 0, 0, 0, 0, 0, 0]),
]);
