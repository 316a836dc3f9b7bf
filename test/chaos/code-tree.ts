import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.join(import.meta.dirname, '../..');

/** A change to one file of the source, which must stand there word by word. */
export interface Patch {
  file: string;
  find: string;
  replace: string;
}

const pipelineParts = ['pipelines', 'clickhouse', 'schemas', 'package.json', 'test/chaos/pipeline-entry.ts'];

/** A copy of the code with changes, complete enough to run pipelines from, or whatever these parts are enough for. */
export async function makeTree(
  folder: string,
  name: string,
  patches: readonly Patch[],
  parts: readonly string[] = pipelineParts,
): Promise<string> {
  const tree = path.join(folder, name);
  await mkdir(tree, { recursive: true });
  for (const part of parts) {
    await cp(path.join(root, part), path.join(tree, part), { recursive: true });
  }
  await symlink(path.join(root, 'node_modules'), path.join(tree, 'node_modules'));
  for (const patch of patches) await applyPatch(tree, patch);
  return tree;
}

async function applyPatch(tree: string, patch: Patch): Promise<void> {
  const target = path.join(tree, patch.file);
  await writeFile(target, await patched(patch, target));
}

/** The file with the change in it; throws where what is to be changed does not stand there exactly once. */
export async function patched({ file, find, replace }: Patch, source = path.join(root, file)): Promise<string> {
  const text = await readFile(source, 'utf8');
  const found = text.split(find).length - 1;
  if (found !== 1) throw new Error(`a patch no longer applies: ${file} has ${found} times:\n${find}`);
  return text.replace(find, () => replace);
}

/** The release that runs, under the next fold version. */
export const raiseFoldVersion: readonly Patch[] = [
  { file: 'pipelines/fold.ts', find: 'export const foldVersion = 1;', replace: 'export const foldVersion = 2;' },
];

/** An imagined release before, which did not know of pools and triggers yet: its cells are others. */
export const olderRelease: readonly Patch[] = [
  {
    file: 'pipelines/facts.ts',
    find: 'const sixth = isTask ? event.taskId : event.triggerType;',
    replace: "const sixth = isTask ? event.taskId : '';",
  },
  { file: 'pipelines/facts.ts', find: 'values[7] === event.pool', replace: "values[7] === ''" },
  {
    file: 'pipelines/facts.ts',
    find: '[...ofRun, event.taskType, event.pool]',
    replace: "[...ofRun, event.taskType, '']",
  },
];
