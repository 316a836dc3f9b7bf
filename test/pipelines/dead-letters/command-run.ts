import path from 'node:path';
import { type Launched, launch, pause } from '../../support/launched.ts';
import type { Telemetry } from '../../support/pipeline-process.ts';

const script = path.resolve(import.meta.dirname, '../../../pipelines/dead-letters/main.ts');

interface Answer {
  exitCode: number | null;
  output: string;
}

export function startCommand(
  telemetry: Telemetry,
  args: readonly string[],
  env: Record<string, string> = {},
): Launched {
  return launch(script, { args, env: { ...telemetry.env, ...env } });
}

/** Runs `npm run dead-letters -- …` on the test's own topics and database. */
export async function runCommand(
  telemetry: Telemetry,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Answer> {
  const launched = startCommand(telemetry, args, env);
  const { code } = await launched.exited;
  // The pipes may still hold the last lines when the process has ended.
  await pause(50);
  return { exitCode: code, output: launched.output() };
}

/** How many records the test's topics hold. */
export async function countLog(telemetry: Telemetry): Promise<number> {
  const topics = [telemetry.topics.executions, telemetry.topics.tasks];
  const offsets = await Promise.all(topics.map((topic) => telemetry.admin.fetchTopicOffsets(topic)));
  return offsets.flat().reduce((sum, { high }) => sum + Number(high), 0);
}
