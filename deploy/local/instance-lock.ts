import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * A lock file that names its owner by process id and start time. A process that was killed leaves
 * the file behind, and the next start sees that no such process runs any more; the start time tells
 * a living owner from a stranger that was given the same id.
 */
export interface InstanceLock {
  release(): Promise<void>;
}

interface LockOwner {
  pid: number;
  startedAt: string;
}

type LockOutcome = { lock: InstanceLock } | { heldBy: LockOwner };

export async function acquireLock(file: string): Promise<LockOutcome> {
  await mkdir(path.dirname(file), { recursive: true });
  const own: LockOwner = { pid: process.pid, startedAt: readStartTime(process.pid) ?? '' };
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, JSON.stringify(own));
  try {
    for (;;) {
      // A link either appears whole or fails: nobody ever reads a half-written lock.
      if (await tryLink(draft, file)) return { lock: makeLock(file, own) };
      const owner = await readOwner(file);
      if (owner && isRunning(owner)) return { heldBy: owner };
      await setAside(file, owner);
    }
  } finally {
    await rm(draft, { force: true });
  }
}

/** Waits for a lock that its owner is expected to give back soon. */
export async function waitForLock(file: string, retryMs = 200): Promise<InstanceLock> {
  for (;;) {
    const outcome = await acquireLock(file);
    if ('lock' in outcome) return outcome.lock;
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

async function tryLink(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Removes a lock whose owner is gone. Two starts may judge the same stale file at once, so the file
 * is moved away first, and put back if what was moved turns out to be somebody's fresh lock.
 */
async function setAside(file: string, judged: LockOwner | undefined): Promise<void> {
  const aside = `${file}.stale.${process.pid}`;
  try {
    await rename(file, aside);
  } catch {
    return; // Somebody else moved it: look again.
  }
  const moved = await readOwner(aside);
  if (JSON.stringify(moved) !== JSON.stringify(judged)) await tryLink(aside, file);
  await rm(aside, { force: true });
}

function makeLock(file: string, own: LockOwner): InstanceLock {
  return {
    async release() {
      const owner = await readOwner(file);
      if (owner?.pid === own.pid && owner.startedAt === own.startedAt) await rm(file, { force: true });
    },
  };
}

async function readOwner(file: string): Promise<LockOwner | undefined> {
  try {
    const owner = JSON.parse(await readFile(file, 'utf8')) as LockOwner;
    return Number.isInteger(owner.pid) ? owner : undefined;
  } catch {
    return undefined;
  }
}

function isRunning(owner: LockOwner): boolean {
  return readStartTime(owner.pid) === owner.startedAt;
}

/** When a process started, in whatever form the system gives it, or undefined when it is gone. */
export function readStartTime(pid: number): string | undefined {
  try {
    if (process.platform === 'linux') return readLinuxStartTime(pid);
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

/** The start time counts from boot, so the boot's own id makes it unique across restarts. */
function readLinuxStartTime(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The command name may hold spaces and brackets; the plain fields begin after its last bracket.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z') return undefined;
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot}:${fields[19]}`;
}
