import { type Expression, findNames, parseExpression } from './expressions.ts';
import type { Problem } from './schema-check.ts';
import { asList, asObject, type FoundTask, findStages, type Loose } from './workflow-walk.ts';

/** An expression with its place and the names that may stand in it. */
interface FoundExpression {
  text: unknown;
  path: string;
  names: ReadonlySet<string>;
}

/** Names in expressions that nothing gives a value to: nearly always they are misspelt. */
export function checkExpressions(value: unknown): Problem[] {
  const definition = asObject(value);
  const tasks = findStages(definition).flat();
  const taskIds = new Set(tasks.map(({ id }) => id));
  const everywhere = new Set(['tasks', 'execution', ...Object.keys(asObject(definition.variables)), ...findSet(tasks)]);
  const found = [
    ...fieldsOf(definition.output, 'output', everywhere),
    { text: asObject(definition.trigger).when, path: 'trigger.when', names: new Set(['event']) },
    ...tasks.flatMap((task) => findInTask(task, everywhere)),
  ];
  return found.flatMap((expression) => checkNames(expression, taskIds));
}

function findSet(tasks: FoundTask[]): string[] {
  return tasks.flatMap(({ task }) => Object.keys(asObject(task.set)));
}

function findInTask({ task, path, loops }: FoundTask, everywhere: ReadonlySet<string>): FoundExpression[] {
  const beside = new Set([...everywhere, ...loops.flatMap((loop) => ['iteration', nameOfItem(loop)])]);
  const map = asObject(task.map);
  const inside = new Set([...beside, ...(task.map === undefined ? [] : ['index', nameOfItem(map)])]);
  const one = (value: unknown, field: string, names: ReadonlySet<string>) => ({
    text: value,
    path: `${path}.${field}`,
    names,
  });
  const eachIteration = new Set([...beside, 'iteration']);
  return [
    one(task.when, 'when', beside),
    one(map.over, 'map.over', beside),
    one(task.times, 'times', beside),
    one(task.forEach, 'forEach', beside),
    one(task.while, 'while', eachIteration),
    one(asObject(task.cache).key, 'cache.key', inside),
    ...asList(task.after).map((entry, index) => one(asObject(entry).when, `after[${index}].when`, beside)),
    ...asList(task.cases).map((entry, index) => one(asObject(entry).when, `cases[${index}].when`, beside)),
    ...fieldsOf(task.set, `${path}.set`, beside),
    ...fieldsOf(task.input, `${path}.input`, inside),
    ...producedOf(task, path, inside),
    ...producedOf(asObject(task.compensation), `${path}.compensation`, inside),
    ...fieldsOf(asObject(task.compensation).input, `${path}.compensation.input`, inside),
  ];
}

const nameOfItem = (spec: Loose): string => (typeof spec.as === 'string' ? spec.as : 'item');

function fieldsOf(value: unknown, path: string, names: ReadonlySet<string>): FoundExpression[] {
  return Object.entries(asObject(value)).map(([name, text]) => ({ text, path: `${path}.${name}`, names }));
}

function producedOf(task: Loose, path: string, names: ReadonlySet<string>): FoundExpression[] {
  return Object.entries(asObject(task.produces)).map(([name, produced]) => ({
    text: asObject(produced).from,
    path: `${path}.produces.${name}.from`,
    names,
  }));
}

function checkNames({ text, path, names }: FoundExpression, taskIds: ReadonlySet<string>): Problem[] {
  const expression = typeof text === 'string' ? parseOrNull(text) : null;
  if (expression === null) return [];
  return findNames(expression).flatMap(({ name, field }) => {
    if (!names.has(name)) {
      return [{ path, message: `names ${name}, which nothing sets`, remedy: `known are ${[...names].join(', ')}` }];
    }
    if (name !== 'tasks' || field === null || taskIds.has(field)) return [];
    const remedy = `known are ${[...taskIds].join(', ')}`;
    return [{ path, message: `reads tasks.${field}, which is no task`, remedy }];
  });
}

/** What cannot be read is the schema's to report. */
function parseOrNull(text: string): Expression | null {
  try {
    return parseExpression(text);
  } catch {
    return null;
  }
}
