import type { OrchestratorSpec } from './fleet.ts';
import type { Orchestrator } from './orchestrator.ts';
import type { Play } from './play.ts';
import type { ExecutionChange } from './play-changes.ts';
import type { Random } from './random.ts';
import type { RunStory } from './telemetry.ts';
import type { Trigger, WorkflowDefinition } from './workflow-model.ts';

/** Why a run began. */
export type RunCause =
  | { kind: 'arrival'; scheduledAtMs: number }
  | { kind: 'chain'; executionId: string; workflowId: string }
  /** Somebody, or something, that no plan foresaw. */
  | { kind: 'extra'; by: string };

/** A run of a workflow with those that it started itself. */
export interface Run {
  owner: Orchestrator;
  definition: WorkflowDefinition;
  executionId: string;
  cause: RunCause;
  random: Random;
  variables: Record<string, unknown>;
  play: Play;
  story: RunStory;
  /** Of sub-workflows, by their execution id. */
  stories: Map<string, RunStory>;
  states: Map<string, string>;
  isOver: boolean;
  /** Whether it counts against the limit of its workflow. */
  isCounted: boolean;
  storyOf(change: ExecutionChange): RunStory;
}

interface RunFacts {
  owner: Orchestrator;
  definition: WorkflowDefinition;
  executionId: string;
  cause: RunCause;
  number: number;
  atMs: number;
  random: Random;
  quotaRatio: number;
}

/** Ids look as those of the system that makes them do; `serial` keeps them apart. */
export function runIdOf(
  { type }: OrchestratorSpec,
  definition: WorkflowDefinition,
  atMs: number,
  serial: string,
): string {
  const iso = new Date(atMs).toISOString().slice(0, 19);
  switch (type) {
    case 'airflow':
      return `${definition.id}/${definition.trigger.type === 'scheduled' ? 'scheduled' : 'manual'}__${iso}+00:00.${serial}`;
    case 'temporal':
      return `${definition.id}:${serial}`;
    case 'prefect':
      return `${definition.id}~${iso}~${serial}`;
    default:
      return `${definition.id}-${serial}`;
  }
}

export function beginRun(facts: RunFacts): Run {
  const { owner, definition, executionId, cause, random } = facts;
  const story = tellStory(facts);
  const stories = new Map([[executionId, story]]);
  const run: Omit<Run, 'play'> = {
    owner,
    definition,
    executionId,
    cause,
    random,
    variables: {},
    story,
    stories,
    states: new Map(),
    isOver: false,
    isCounted: false,
    storyOf: (change) => {
      const known = stories.get(change.executionId) ?? childStory(story, change);
      stories.set(change.executionId, known);
      return known;
    },
  };
  // The play is made with the run as its observer, so it comes right after.
  return run as Run;
}

function tellStory({ owner, definition, executionId, cause, number, atMs, random, quotaRatio }: RunFacts): RunStory {
  const { spec } = owner;
  const triggerTimeMs = cause.kind === 'arrival' ? cause.scheduledAtMs : atMs;
  const correlationId = `c-${executionId.slice(-12)}-${random.below(36 ** 4).toString(36)}`;
  return {
    workspace: spec.workspace,
    project: definition.project ?? 'main',
    workflowName: definition.name,
    source: spec.source,
    sourceVersion: spec.sourceVersion,
    environment: 'production',
    region: spec.region,
    orchestratorId: spec.id,
    tenant: `${spec.workspace}-${definition.project ?? 'main'}`,
    executionNumber: number,
    correlationId,
    ...describeTrigger(definition, cause, random),
    triggerTimeMs,
    triggerParameters: JSON.stringify({ number, requested_at: new Date(triggerTimeMs).toISOString() }),
    tags: definition.tags ?? [],
    labels: { ...definition.labels, team: definition.owner ?? 'platform' },
    quotaRatio,
  };
}

type TriggerFacts = Pick<
  RunStory,
  'triggerType' | 'triggerSource' | 'triggeredBy' | 'scheduleCron' | 'triggerEventType' | 'triggerEventId'
>;

const noTrigger = { scheduleCron: null, triggerEventType: null, triggerEventId: null };

function describeTrigger({ trigger, id }: WorkflowDefinition, cause: RunCause, random: Random): TriggerFacts {
  if (cause.kind === 'extra')
    return { ...noTrigger, triggerType: 'api', triggerSource: 'client', triggeredBy: cause.by };
  if (cause.kind === 'chain') {
    const { workflowId, executionId } = cause;
    return { ...noTrigger, triggerType: 'chain', triggerSource: workflowId, triggeredBy: executionId };
  }
  return { ...noTrigger, triggerType: trigger.type, ...describeSource(trigger, id, random) };
}

const people = ['amina', 'bela', 'chiara', 'dmitri', 'elif'] as const;

function describeSource(trigger: Trigger, id: string, random: Random): Partial<TriggerFacts> & SourceNames {
  switch (trigger.type) {
    case 'scheduled':
      return { triggerSource: `schedule:${id}`, triggeredBy: 'scheduler', scheduleCron: trigger.cron };
    case 'event': {
      const triggerEventId = `event-${random.below(2 ** 32).toString(16)}`;
      return {
        triggerSource: `topic:${trigger.event}`,
        triggeredBy: 'event-bus',
        triggerEventType: trigger.event,
        triggerEventId,
      };
    }
    case 'webhook':
      return { triggerSource: trigger.path, triggeredBy: 'webhook' };
    case 'chain':
      return { triggerSource: trigger.workflow, triggeredBy: trigger.workflow };
    default:
      return { triggerSource: trigger.type === 'api' ? 'client' : 'console', triggeredBy: random.pick(people) };
  }
}

type SourceNames = Pick<RunStory, 'triggerSource' | 'triggeredBy'>;

/** A sub-workflow belongs to whoever started it. */
function childStory(parent: RunStory, { definition, parentExecutionId }: ExecutionChange): RunStory {
  return {
    ...parent,
    ...noTrigger,
    project: definition.project ?? parent.project,
    workflowName: definition.name,
    triggerType: 'chain',
    triggerSource: 'parent',
    triggeredBy: parentExecutionId ?? parent.triggeredBy,
    tags: definition.tags ?? parent.tags,
    labels: { ...definition.labels, team: definition.owner ?? 'platform' },
  };
}
