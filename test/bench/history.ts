import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { finishBench, round } from './report.ts';
import { cpuSecondsOf } from './servers.ts';

/**
 * How long a first `npm start` takes until its two weeks of demo history can be seen: everything runs that a user would run, on
 * the cores of this machine, and what each process takes of them is told beside the times.
 */
const root = path.join(import.meta.dirname, '../..');
const givenUpAfterMs = 340_000;
/** Live telemetry goes on arriving; a lag of less than this is that, and no history. */
const liveLagRecords = 2_000;
const scripts: Record<string, string> = {
  'pipelines/main.ts': 'pipelines',
  'services/query/main.ts': 'query',
  'services/alerts/main.ts': 'alerts',
  'services/insight/main.ts': 'insight',
  'services/simulator/main.ts': 'demo',
  'clickhouse-child.ts': 'clickhouse',
  'kafka.Kafka': 'kafka',
};

const folder = mkdtempSync(path.join(tmpdir(), 'weir-history-'));
const startedMs = Date.now();
const elapsedSeconds = () => round((Date.now() - startedMs) / 1000);
const weir = spawn(process.execPath, [path.join(root, 'deploy/local/start.ts'), '--data', path.join(folder, 'data')], {
  stdio: ['ignore', 'pipe', 'inherit'],
});

const lines: string[] = [];
createInterface({ input: weir.stdout }).on('line', (line) => {
  lines.push(line);
  if (/history|^ready/.test(line)) console.log(`${elapsedSeconds()} s: ${line}`);
});
const findLine = (pattern: RegExp): RegExpExecArray | null => {
  for (const line of lines) {
    const found = pattern.exec(line);
    if (found !== null) return found;
  }
  return null;
};

interface RunningProcess {
  pid: number;
  parent: number;
  command: string;
}

function listProcesses(): RunningProcess[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const parent = Number(readFileSync(`/proc/${entry}/stat`, 'latin1').split(') ')[1]?.split(' ')[1]);
      return [{ pid: Number(entry), parent, command: readFileSync(`/proc/${entry}/cmdline`, 'latin1') }];
    } catch {
      // It has ended since the list was made.
      return [];
    }
  });
}

/** CPU of all that the start has begun, by what it is; what a process that was begun anew took before is not known. */
function readCpuSeconds(start: number): Record<string, number> {
  const all = listProcesses();
  const seconds: Record<string, number> = { start: cpuSecondsOf(start) };
  const add = (parent: number, nameOfParent: string | undefined) => {
    for (const child of all.filter((candidate) => candidate.parent === parent)) {
      const found = Object.entries(scripts).find(([part]) => child.command.includes(part))?.[1];
      const name = found ?? nameOfParent ?? 'others';
      seconds[name] = (seconds[name] ?? 0) + cpuSecondsOf(child.pid);
      add(child.pid, name);
    }
  };
  add(start, undefined);
  return seconds;
}

/** Records that are in Kafka and not durable in ClickHouse yet; NaN while nobody tells. */
async function readLag(metricsUrl: string): Promise<number> {
  const page = await fetch(metricsUrl)
    .then((answer) => answer.text())
    .catch(() => '');
  const lags = page.split('\n').filter((line) => line.startsWith('weir_true_lag_records{'));
  return lags.length === 0 ? Number.NaN : lags.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** The lag is read every other second, so the moment is known to within two. */
async function waitForHistory(): Promise<{ sentSeconds: number; visibleSeconds: number }> {
  let sentSeconds = Number.NaN;
  for (; Date.now() - startedMs < givenUpAfterMs && weir.exitCode === null; await sleep(500)) {
    const isSent = findLine(/history .*100 %/) !== null;
    if (isSent && Number.isNaN(sentSeconds)) sentSeconds = elapsedSeconds();
    const address = findLine(/(http:\S+\/metrics), \/health/)?.[1];
    if (!isSent || address === undefined || elapsedSeconds() < sentSeconds + 2.5) continue;
    if ((await readLag(address)) < liveLagRecords) return { sentSeconds, visibleSeconds: elapsedSeconds() };
  }
  return { sentSeconds, visibleSeconds: Number.POSITIVE_INFINITY };
}

try {
  const { sentSeconds, visibleSeconds } = await waitForHistory();
  const cpu = readCpuSeconds(weir.pid as number);
  const rows = [
    { what: 'history on Kafka, s', value: sentSeconds },
    { what: 'history stored and visible, s', value: visibleSeconds },
    ...Object.entries(cpu).map(([name, value]) => ({ what: `CPU of ${name}, s`, value: round(value) })),
  ];
  finishBench('history', rows, [
    { name: 'history-visible', value: visibleSeconds, unit: 's', direction: 'at most', bound: 90 },
  ]);
} finally {
  weir.kill('SIGINT');
  if (weir.exitCode === null) await new Promise((resolve) => weir.once('exit', resolve));
  rmSync(folder, { recursive: true, force: true });
}
