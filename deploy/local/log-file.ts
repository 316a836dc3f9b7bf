import { readFile, rename, stat } from 'node:fs/promises';

/** Half an hour of a broken server's complaints fits; more than two such files are never kept. */
const fullBytes = 10_000_000;

/** Sets a log that has grown large aside, at a start, so that a folder does not fill up over the months. */
export async function rotateLog(logFile: string): Promise<void> {
  const sizeBytes = await stat(logFile).then(
    (entry) => entry.size,
    () => 0,
  );
  if (sizeBytes > fullBytes) await rename(logFile, `${logFile}.1`);
}

/** The last lines of a log, for a message that must explain why something did not start. */
export async function readTail(logFile: string, characters = 2000): Promise<string> {
  return readFile(logFile, 'utf8').then(
    (text) => text.slice(-characters),
    () => '(there is no log)',
  );
}
