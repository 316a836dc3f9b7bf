import type { Subject } from './store-questions.ts';

/** Every route that reads, from the API's own description of itself, with addresses that lead to something. */

interface Parameter {
  name: string;
  in: string;
  required?: boolean;
}

export interface ApiDescription {
  paths: Record<string, Record<string, { parameters?: Parameter[] }>>;
}

export interface ReadingRoute {
  /** Where a fleet without faults has none to show. */
  mayBeEmpty: boolean;
  /** As the API describes it, with the parameters that make it another question. */
  name: string;
  isAboutWorkflow: boolean;
  addressOf: (subject: AskedSubject) => string;
}

/** Telemetry to ask about, and what people have set up in its workspace. */
export interface AskedSubject extends Subject {
  places: Readonly<Record<string, string>>;
}

const ownPlaces: Record<string, (subject: AskedSubject) => string> = {
  workflow_id: ({ workflow }) => workflow,
  execution_id: ({ execution }) => execution,
};

/** Where another workflow than the subject's is what the route is about. */
const otherPlaces: Record<string, Record<string, string>> = {
  // Telemetry alone does not tell what changed between two versions.
  '/api/v1/workflows/{workflow_id}/differences': { workflow_id: 'declared_workflow' },
};

/** The last needs what is usual in weeks. */
const seekFaults = ['bottlenecks', 'patterns', 'anti-patterns', 'scores'];

const needed: Record<string, string> = { subject: 'task' };

/** What is asked besides what a route says when it is asked nothing more. */
const variants: Record<string, readonly ((subject: AskedSubject) => Record<string, string>)[]> = {
  '/api/v1/percentiles': [
    ({ workflow }) => ({ subject: 'task', workflow_id: workflow, group_by: 'task_id' }),
    ({ workflow }) => ({ subject: 'execution', workflow_id: workflow, time_range: '30m' }),
  ],
  '/api/v1/trends': [
    ({ workflow, task }) => ({ subject: 'task', workflow_id: workflow, task_id: task, compare: 'previous' }),
    ({ workflow }) => ({ subject: 'execution', workflow_id: workflow, time_range: '7d', step: '1h' }),
  ],
  '/api/v1/workflow-analytics/workflows/{workflow_id}/performance': [() => ({ time_range: '7d', step: '1h' })],
  '/api/v1/workflow-analytics/workflows/{workflow_id}/executions': [
    () => ({ status: 'failed', limit: '50' }),
    () => ({ status: 'running' }),
    () => ({ status: 'completed', time_range: '7d', limit: '200' }),
  ],
  '/api/workflows/{workflow_id}/executions': [
    () => ({ skip: '1000', limit: '100' }),
    () => ({ status: 'completed', limit: '50' }),
  ],
};

export function listReadingRoutes({ paths }: ApiDescription): ReadingRoute[] {
  return Object.entries(paths).flatMap(([template, { get }]) => {
    if (get === undefined) return [];
    const parameters = get.parameters ?? [];
    const mustAsk = parameters.filter((one) => one.in === 'query' && one.required);
    const base = Object.fromEntries(mustAsk.map(({ name }) => [name, requireValue(needed[name], name, template)]));
    const asks = [() => base, ...(variants[template] ?? [])];
    const inPath = parameters.filter((one) => one.in === 'path').map(({ name }) => name);
    return asks.map((ask, at) => toRoute(template, inPath, ask, at > 0));
  });
}

function toRoute(
  template: string,
  inPath: readonly string[],
  ask: (subject: AskedSubject) => Record<string, string>,
  isVariant: boolean,
): ReadingRoute {
  const shown = isVariant ? ask(shownSubject) : {};
  const search = Object.entries(shown).map(([name, value]) => `${name}=${value}`);
  return {
    name: search.length === 0 ? template : `${template}?${search.join('&')}`,
    mayBeEmpty: seekFaults.includes(template.split('/').at(-1) ?? ''),
    isAboutWorkflow: inPath.includes('workflow_id') || 'workflow_id' in shown,
    addressOf: (subject) => {
      const query = new URLSearchParams(ask(subject)).toString();
      const path = inPath.reduce((made, name) => {
        const other = otherPlaces[template]?.[name];
        const value =
          other === undefined ? (ownPlaces[name]?.(subject) ?? subject.places[name]) : subject.places[other];
        return made.replace(`{${name}}`, encodeURIComponent(requireValue(value, name, template)));
      }, template);
      return query === '' ? path : `${path}?${query}`;
    },
  };
}

const shownSubject: AskedSubject = {
  ...{ workspace: '', workflow: '*', task: '*', execution: '*', startSeconds: 0, endSeconds: 0, places: {} },
};

function requireValue(value: string | undefined, name: string, template: string): string {
  if (value === undefined) throw new Error(`${template} wants ${name}, and nothing here says what to put there`);
  return value;
}
