import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openDataFolder } from '../../../deploy/local/data-folder.ts';
import { acquireLock } from '../../../deploy/local/instance-lock.ts';
import { launch } from '../../support/launched.ts';

const holder = path.join(import.meta.dirname, '../../support/lock-holder.ts');
let parent: string;
let folder: string;

beforeEach(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'weir-data-'));
  folder = path.join(parent, 'data');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

test('a reset empties a folder of ours', async () => {
  const lock = await openDataFolder(folder, false);
  await writeFile(path.join(folder, 'old'), 'data');
  await lock.release();
  await (await openDataFolder(folder, true)).release();
  expect(existsSync(path.join(folder, 'old'))).toBe(false);
});

test("somebody else's folder is neither used nor deleted", async () => {
  await writeFile(path.join(parent, 'thesis.txt'), 'years of work');
  await expect(openDataFolder(parent, true)).rejects.toThrow(/not made by Weir/);
  await expect(openDataFolder(parent, false)).rejects.toThrow(/--data/);
  expect(await readFile(path.join(parent, 'thesis.txt'), 'utf8')).toBe('years of work');
});

test('a folder in use is refused, reset included, until its owner is gone, even by kill -9', async () => {
  const owner = launch(holder, { args: [folder] });
  await owner.waitFor(/held/);
  await expect(openDataFolder(folder, true)).rejects.toThrow(`already runs on ${folder} (process ${owner.pid})`);
  owner.child.kill('SIGKILL');
  await owner.exited;
  await (await openDataFolder(folder, false)).release();
});

test('a process id that was given to somebody else since does not hold a lock', async () => {
  const file = path.join(parent, 'lock');
  await writeFile(file, JSON.stringify({ pid: process.pid, startedAt: 'another boot:1' }));
  const outcome = await acquireLock(file);
  expect('lock' in outcome).toBe(true);
});

test('of many that find the same stale lock, one gets it', async () => {
  const owner = launch(holder, { args: [folder] });
  await owner.waitFor(/held/);
  owner.child.kill('SIGKILL');
  await owner.exited;
  const rivals = Array.from({ length: 4 }, () => launch(holder, { args: [folder] }));
  await Promise.all(rivals.map((rival) => rival.waitFor(/held|already runs/)));
  expect(rivals.filter((rival) => rival.output().includes('held')).length).toBe(1);
  for (const rival of rivals) rival.child.kill('SIGKILL');
});
