import {
  executionHeadQuestion,
  newestExecutionsQuestion,
  type SeenWorkflow,
  seenTasksQuestion,
  seenWorkflowQuestion,
} from '../../clickhouse/queries/workflows.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import { definitionKey, definitionsCollection } from '../simulator/seed-records.ts';
import { ApiError } from './errors.ts';
import { type LearnedDefinition, learnDefinition } from './learned-definition.ts';
import { listSetUp, readSetUp, type SetUp } from './state-desk.ts';

export type Definition = Record<string, unknown>;

export interface Declared extends SetUp<Definition> {
  project: string;
  workflow: string;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Definitions of a workspace, by project and id. */
export async function listDeclared(reader: WorkspaceReader): Promise<Declared[]> {
  const entries = await listSetUp<Definition>(reader, definitionsCollection);
  return entries.flatMap((entry) => {
    const [project, workflow] = [textOf(entry.value.project), textOf(entry.value.id)];
    // What stands under another name than it says was put there by nobody of ours.
    const isSound = entry.key === definitionKey({ workspace: reader.workspace, project }, workflow);
    return isSound ? [{ ...entry, project, workflow }] : [];
  });
}

/** The one project that declares a workflow, or the answer that names the choices; null where none does. */
export async function findDeclared(reader: WorkspaceReader, workflow: string, project = ''): Promise<Declared | null> {
  if (project !== '') {
    const key = definitionKey({ workspace: reader.workspace, project }, workflow);
    const entry = await readSetUp<Definition>(reader, { collection: definitionsCollection, key });
    return entry === null ? null : { ...entry, project, workflow };
  }
  const found = (await listDeclared(reader)).filter((one) => one.workflow === workflow);
  if (found.length > 1) {
    const projects = found.map((one) => one.project);
    throw new ApiError('ambiguous_project', `The workflow is declared by ${found.length} projects.`, { projects });
  }
  return found[0] ?? null;
}

export interface Learned {
  definition: LearnedDefinition;
  source: string;
  project: string;
  executions: number;
  versions: string[];
  tellsDependencies: boolean;
}

/** Newest executions that a definition is learned from; more would hold tasks that are gone. */
const learnedFrom = 20;
const mostSources = 100;

/** A workflow as its newest executions show it; null where the workspace has none of it. */
export async function learnWorkflow(
  reader: WorkspaceReader,
  workflow: string,
  source: string,
): Promise<Learned | null> {
  const seen = await findSeen(reader, workflow, source);
  if (seen === null) return null;
  const newest = await reader.ask(newestExecutionsQuestion, { workflow, source: seen.source, limit: 2 * learnedFrom });
  const executions = [...new Set(newest.map(({ execution_id }) => execution_id))].slice(0, learnedFrom);
  const [execution] = executions;
  const [[told], tasks] =
    execution === undefined
      ? [[], []]
      : await Promise.all([
          reader.ask(executionHeadQuestion, { source: seen.source, execution }),
          reader.ask(seenTasksQuestion, { source: seen.source, executions }),
        ]);
  const version = told?.workflow_version ?? seen.versions.at(-1) ?? '';
  const head = { id: workflow, name: told?.workflow_name ?? '', version, executions: executions.length };
  return {
    definition: learnDefinition(head, tasks),
    source: seen.source,
    project: seen.project,
    executions: executions.length,
    versions: seen.versions,
    tellsDependencies: tasks.length < 2 || tasks.some(({ after }) => after.length > 0),
  };
}

async function findSeen(reader: WorkspaceReader, workflow: string, source: string): Promise<SeenWorkflow | null> {
  const all = await reader.ask(seenWorkflowQuestion, { workflow, limit: mostSources });
  const seen = all.filter((one) => source === '' || one.source === source);
  if (seen.length > 1) {
    const sources = seen.map((one) => one.source);
    throw new ApiError('ambiguous_source', `The id is used by ${seen.length} sources.`, { sources });
  }
  return seen[0] ?? null;
}
