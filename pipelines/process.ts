import { createServer, type Server, type ServerResponse } from 'node:http';
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { formatProblems, parseSettings, type Settings, secretSettings } from '../schemas/settings.ts';

/**
 * What every process of ours shares: settings, logger, metrics port, signals and orderly stop. Each process is
 * otherwise wired by hand in its main.ts:
 *
 *     const shell = await startProcess({ name: 'pipelines' });
 *     const consumer = await startConsumer(shell.settings, shell.log);
 *     shell.reportReadiness(() => consumer.whyNotReady());
 *     shell.onStop('consumer', () => consumer.close());
 */
interface ProcessOptions {
  name: string;
  env?: NodeJS.ProcessEnv;
  /** How long an orderly stop may take before the process ends anyway. */
  drainTimeoutMs?: number;
}

interface ProcessShell {
  settings: Settings;
  log: Logger;
  registry: Registry;
  /** Where /metrics, /health and /ready are served. */
  url: string;
  /** The check answers '' when the process is ready, and otherwise why it is not. */
  reportReadiness(check: () => string): void;
  /** Steps run one after the other, the one added last first, so that users stop before what they use. */
  onStop(name: string, step: () => Promise<void> | void): void;
  /** Runs the steps and ends the process; the exit code is 0 unless a step failed or something went wrong before. */
  stop(reason: string, exitCode?: number): Promise<never>;
}

const wrongSettingsExitCode = 2;

/** How long a process may go on without the parent that runs its servers. */
const orphanTimeoutMs = 2_000;

export async function startProcess(options: ProcessOptions): Promise<ProcessShell> {
  const settings = readSettings(options.env);
  const log = createLogger(options.name, settings);
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const readiness = { check: () => 'still starting' };
  const server = createStatusServer(registry, readiness);
  const url = await listen(server, settings, log);
  const stopper = createStopper(log, options.drainTimeoutMs ?? 8_000);
  stopper.onStop('status port', () => closeServer(server));
  listenForEnd(stopper.stop, log, settings.parentGuard === 'stdin');
  return {
    settings,
    log,
    registry,
    url,
    reportReadiness: (check) => {
      readiness.check = check;
    },
    ...stopper,
  };
}

/** The settings, or all that is wrong with them on standard error and the end of the process. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const parsed = parseSettings(env);
  if ('settings' in parsed) return parsed.settings;
  process.stderr.write(`${formatProblems(parsed.problems)}\n`);
  process.exit(wrongSettingsExitCode);
}

/** Fields that hold secrets wherever they stand in a log line's objects. */
const redactedFields = ['password', 'authorization', 'token', 'secret', ...secretSettings];

function createLogger(name: string, settings: Settings, out?: DestinationStream): Logger {
  const pretty = settings.logFormat === 'pretty' || (settings.logFormat === 'auto' && process.stdout.isTTY === true);
  // Written synchronously: the line that says why a process died has to be out before it does.
  const target = out ?? destination({ fd: 1, sync: true });
  const stream = pretty ? PinoPretty({ destination: target, sync: true, ignore: 'pid,hostname' }) : target;
  const options = {
    name,
    level: settings.logLevel,
    redact: { paths: redactedFields.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: '[redacted]' },
  };
  return pino(options, hideSecrets(stream, settings));
}

/** A secret may also be part of a message, of a driver's error for instance, so the finished line is searched. */
function hideSecrets(stream: DestinationStream, settings: Settings): DestinationStream {
  const secrets = secretSettings
    .map((name) => String(settings[name as keyof Settings]))
    .filter((secret) => secret.length > 3)
    .map((secret) => JSON.stringify(secret).slice(1, -1));
  if (secrets.length === 0) return stream;
  return {
    write: (line) => stream.write(secrets.reduce((text, secret) => text.replaceAll(secret, '[redacted]'), line)),
  };
}

function createStatusServer(registry: Registry, readiness: { check: () => string }): Server {
  return createServer(async (request, response) => {
    const path = request.url?.split('?')[0];
    if (path === '/health') return reply(response, 200, { status: 'alive' });
    if (path === '/ready') {
      const reason = readiness.check();
      return reply(response, reason === '' ? 200 : 503, reason === '' ? { ready: true } : { ready: false, reason });
    }
    if (path !== '/metrics') return reply(response, 404, { error: 'try /metrics, /health or /ready' });
    response.setHeader('content-type', registry.contentType);
    response.end(await registry.metrics());
  });
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}

/** Several instances may run on one machine, so a busy port is replaced by a free one, and that is said. */
async function listen(server: Server, settings: Settings, log: Logger): Promise<string> {
  const { metricsHost: host, metricsPort } = settings;
  const bind = (port: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
  await bind(metricsPort).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    await bind(0);
    log.warn(`port ${metricsPort} is busy`);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : metricsPort;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  log.info({ url }, 'serving /metrics, /health and /ready');
  return url;
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

function createStopper(log: Logger, drainTimeoutMs: number): Pick<ProcessShell, 'onStop' | 'stop'> {
  const steps: { name: string; step: () => Promise<void> | void }[] = [];
  let stopping: Promise<never> | undefined;
  const run = async (reason: string, exitCode: number): Promise<never> => {
    log.info(`stopping: ${reason}`);
    const overdue = setTimeout(() => {
      log.error(`the stop took longer than ${drainTimeoutMs} ms`);
      process.exit(1);
    }, drainTimeoutMs);
    let code = exitCode;
    for (const { name, step } of steps.toReversed()) {
      try {
        await step();
      } catch (error) {
        log.error(error, `${name} did not stop cleanly`);
        code = 1;
      }
    }
    clearTimeout(overdue);
    log.info('stopped');
    process.exit(code);
  };
  return {
    onStop: (name, step) => void steps.push({ name, step }),
    stop: (reason, exitCode = 0) => {
      stopping ??= run(reason, exitCode);
      return stopping;
    },
  };
}

/** The ends that can come from outside, and our own bugs, which end the process at once: a supervisor restarts it. */
function listenForEnd(stop: ProcessShell['stop'], log: Logger, guarded: boolean): void {
  let signals = 0;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      signals++;
      if (signals > 1) process.exit(1);
      void stop(signal);
    });
  }
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal(error instanceof Error ? error : { error }, event);
      process.exit(1);
    });
  }
  if (!guarded) return;
  // The parent says `stop` and ends our input; an end without a word is the parent's own, even by kill -9.
  let asked = false;
  const end = () => {
    if (asked) return void stop('asked by the parent');
    // What we would drain into is going down with the parent; replay brings back what was not stored.
    setTimeout(() => process.exit(1), orphanTimeoutMs).unref();
    void stop('the parent is gone', 1);
  };
  process.stdin.on('data', (word) => {
    asked ||= String(word).includes('stop');
  });
  process.stdin.once('end', end);
  process.stdin.once('error', end);
}
