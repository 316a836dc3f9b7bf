import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** A process of ours, started as a user would start it, with everything it printed. */
export interface Launched {
  child: ChildProcess;
  pid: number;
  output(): string;
  /** Resolves once the output, from the given position on, matches. */
  waitFor(pattern: RegExp, timeoutMs?: number, from?: number): Promise<RegExpExecArray>;
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

interface LaunchOptions {
  args?: readonly string[];
  env?: Record<string, string>;
  /** Give the process an input that ends when the test closes it, or when the test process is gone. */
  stdin?: 'pipe' | 'ignore';
}

export function launch(script: string, { args = [], env = {}, stdin = 'ignore' }: LaunchOptions = {}): Launched {
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...withoutRunner(), ...env },
    stdio: [stdin, 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const waitFor = async (pattern: RegExp, timeoutMs = 30_000, from = 0) => {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const match = pattern.exec(output.slice(from));
      if (match) return match;
      if (Date.now() > deadline || child.exitCode !== null) {
        throw new Error(`${pattern} was not printed within ${timeoutMs} ms; the output was:\n${output}`);
      }
      await pause(20);
    }
  };
  return { child, pid: child.pid as number, output: () => output, waitFor, exited };
}

/** The test runner's own variables, and npm's, would change what a process of ours does. */
function withoutRunner(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_OPTIONS|npm_|WEIR_)/.test(name));
  return Object.fromEntries(entries);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Processes that run now and name this text in their command line; Linux only, like the engine they run. */
export function findProcesses(text: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid && readCommand(pid).includes(text));
}

function readCommand(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

export async function waitUntil(check: () => boolean | Promise<boolean>, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (await check()) return true;
    await pause(50);
  }
  return await check();
}
