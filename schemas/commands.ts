import type { CommandRecord, CommandRequestRecord } from './records.ts';

/** What orchestrators can be asked to do, and what each of it needs. */
export const commandKinds = [
  'cancel',
  'retry',
  'restart_task',
  'pause',
  'resume',
  'scale_pool',
  'change_concurrency',
  'apply_optimization',
] as const;
export type CommandKind = (typeof commandKinds)[number];

/** Fields of a request that say what it is about. */
const targets = ['workflow_id', 'execution_id', 'task_id', 'pool_id', 'optimization_id'] as const;
type Target = (typeof targets)[number];

/** What each kind is about: all of one of the lists. */
const needs: Record<CommandKind, readonly (readonly Target[])[]> = {
  cancel: [['execution_id']],
  retry: [['execution_id']],
  restart_task: [['execution_id', 'task_id']],
  pause: [['execution_id'], ['workflow_id']],
  resume: [['execution_id'], ['workflow_id']],
  scale_pool: [['pool_id']],
  change_concurrency: [['pool_id'], ['workflow_id']],
  apply_optimization: [['optimization_id']],
};

/** Parameters that are whole numbers, and their least. */
const numbers: Partial<Record<CommandKind, { parameter: string; least: number }>> = {
  scale_pool: { parameter: 'target_workers', least: 0 },
  change_concurrency: { parameter: 'concurrency', least: 1 },
};

const mostWorkers = 1_000_000;

/** What is wrong with a request of a kind, in words for whoever made it; null where nothing is. */
export function findCommandMistake(
  kind: CommandKind,
  about: Partial<Pick<CommandRequestRecord, Target>>,
  parameters: Readonly<Record<string, unknown>>,
): string | null {
  const given = (name: Target) => about[name] != null && about[name] !== '';
  if (!needs[kind].some((list) => list.every(given))) {
    return `${kind} needs ${needs[kind].map((list) => list.join(' and ')).join(', or ')}`;
  }
  const number = numbers[kind];
  if (number === undefined) return null;
  const value = parameters[number.parameter];
  const isRight = Number.isInteger(value) && Number(value) >= number.least && Number(value) <= mostWorkers;
  return isRight ? null : `${kind} needs parameters.${number.parameter}, a whole number from ${number.least}`;
}

const idBytes = 512;

/** What is wrong with a record of the topic, null where nothing is; the reasons are those of dead letters. */
export function checkCommandRecord(
  record: CommandRecord,
): { reason: 'missing_id' | 'id_too_long'; wrong: string } | null {
  const { workspace = 'default', request, outcome } = record;
  const id = request?.command_id ?? outcome?.command_id ?? '';
  for (const [field, text] of Object.entries({ workspace, command_id: id })) {
    if (text === '') return { reason: 'missing_id', wrong: `${field} is empty` };
    if (new TextEncoder().encode(text).length > idBytes) {
      return { reason: 'id_too_long', wrong: `${field} has more than ${idBytes} bytes` };
    }
  }
  return null;
}
