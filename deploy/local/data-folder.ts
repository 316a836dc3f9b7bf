import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { acquireLock, type InstanceLock } from './instance-lock.ts';

/** A refusal that the user can act on; its message is shown as it stands. */
class DataFolderRefused extends Error {
  override name = 'DataFolderRefused';
}

/** The file by which we know a folder as one of ours, and may therefore delete it. */
const markerName = 'weir-data.txt';
const markerText =
  'This folder was made by Weir: data of its embedded Kafka and ClickHouse. `npm start -- --reset` deletes it.\n';

/** Takes hold of the data folder, makes it when it is not there, and empties it first when asked to. */
export async function openDataFolder(folder: string, reset: boolean): Promise<InstanceLock> {
  await checkOurs(folder);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, markerName), markerText);
  const outcome = await acquireLock(path.join(folder, 'weir.lock'));
  if ('heldBy' in outcome) {
    throw new DataFolderRefused(
      `Weir already runs on ${folder} (process ${outcome.heldBy.pid}). Stop that one first, or start beside it with --data and another folder.`,
    );
  }
  if (reset) await emptyFolder(folder);
  return outcome.lock;
}

/** Whatever is not empty and bears no mark of ours is somebody else's, and is neither used nor deleted. */
async function checkOurs(folder: string): Promise<void> {
  if (!existsSync(folder) || existsSync(path.join(folder, markerName))) return;
  const entries = await readdir(folder);
  if (entries.length === 0) return;
  throw new DataFolderRefused(
    `${folder} is not empty and was not made by Weir (it has no ${markerName}), so it is left alone. Name another folder with --data.`,
  );
}

/** All but the lock that we hold and the mark. */
async function emptyFolder(folder: string): Promise<void> {
  for (const entry of await readdir(folder)) {
    if (entry !== 'weir.lock' && entry !== markerName) await rm(path.join(folder, entry), { recursive: true });
  }
}
