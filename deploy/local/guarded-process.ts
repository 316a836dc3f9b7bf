import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * A program that knows nothing of its parent, run so that it never outlives it. A shell stands
 * between: it starts the program, tells its process id, and keeps reading standard input, which
 * ends when the parent stops it or is gone, be it by kill -9. Then the program gets SIGTERM, and
 * SIGKILL if it has not ended in time. A shell costs 1 MB where another Node process costs 45.
 */
const guardScript = `
log=$1; grace=$2; shift 2
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
program=$!
echo "$program"
(
  exec >/dev/null
  while read -r _; do :; done
  kill -TERM "$program"
  while [ "$grace" -gt 0 ] && kill -0 "$program" 2>/dev/null; do sleep 1; grace=$((grace - 1)); done
  kill -KILL "$program" 2>/dev/null
) <&3 &
watcher=$!
exec 3<&-
wait "$program"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
`;

export interface ProcessExit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** True when the end was asked for by stop() or kill(). */
  expected: boolean;
}

export interface GuardedProcess {
  /** Of the program itself, not of its guard. */
  pid: number;
  /** The process that stands between, or the program itself where none does. */
  guardPid: number;
  /** Settles when the program has ended. */
  exited: Promise<ProcessExit>;
  hasExited(): boolean;
  stop(): Promise<void>;
  kill(): void;
  onExit(listener: (exit: ProcessExit) => void): void;
}

interface GuardedProcessOptions {
  command: string;
  args: readonly string[];
  logFile: string;
  cwd: string;
  env?: NodeJS.ProcessEnv;
  /** How long an orderly stop may take before the program is killed. */
  graceSeconds: number;
}

export async function startGuarded(options: GuardedProcessOptions): Promise<GuardedProcess> {
  const { command, args, logFile, graceSeconds } = options;
  const shellArgs = ['-c', guardScript, 'weir-guard', logFile, String(graceSeconds), command, ...args];
  // A process group of its own: Ctrl-C on the terminal must reach the parent only, which then stops
  // its children in order.
  const guard = spawn('/bin/sh', shellArgs, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const [firstLine] = await once(guard.stdout, 'data');
  return watchProcess(guard, Number(String(firstLine).trim()));
}

/** Said before the input ends when a stop is meant, so that a process of ours can tell it from our own death. */
const stopWord = 'stop\n';

/** Gives any child process the shape of a guarded one; closing its standard input stops it. */
export function watchProcess(child: ChildProcess, pid = child.pid as number): GuardedProcess {
  let asked = false;
  let exit: ProcessExit | undefined;
  const listeners: ((exit: ProcessExit) => void)[] = [];
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('exit', (code, signal) => {
      // A guard that was killed itself has left its program running.
      if (signal !== null && pid !== child.pid) killQuietly(pid);
      exit = { code, signal, expected: asked };
      resolve(exit);
      for (const listener of listeners) listener(exit);
    });
  });
  // Writing to a child that has just died is no news: its exit is.
  child.stdin?.on('error', () => {});
  return {
    pid,
    guardPid: child.pid as number,
    exited,
    hasExited: () => exit !== undefined,
    async stop() {
      asked = true;
      child.stdin?.end(stopWord);
      await exited;
    },
    kill() {
      asked = true;
      if (exit === undefined) killQuietly(pid);
    },
    onExit(listener) {
      if (exit) listener(exit);
      else listeners.push(listener);
    },
  };
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended between the question and the kill.
  }
}
