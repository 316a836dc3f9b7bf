import { readFileSync } from 'node:fs';

const lookEveryMs = 500;

/**
 * Under `npm start` the process that a user, a script or a test starts and may kill is npm, with a shell between it
 * and us. When one of them is gone, so is whoever would stop us, and we stop ourselves. Started without npm nothing
 * is watched, since a shell may well end before what it started in the background.
 */
export function watchNpm(onGone: () => void, env: NodeJS.ProcessEnv = process.env): void {
  if (env.npm_lifecycle_event === undefined) return;
  const watched = [process.ppid, ...findShellParent(process.ppid)];
  const timer = setInterval(() => {
    if (watched.every(isRunning)) return;
    clearInterval(timer);
    onGone();
  }, lookEveryMs);
  timer.unref();
}

/** npm's own id, when our parent is the shell that npm runs scripts in; only Linux tells without another program. */
function findShellParent(pid: number): number[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    return /^(sh|dash|bash|zsh)$/.test(name) && parent > 1 ? [parent] : [];
  } catch {
    return [];
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
