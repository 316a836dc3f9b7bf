import { parseExpression } from './expressions.ts';
import { checkSchema, type Formats, type Problem, type Schema } from './schema-check.ts';
import type { WorkflowDefinition } from './workflow-model.ts';
import { checkExpressions } from './workflow-names.ts';
import schema from './workflow-schema.json' with { type: 'json' };
import { checkStructure } from './workflow-structure.ts';

/** What a definition may refer to outside of itself; left out, such names are not checked. */
export interface WorkflowSurroundings {
  pools?: ReadonlySet<string>;
  workflows?: ReadonlySet<string>;
}

export type CheckedWorkflow = { definition: WorkflowDefinition } | { problems: Problem[] };

/**
 * Tells a workflow definition from a value that is none. A wrong one gets all of its problems at once: those of its
 * form from the schema, and those that no schema can say, such as a circle of tasks that wait for each other.
 */
export function checkWorkflow(value: unknown, surroundings: WorkflowSurroundings = {}): CheckedWorkflow {
  const problems = [
    ...checkSchema(value, schema as unknown as Schema, formats),
    ...checkStructure(value, surroundings),
    ...checkExpressions(value),
  ];
  return problems.length > 0 ? { problems } : { definition: value as WorkflowDefinition };
}

const formats: Formats = {
  expression: (text) => {
    try {
      parseExpression(text);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  },
  cron: findCronMistake,
};

const cronFields = [
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day of the month', least: 1, most: 31 },
  { name: 'month', least: 1, most: 12 },
  { name: 'day of the week', least: 0, most: 7 },
];

function findCronMistake(cron: string): string | null {
  const fields = cron.trim().split(/\s+/);
  if (fields.length !== cronFields.length) return `it has ${fields.length} fields, not 5`;
  const wrong = cronFields.find((field, index) => !fields[index].split(',').every((part) => isCronPart(part, field)));
  return wrong === undefined
    ? null
    : `the ${wrong.name} must be from ${wrong.least} to ${wrong.most}, with *, lists, ranges or steps`;
}

function isCronPart(part: string, { least, most }: { least: number; most: number }): boolean {
  const match = /^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part);
  if (match === null) return false;
  const [, first = String(least), last = first, step = '1'] = match;
  return Number(first) >= least && Number(last) <= most && Number(first) <= Number(last) && Number(step) > 0;
}

/** All problems as lines for people. */
export function formatWorkflowProblems(problems: readonly Problem[]): string {
  return problems
    .map(({ path, message, remedy }) => `${path === '' ? 'the workflow' : path} ${message} (${remedy})`)
    .join('\n');
}
