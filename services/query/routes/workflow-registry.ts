import type { Static } from 'typebox';
import { type StateChangeAnswerRow, stateChangesQuestion } from '../../../clickhouse/queries/state-entries.ts';
import {
  type SeenWorkflow,
  seenWorkflowQuestion,
  seenWorkflowsQuestion,
} from '../../../clickhouse/queries/workflows.ts';
import type { WorkspaceReader } from '../../../clickhouse/question.ts';
import { answers } from '../../../schemas/api/parts.ts';
import {
  DefinitionAnswer,
  DefinitionBody,
  DefinitionPutQuery,
  DefinitionQuery,
  DefinitionReceipt,
  DifferencesAnswer,
  DifferencesQuery,
  RegistryPath,
  VersionsAnswer,
  WorkflowsAnswer,
  WorkflowsQuery,
} from '../../../schemas/api/workflow-registry.ts';
import { definitionKey, definitionsCollection } from '../../simulator/seed-records.ts';
import { checkWorkflow } from '../../simulator/workflow-check.ts';
import { explainIf, orNull, readJson, toInstant } from '../answer-values.ts';
import { readCursor, writeCursor } from '../cursors.ts';
import { compareDefinitions } from '../definition-difference.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { type Declared, findDeclared, type Learned, learnWorkflow, listDeclared } from '../workflow-definitions.ts';

/** What workflows there are: as people declare them, or as telemetry shows them where nobody did. */
export const workflowRegistry: Family = {
  prefix: '/api/v1/workflows',
  tag: 'workflow registry',
  register(app: App, services: Services): void {
    registerList(app);
    registerDefinition(app, services);
    registerVersions(app);
    registerDifferences(app);
  },
};

function registerList(app: App): void {
  app.get(
    '',
    {
      schema: {
        summary: 'Workflows of the workspace, declared or seen in telemetry, by their id',
        querystring: WorkflowsQuery,
        response: answers(WorkflowsAnswer),
      },
    },
    async ({ query: { project, limit, cursor }, reader }) => {
      const [after] = cursor === undefined ? [''] : readCursor(cursor, ['string']);
      const [declared, seen] = await Promise.all([
        listDeclared(reader),
        reader.ask(seenWorkflowsQuestion, { after, limit: mostSeen }),
      ]);
      const wanted = declared.filter(
        (one) => one.workflow > after && (project === undefined || one.project === project),
      );
      const names = new Set([
        ...wanted.map(({ workflow }) => workflow),
        ...seenOf(seen, project).map((one) => one.workflow_id),
      ]);
      const page = [...names].toSorted().slice(0, limit);
      const items = page.flatMap((name) => describeWorkflow(name, wanted, seen));
      return { items, next_cursor: names.size > limit ? writeCursor([page.at(-1) ?? '']) : null };
    },
  );
}

/** A workspace with more workflows than this is asked for by the cursor. */
const mostSeen = 5_000;

const seenOf = (seen: readonly SeenWorkflow[], project: string | undefined): SeenWorkflow[] =>
  seen.filter((one) => project === undefined || one.project === project);

type Item = Static<typeof WorkflowsAnswer>['items'][number];

/** One for each project that declares it, or one for all that telemetry shows of it. */
function describeWorkflow(name: string, declared: readonly Declared[], seen: readonly SeenWorkflow[]): Item[] {
  const own = seen.filter(({ workflow_id }) => workflow_id === name);
  const shown = {
    workflow_id: name,
    sources: own.map(({ source }) => source),
    finished_executions: own.reduce((sum, { finished_executions }) => sum + finished_executions, 0),
    last_day: own.length === 0 ? null : dayOf(Math.max(...own.map(({ last_window_s }) => last_window_s))),
  };
  const entries = declared.filter(({ workflow }) => workflow === name);
  if (entries.length === 0) {
    const version = own.flatMap(({ versions }) => versions).at(-1) ?? null;
    return [
      { ...shown, origin: 'learned', project: orNull(own[0]?.project ?? ''), name: null, version, revision: null },
    ];
  }
  return entries.map(({ project, value, revision }) => {
    const [title, version] = [value.name, value.version].map((text) => (typeof text === 'string' ? text : null));
    return { ...shown, origin: 'declared', project, name: title ?? null, version: version ?? null, revision };
  });
}

const dayOf = (seconds: number): string => toInstant(seconds * 1000).slice(0, 10);

function registerDefinition(app: App, { state }: Services): void {
  app.get(
    '/:workflow_id',
    {
      schema: {
        summary: 'Definition of a workflow, declared or learned',
        params: RegistryPath,
        querystring: DefinitionQuery,
        response: answers(DefinitionAnswer),
      },
    },
    async ({ params: { workflow_id }, query: { project, source = '' }, reader }) => {
      const declared = source === '' ? await findDeclared(reader, workflow_id, project) : null;
      if (declared !== null) return describeDeclared(declared);
      const learned = project === undefined ? await learnWorkflow(reader, workflow_id, source) : null;
      if (learned === null) throw new ApiError('not_found', 'The workspace knows no such workflow.');
      return describeLearned(workflow_id, learned);
    },
  );
  app.put(
    '/:workflow_id',
    {
      config: { role: 'operator' },
      schema: {
        summary: 'Declare a workflow, or change what was declared',
        description:
          'Answered when it can be read back. A definition with mistakes is refused, and all of them are named.',
        params: RegistryPath,
        querystring: DefinitionPutQuery,
        body: DefinitionBody,
        response: answers(DefinitionReceipt),
      },
    },
    async ({ params: { workflow_id }, query, body, reader, caller, id: requestId }) => {
      const { project, reason, expected_revision: expectedRevision } = query;
      refuseMistakes(workflow_id, body);
      const key = definitionKey({ workspace: reader.workspace, project }, workflow_id);
      const entry = { collection: definitionsCollection, key };
      const value = { ...body, project };
      const receipt = await state.put({ reader, caller, requestId }, entry, value, { reason, expectedRevision });
      const { revision, previousRevision } = receipt;
      return { workflow_id, project, revision, previous_revision: previousRevision === 0 ? null : previousRevision };
    },
  );
}

function refuseMistakes(id: string, body: Record<string, unknown>): void {
  const checked = checkWorkflow(body);
  const problems = 'problems' in checked ? checked.problems : [];
  if (body.id !== undefined && body.id !== id) {
    problems.unshift({
      path: 'id',
      message: 'is another one than in the address',
      remedy: `write ${JSON.stringify(id)}`,
    });
  }
  if (problems.length === 0) return;
  const [{ path, message }] = problems;
  const first = `${path === '' ? 'the workflow' : path} ${message}`;
  throw new ApiError('definition_refused', `The definition has ${problems.length} mistakes; ${first}.`, {
    problems: problems.slice(0, 100),
  });
}

function describeDeclared({ workflow, project, value, revision, changedBy, changedAtMs }: Declared) {
  return {
    workflow_id: workflow,
    origin: 'declared',
    project,
    version: typeof value.version === 'string' ? value.version : null,
    revision,
    changed_by: changedBy,
    changed_at: toInstant(changedAtMs),
    definition: value,
    basis: null,
    reasons: {},
  };
}

function describeLearned(workflowId: string, learned: Learned): Static<typeof DefinitionAnswer> {
  const { definition, source, project, executions, versions, tellsDependencies } = learned;
  return {
    workflow_id: workflowId,
    origin: 'learned',
    project: orNull(project),
    version: definition.version,
    revision: null,
    changed_by: null,
    changed_at: null,
    definition,
    basis: { source, executions, versions },
    reasons: {
      revision: 'nobody declared it',
      ...explainIf(!tellsDependencies, { 'definition.tasks.after': 'the source does not tell what tasks wait for' }),
    },
  };
}

const mostVersions = 1_000;

async function readChanges(
  reader: WorkspaceReader,
  workflow: string,
  project: string,
): Promise<StateChangeAnswerRow[]> {
  const key = definitionKey({ workspace: reader.workspace, project }, workflow);
  return reader.ask(stateChangesQuestion, { collection: definitionsCollection, key, limit: mostVersions });
}

/** The project that is named, or the one that declares the workflow now, or the usual one. */
const projectOf = async (reader: WorkspaceReader, workflow: string, project: string | undefined): Promise<string> =>
  project ?? (await findDeclared(reader, workflow))?.project ?? 'default';

function registerVersions(app: App): void {
  app.get(
    '/:workflow_id/versions',
    {
      schema: {
        summary: 'Versions of a workflow: every declaration, and what telemetry names',
        params: RegistryPath,
        querystring: DefinitionQuery,
        response: answers(VersionsAnswer),
      },
    },
    async ({ params: { workflow_id: workflow }, query: { project: named, source }, reader }) => {
      const project = await projectOf(reader, workflow, named);
      const [changes, all] = await Promise.all([
        readChanges(reader, workflow, project),
        reader.ask(seenWorkflowQuestion, { workflow, limit: 100 }),
      ]);
      const seen = all.filter((one) => source === undefined || one.source === source);
      if (changes.length + seen.length === 0) throw new ApiError('not_found', 'The workspace knows no such workflow.');
      return {
        workflow_id: workflow,
        project: changes.length === 0 ? null : project,
        declared: changes.map(describeChange),
        seen: [...new Set(seen.flatMap(({ versions }) => versions))].toSorted(),
      };
    },
  );
}

function describeChange({ revision, value, deleted, changed_by, changed_at_ms, reason }: StateChangeAnswerRow) {
  const { version } = (readJson(value) ?? {}) as { version?: unknown };
  return {
    revision,
    version: typeof version === 'string' ? version : null,
    removed: deleted,
    changed_by,
    changed_at: toInstant(changed_at_ms),
    reason: orNull(reason),
  };
}

function registerDifferences(app: App): void {
  app.get(
    '/:workflow_id/differences',
    {
      schema: {
        summary: 'What changed between two declarations of a workflow',
        params: RegistryPath,
        querystring: DifferencesQuery,
        response: answers(DifferencesAnswer),
      },
    },
    async ({ params: { workflow_id: workflow }, query: { project: named, from, to }, reader }) => {
      const project = await projectOf(reader, workflow, named);
      const changes = await readChanges(reader, workflow, project);
      const after = to === undefined ? changes[0] : changes.find(({ revision }) => revision === to);
      if (after === undefined) throw new ApiError('not_found', 'There is no such declaration of the workflow.');
      const before =
        from === undefined ? changes[changes.indexOf(after) + 1] : changes.find(({ revision }) => revision === from);
      if (before === undefined) throw new ApiError('not_found', 'There is no declaration to compare it with.');
      const differences = compareDefinitions(readJson(before.value), readJson(after.value));
      return { workflow_id: workflow, project, from: before.revision, to: after.revision, differences };
    },
  );
}
