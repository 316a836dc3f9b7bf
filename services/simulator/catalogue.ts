import type { ArrivalPattern, Rhythm } from './arrivals.ts';
import { meanDurationMs } from './durations.ts';
import type { StageTask } from './incident-stage.ts';
import { randomFor } from './seeds.ts';
import type { TaskDefinition, WorkflowDefinition } from './workflow-model.ts';

/** A workflow as the world knows it: who runs it, and when. */
export interface CatalogueEntry {
  definition: WorkflowDefinition;
  orchestratorId: string;
  pattern: ArrivalPattern;
}

interface Habit {
  orchestratorId: string;
  /** For those without a schedule. */
  perDay?: number;
  rhythm?: Rhythm;
  /** Up to so many runs at once. */
  burst?: number;
}

/** What is known of the workflows that come with the simulator; any other gets a habit from its name. */
const habits: Record<string, Habit> = {
  orders_etl: { orchestratorId: 'airflow-prod' },
  data_quality: { orchestratorId: 'airflow-prod' },
  data_pipeline: { orchestratorId: 'airflow-prod' },
  nightly_close: { orchestratorId: 'airflow-prod' },
  monthly_billing: { orchestratorId: 'airflow-prod' },
  order_saga: { orchestratorId: 'temporal-shop', perDay: 620, rhythm: 'shop' },
  quote_insurance: { orchestratorId: 'temporal-shop', perDay: 700, rhythm: 'shop' },
  approve_expense: { orchestratorId: 'temporal-shop', perDay: 80, rhythm: 'office' },
  train_ranker: { orchestratorId: 'prefect-ml' },
  count_words: { orchestratorId: 'prefect-ml', perDay: 220, rhythm: 'office' },
  conditional_workflow: { orchestratorId: 'prefect-ml', perDay: 90, rhythm: 'office' },
  ci_build: { orchestratorId: 'argo-ci', perDay: 330, rhythm: 'office', burst: 3 },
  basic_sequence: { orchestratorId: 'argo-ci', perDay: 40, rhythm: 'flat' },
  parallel_processing: { orchestratorId: 'argo-ci', perDay: 80, rhythm: 'office' },
  encode_video: { orchestratorId: 'k8s-media', perDay: 330, rhythm: 'shop', burst: 5 },
  moderate_content: { orchestratorId: 'k8s-media', perDay: 100, rhythm: 'shop' },
  aggregate_sensors: { orchestratorId: 'edge-engine' },
};

const orchestratorIds = ['airflow-prod', 'temporal-shop', 'prefect-ml', 'argo-ci', 'k8s-media', 'edge-engine'];

export function catalogueOf(definitions: readonly WorkflowDefinition[]): CatalogueEntry[] {
  return definitions.map((definition) => {
    const habit = habits[definition.id] ?? guessHabit(definition);
    return { definition, orchestratorId: habit.orchestratorId, pattern: patternOf(definition, habit) };
  });
}

function guessHabit({ id }: WorkflowDefinition): Habit {
  const random = randomFor(0, id);
  return { orchestratorId: random.pick(orchestratorIds), perDay: 40 + random.below(80), rhythm: 'office' };
}

function patternOf({ trigger }: WorkflowDefinition, habit: Habit): ArrivalPattern {
  if (trigger.type === 'scheduled') return { kind: 'schedule', cron: trigger.cron };
  if (trigger.type === 'chain') {
    return { kind: 'chain', afterWorkflowId: trigger.workflow, on: trigger.on ?? 'completed', ratio: 1 };
  }
  const { perDay = 60, rhythm = 'office', burst } = habit;
  if (burst === undefined) return { kind: 'poisson', perDay, rhythm };
  return { kind: 'bursts', perDay: (2 * perDay) / (1 + burst), runsMost: burst, rhythm };
}

/** Every task of a definition, those inside loops, compensations and error handlers included. */
export function* everyTask(definition: WorkflowDefinition): Generator<TaskDefinition> {
  yield* walk(definition.tasks);
  yield* walk(definition.onFailure ?? []);
}

function* walk(tasks: readonly TaskDefinition[]): Generator<TaskDefinition> {
  for (const task of tasks) {
    yield task;
    if (task.compensation !== undefined) yield task.compensation;
    if (task.kind === 'loop') yield* walk(task.tasks);
  }
}

/** Tasks that take a slot and run in nearly every execution: the targets of incidents. */
export function workTasksOf({ definition }: CatalogueEntry): StageTask[] {
  const tasks: StageTask[] = [];
  for (const task of definition.tasks) {
    if (task.kind !== 'work' || task.when !== undefined || (task.runOn ?? 'success') !== 'success') continue;
    if (task.cache !== undefined || isBehindSwitch(definition, task.id)) continue;
    const { id: taskId, type, operator, pool } = task;
    const hasTimeout = task.timeoutMs !== undefined || definition.timeoutMs !== undefined;
    const expectedMs = meanDurationMs(task.durationMs);
    tasks.push({ workflowId: definition.id, taskId, type, operator, pool, hasTimeout, expectedMs });
  }
  return tasks;
}

function isBehindSwitch({ tasks }: WorkflowDefinition, taskId: string): boolean {
  return tasks.some((task) => {
    if (task.kind !== 'switch') return false;
    return task.cases.some((branch) => branch.leadsTo.includes(taskId)) || (task.otherwise ?? []).includes(taskId);
  });
}
