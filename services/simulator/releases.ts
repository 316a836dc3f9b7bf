import { randomFor } from './seeds.ts';

const dayMs = 86_400_000;
const epochMs = Date.UTC(2025, 0);

/**
 * The version of a workflow on a day: teams release every few days, each at its own pace, for ever. What is written
 * in the definition is the line of releases that it belongs to.
 */
export function releasedVersion(workflowId: string, written: string, atMs: number): string {
  const random = randomFor(0, workflowId, 'releases');
  const everyDays = 4 + random.below(9);
  const firstDay = random.below(everyDays);
  const release = Math.max(0, Math.floor((Math.floor((atMs - epochMs) / dayMs) + firstDay) / everyDays));
  return `${written}.${release}`;
}
