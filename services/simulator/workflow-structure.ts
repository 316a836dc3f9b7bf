import type { Problem } from './schema-check.ts';
import type { WorkflowSurroundings } from './workflow-check.ts';
import { asList, asObject, asTexts, type FoundTask, findAfter, findStages, type Loose } from './workflow-walk.ts';

/** What is wrong with how tasks belong together. The value may be of a wrong form; that is the schema's to say. */
export function checkStructure(value: unknown, surroundings: WorkflowSurroundings): Problem[] {
  const definition = asObject(value);
  const stages = findStages(definition);
  const tasks = stages.flat();
  return [
    ...findRepeatedIds(tasks),
    ...stages.flatMap(findCycles),
    ...tasks.flatMap(findWrongAfter),
    ...tasks.flatMap(findWrongJoin),
    ...tasks.flatMap(findWrongSwitch),
    ...tasks.flatMap(findWrongKind),
    ...tasks.flatMap(({ task, path }) => findWrongRanges(task, path)),
    ...findWrongReferences(definition, tasks, surroundings),
  ];
}

const problem = (path: string, message: string, remedy: string): Problem => ({ path, message, remedy });

function findRepeatedIds(tasks: FoundTask[]): Problem[] {
  const undoing = tasks.flatMap(({ task, path }) => {
    const { id } = asObject(task.compensation);
    return typeof id === 'string' ? [{ id, path: `${path}.compensation` }] : [];
  });
  const firstPaths = new Map<string, string>();
  const problems: Problem[] = [];
  for (const { id, path } of [...tasks, ...undoing]) {
    const first = firstPaths.get(id);
    if (id === '') continue;
    if (first === undefined) firstPaths.set(id, path);
    else
      problems.push(problem(`${path}.id`, `is ${id}, which ${first} is called already`, 'give each task its own id'));
  }
  return problems;
}

function findWrongAfter(found: FoundTask): Problem[] {
  const known = new Set(found.siblings.map(({ id }) => id));
  const after = findAfter(found);
  return after.flatMap(({ taskId, path }, index) => {
    if (after.findIndex((one) => one.taskId === taskId) < index) {
      return [problem(path, `names ${taskId} a second time`, 'name each task once')];
    }
    if (known.has(taskId)) return [];
    const near = [...known].filter((id) => id !== '' && id !== found.id).join(', ');
    return [problem(path, `waits for ${taskId}, which is no task beside it`, `name one of ${near}`)];
  });
}

/** Each circle once, as the path that leads back to where it begins. */
function findCycles(stage: FoundTask[]): Problem[] {
  const byId = new Map(stage.map((found) => [found.id, found]));
  const settled = new Set<string>();
  const problems: Problem[] = [];
  const visit = (found: FoundTask, trail: string[]): void => {
    const from = trail.indexOf(found.id);
    if (from >= 0) {
      const circle = [...trail.slice(from), found.id].reverse().join(' -> ');
      problems.push(problem(`${found.path}.after`, `makes a circle: ${circle}`, 'let one of them not wait'));
      return;
    }
    if (settled.has(found.id)) return;
    for (const { taskId } of findAfter(found)) {
      const next = byId.get(taskId);
      if (next !== undefined) visit(next, [...trail, found.id]);
    }
    settled.add(found.id);
  };
  for (const found of byId.values()) visit(found, []);
  return problems;
}

function findWrongJoin(found: FoundTask): Problem[] {
  const { task, path, id } = found;
  const count = asList(task.after).length;
  const problems: Problem[] = [];
  if (typeof task.join === 'number' && task.join > count) {
    problems.push(problem(`${path}.join`, `asks for ${task.join} of ${count} tasks`, `write a number up to ${count}`));
  }
  if (count === 0 && (task.runOn === 'failure' || task.cancelRest === true)) {
    const field = task.runOn === 'failure' ? 'runOn' : 'cancelRest';
    problems.push(problem(`${path}.${field}`, 'means nothing for a task that waits for none', 'name tasks in after'));
  }
  const isHandled = found.siblings.some(
    (other) =>
      (other.task.runOn === 'failure' || other.task.runOn === 'done') &&
      findAfter(other).some(({ taskId }) => taskId === id),
  );
  if (task.onError === 'handle' && !isHandled) {
    const remedy = `let a task with runOn failure or done wait for ${id}`;
    problems.push(problem(`${path}.onError`, 'leaves a failure to tasks after it, and there is none', remedy));
  }
  return problems;
}

function findWrongSwitch(found: FoundTask): Problem[] {
  const { task, path, siblings, id } = found;
  if (task.kind !== 'switch') return [];
  const cases = asList(task.cases).map(asObject);
  const branches = [
    ...cases.map((branch, index) => ({ targets: branch.leadsTo, at: `${path}.cases[${index}].leadsTo` })),
    { targets: task.otherwise, at: `${path}.otherwise` },
  ];
  const problems = branches.flatMap(({ targets, at }) =>
    asTexts(targets).flatMap((target, index) => {
      const waiting = siblings.find((other) => other.id === target);
      const waits = waiting !== undefined && findAfter(waiting).some(({ taskId }) => taskId === id);
      const message = `leads to ${target}, which does not wait for ${id}`;
      return waits ? [] : [problem(`${at}[${index}]`, message, `name a task beside it whose after has ${id}`)];
    }),
  );
  const names = cases.map(({ name }) => name);
  names.forEach((name, index) => {
    if (name !== 'otherwise' && names.indexOf(name) === index) return;
    const message = `is ${JSON.stringify(name)}, which another branch is called`;
    problems.push(problem(`${path}.cases[${index}].name`, message, 'give each branch its own name'));
  });
  return problems;
}

function findWrongKind({ task, path, loops }: FoundTask): Problem[] {
  const problems: Problem[] = [];
  if (task.kind === 'loop') {
    const given = ['times', 'forEach', 'while'].filter((field) => task[field] !== undefined);
    if (given.length !== 1) {
      const message = given.length === 0 ? 'does not say how long it goes on' : `has ${given.join(' and ')}`;
      problems.push(problem(path, message, 'give exactly one of times, forEach and while'));
    }
  }
  if (task.kind === 'human' && task.answerOnTimeout !== undefined) {
    const answers = asList(task.answers).map((answer) => asObject(answer).answer);
    if (!answers.includes(task.answerOnTimeout)) {
      problems.push(problem(`${path}.answerOnTimeout`, 'is none of the answers', 'write one of them'));
    }
    if (task.timeoutMs === undefined) {
      problems.push(problem(`${path}.answerOnTimeout`, 'never counts without a timeout', 'set timeoutMs'));
    }
  }
  if (task.kind === 'transform' && task.scope === 'loop' && loops.length === 0) {
    problems.push(problem(`${path}.scope`, 'is loop, but the task is in none', 'leave it out'));
  }
  const undoing = asObject(task.compensation);
  for (const field of ['after', 'map', 'compensation', 'when', 'onError', 'cache']) {
    if (undoing[field] === undefined) continue;
    problems.push(problem(`${path}.compensation.${field}`, 'has no effect on what undoes a task', 'remove it'));
  }
  return problems;
}

/** Ranges whose ends are the wrong way round, wherever they stand in a task. */
function findWrongRanges(value: unknown, path: string): Problem[] {
  const problems: Problem[] = [];
  const { leastMs, mostMs, between, delayMs, maxDelayMs } = asObject(value);
  const swap = 'write the smaller one first';
  if (isAbove(leastMs, mostMs)) problems.push(problem(path, `is from ${leastMs} to ${mostMs}`, swap));
  const [least, most] = asList(between);
  if (isAbove(least, most)) problems.push(problem(`${path}.between`, `is from ${least} to ${most}`, swap));
  if (isAbove(delayMs, maxDelayMs)) {
    problems.push(problem(`${path}.maxDelayMs`, `is ${maxDelayMs}, below delayMs`, 'raise it, or lower delayMs'));
  }
  for (const [name, inner] of Object.entries(asObject(value))) {
    // Tasks of a loop are visited by themselves.
    if (name !== 'tasks') problems.push(...findWrongRanges(inner, `${path}.${name}`));
  }
  return problems;
}

const isAbove = (one: unknown, other: unknown): boolean =>
  typeof one === 'number' && typeof other === 'number' && one > other;

function findWrongReferences(definition: Loose, tasks: FoundTask[], surroundings: WorkflowSurroundings): Problem[] {
  const { pools, workflows } = surroundings;
  const problems: Problem[] = [];
  const undoing = tasks.map(({ task, path }) => ({ task: asObject(task.compensation), path: `${path}.compensation` }));
  for (const { task, path } of [...tasks, ...undoing]) {
    if (pools !== undefined && typeof task.pool === 'string' && !pools.has(task.pool)) {
      problems.push(
        problem(`${path}.pool`, `is ${task.pool}, which is no pool`, `name one of ${[...pools].join(', ')}`),
      );
    }
    problems.push(...findWrongWorkflow(task.workflow, `${path}.workflow`, definition.id, workflows));
  }
  return [
    ...problems,
    ...findWrongWorkflow(asObject(definition.trigger).workflow, 'trigger.workflow', definition.id, workflows),
  ];
}

function findWrongWorkflow(given: unknown, path: string, own: unknown, known?: ReadonlySet<string>): Problem[] {
  if (typeof given !== 'string') return [];
  if (given === own) return [problem(path, 'is this workflow itself, which would never end', 'name another one')];
  if (known === undefined || known.has(given)) return [];
  return [problem(path, `is ${given}, which is no workflow`, `name one of ${[...known].join(', ')}`)];
}
