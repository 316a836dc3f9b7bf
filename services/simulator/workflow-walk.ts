import { fieldPath } from './schema-check.ts';

/** A value that may be anything yet: a definition is walked also where parts of it are of the wrong form. */
export type Loose = Readonly<Record<string, unknown>>;

/** A task with its place. */
export interface FoundTask {
  task: Loose;
  id: string;
  path: string;
  /** Those beside it, with itself. */
  siblings: FoundTask[];
  /** The loops that it stands in, the innermost last. */
  loops: Loose[];
}

export const asObject = (value: unknown): Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Loose) : {};

export const asList = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Texts of a list; whatever else it holds is left to the schema. */
export const asTexts = (value: unknown): string[] => asList(value).filter((one) => typeof one === 'string');

export interface FoundAfter {
  taskId: string;
  path: string;
}

/** What a task waits for, in both forms that it may be written in. */
export function findAfter({ task, path }: FoundTask): FoundAfter[] {
  return asList(task.after).flatMap((entry, index) => {
    const taskId = typeof entry === 'string' ? entry : asObject(entry).task;
    return typeof taskId === 'string' ? [{ taskId, path: `${path}.after[${index}]` }] : [];
  });
}

/** Every list of tasks of a definition: its own, those in loops and those that handle its failure. */
export function findStages(definition: Loose): FoundTask[][] {
  return [...stagesOf(definition.tasks, 'tasks', []), ...stagesOf(definition.onFailure, 'onFailure', [])];
}

function stagesOf(tasks: unknown, path: string, loops: Loose[]): FoundTask[][] {
  const stage: FoundTask[] = [];
  for (const [index, value] of asList(tasks).entries()) {
    const task = asObject(value);
    const id = typeof task.id === 'string' ? task.id : '';
    stage.push({ task, id, path: `${path}[${index}]`, siblings: stage, loops });
  }
  const inner = stage.flatMap((found) =>
    stagesOf(found.task.tasks, fieldPath(found.path, 'tasks'), [...loops, found.task]),
  );
  return stage.length === 0 ? inner : [stage, ...inner];
}
