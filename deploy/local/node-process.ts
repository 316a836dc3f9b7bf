import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { watchProcess } from './guarded-process.ts';
import { rotateLog } from './log-file.ts';
import type { RunningService } from './supervise.ts';

interface NodeProcessOptions {
  name: string;
  /** The file to run, in this repository. */
  script: string;
  env: Record<string, string>;
  logFile: string;
  /** Lines that a user should see: warnings, errors, and whatever is no log line at all. */
  onNotice: (line: string) => void;
  /** For the runtime, beside those that every process of ours gets. */
  flags?: readonly string[];
  /** Bound of the heap, where the ordinary one is too little. */
  heapMb?: number;
}

/**
 * Without a bound the runtime lets garbage pile up as long as the machine has memory to spare; with the small nursery
 * it would choose by itself, records of a catch-up are promoted before they are done with.
 */
export const heapFlags = ['--max-old-space-size=320', '--max-semi-space-size=16'];

/**
 * For the process that catches up: under so low a bound the runtime marks all of the heap, which is mostly what the fold remembers, each
 * time it has grown by a half, and that was every 20 000 records. Now it is when it has doubled.
 */
export const pipelineFlags = ['--heap-growing-percent=100'];

const warnLevel = 40;

/** A server that is away is reported with every attempt to reach it; the user is told once in a while. */
const repeatNoticeMs = 30_000;

/** Runs one of our own processes: logs as JSON into a file, settings by environment, its end tied to ours. */
export async function startNodeProcess(options: NodeProcessOptions): Promise<RunningService> {
  await mkdir(path.dirname(options.logFile), { recursive: true });
  await rotateLog(options.logFile);
  const log = createWriteStream(options.logFile, { flags: 'a' });
  const { heapMb, flags = [] } = options;
  // Of a flag that is given twice, the last one counts.
  const ownHeap = heapMb === undefined ? [] : [`--max-old-space-size=${heapMb}`];
  const child = spawn(process.execPath, [...heapFlags, ...ownHeap, ...flags, options.script], {
    env: { ...process.env, ...options.env, WEIR_PARENT_GUARD: 'stdin', WEIR_LOG_FORMAT: 'json' },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const noticedAtMs = new Map<string, number>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`);
      const notice = findNotice(line);
      if (notice === '' || Date.now() - (noticedAtMs.get(notice) ?? 0) < repeatNoticeMs) return;
      noticedAtMs.set(notice, Date.now());
      options.onNotice(`${options.name}: ${notice}`);
    });
  }
  child.once('exit', () => log.end());
  return watchProcess(child);
}

/** The message of a log line that matters to the user, or '' for one that does not. */
function findNotice(line: string): string {
  try {
    const { level, msg, err } = JSON.parse(line) as { level: number; msg?: string; err?: { message?: string } };
    if (level < warnLevel) return '';
    return [msg, err?.message].filter((part, at, all) => part && all.indexOf(part) === at).join(': ');
  } catch {
    return line.trim();
  }
}
