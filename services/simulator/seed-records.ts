import type { StateRecord } from '../../schemas/records.ts';
import type { WorkflowDefinition } from './workflow-model.ts';

export const definitionsCollection = 'workflow-definitions';

export interface SeedTarget {
  workspace: string;
  project: string;
  nowMs: number;
}

export const definitionKey = (
  { workspace, project }: Pick<SeedTarget, 'workspace' | 'project'>,
  workflowId: string,
): string => `${workspace}/${project}/${workflowId}`;

/** The record that registers a workflow in a project. */
export function registerDefinition(definition: WorkflowDefinition, target: SeedTarget): StateRecord {
  return {
    workspace: target.workspace,
    collection: definitionsCollection,
    key: definitionKey(target, definition.id),
    value: JSON.stringify({ ...definition, project: target.project }),
    changed_by: 'seed',
    reason: 'example workflow',
    changed_at: target.nowMs,
  };
}

/** Keys of the definitions that are there, after all changes in the order of the log. */
export function foldDefinitionKeys(records: Iterable<StateRecord>): Set<string> {
  const keys = new Set<string>();
  for (const { collection, key, value, deleted } of records) {
    if (collection !== definitionsCollection) continue;
    if (deleted === true || value == null) keys.delete(key);
    else keys.add(key);
  }
  return keys;
}
