import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

type Tool = 'promtool' | 'amtool' | 'prometheus' | 'prometheus-alertmanager';

/** Where a program of Prometheus is on this machine; '' where it is not, which is said: such tests are left out, not passed. */
export function findTool(name: Tool): string {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const found = folders.map((folder) => path.join(folder, name)).find((file) => existsSync(file));
  if (found === undefined)
    console.warn(
      `${name} is not on this machine: its tests are skipped. Debian has it as prometheus and prometheus-alertmanager.`,
    );
  return found ?? '';
}

/** What the tool says; throws with its words when it finds fault. */
export function runTool(file: string, args: readonly string[]): string {
  try {
    return execFileSync(file, [...args], { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${file} ${args.join(' ')}:\n${stdout}${stderr}`);
  }
}
