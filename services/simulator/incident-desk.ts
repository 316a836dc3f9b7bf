import { workTasksOf } from './catalogue.ts';
import type { IncidentStage, PlannedIncident, Planted, StageTask } from './incident-stage.ts';
import { plants } from './incidents.ts';
import type { Orchestrator } from './orchestrator.ts';
import { randomFor } from './seeds.ts';
import { executionIdsMost, type TruthRecord } from './truth.ts';
import type { World } from './world.ts';

/** Looks of whoever is on duty, spread over an incident; the first ones are left to whatever begins by itself. */
const dutyCalls = 12;

/** Begins and ends the planned incidents of a world, and writes down what each of them touched. */
export class IncidentDesk {
  readonly #world: World;
  readonly #runListeners = new Set<(workflowId: string, executionId: string) => void>();
  readonly #endListeners = new Set<(workflowId: string, state: string) => void>();

  constructor(world: World, incidents: readonly PlannedIncident[]) {
    this.#world = world;
    for (const planned of incidents) world.engine.at(planned.startMs, () => this.#begin(planned));
  }

  runBegan(workflowId: string, executionId: string): void {
    for (const listener of this.#runListeners) listener(workflowId, executionId);
  }

  runEnded(workflowId: string, state: string): void {
    for (const listener of this.#endListeners) listener(workflowId, state);
  }

  #begin(planned: PlannedIncident): void {
    const owner = this.#ownerOf(planned.workflowId);
    const touched: string[] = [];
    const known = new Set<string>();
    const stage = this.#makeStage(planned, owner, (executionId) => {
      if (known.has(executionId)) return;
      known.add(executionId);
      if (touched.length < executionIdsMost) touched.push(executionId);
    });
    const planted = plants[planned.kind](stage);
    if (planned.kind !== 'missing_run') this.#callDuty(planned, () => known.size > 0);
    this.#world.engine.at(planned.endMs, () => {
      planted.end();
      this.#world.options.sink.truth(writeTruth(planned, planted, owner, touched, known.size));
    });
  }

  /** While nothing has met the incident, whoever is on duty begins a run by hand now and then, to see what is wrong. */
  #callDuty(planned: PlannedIncident, hasTouched: () => boolean): void {
    const { engine } = this.#world;
    const everyMs = (planned.endMs - planned.startMs) / dutyCalls;
    for (let call = 4; call < dutyCalls; call++) {
      engine.at(planned.startMs + Math.round(call * everyMs), () => {
        if (!hasTouched()) this.#world.startRun(planned.workflowId, { kind: 'extra', by: 'operator-on-duty' });
      });
    }
  }

  #ownerOf(workflowId: string): Orchestrator {
    const entry = this.#world.options.catalogue.find(({ definition }) => definition.id === workflowId);
    const owner = this.#world.orchestrators.get(entry?.orchestratorId ?? '');
    if (owner === undefined) throw new Error(`no orchestrator runs workflow ${workflowId}`);
    return owner;
  }

  #makeStage(planned: PlannedIncident, owner: Orchestrator, touch: (executionId: string) => void): IncidentStage {
    const world = this.#world;
    const own = world.options.catalogue.filter(({ orchestratorId }) => orchestratorId === owner.spec.id);
    return {
      get nowMs() {
        return world.engine.nowMs;
      },
      random: randomFor(world.options.seed, planned.id),
      planned,
      owner,
      workTasks: own.flatMap(workTasksOf),
      at: (ms, action) => void world.engine.at(ms, action),
      affect: (effects) => world.affect(effects),
      mute: (workflowId, onMissed) => world.mute(workflowId, onMissed),
      startRun: (workflowId, by) => world.startRun(workflowId, { kind: 'extra', by }),
      release: (workflowId, version) => world.release(workflowId, version),
      versionOf: (workflowId) => world.versionOf(workflowId),
      cancel: (executionId, reason) => world.runOf(executionId)?.play.cancel(reason) ?? false,
      onRun: (listener) =>
        listen(this.#runListeners, (workflowId: string, executionId: string) => {
          if (own.some(({ definition }) => definition.id === workflowId)) listener(workflowId, executionId);
        }),
      onRunEnd: (listener) => listen(this.#endListeners, listener),
      touch,
      poolOf: (task: StageTask) => owner.poolNamed(task.pool),
    };
  }
}

function listen<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

function writeTruth(
  planned: PlannedIncident,
  planted: Planted,
  { spec }: Orchestrator,
  executionIds: string[],
  executionsTouched: number,
): TruthRecord {
  return {
    id: planned.id,
    kind: planned.kind,
    startMs: planned.startMs,
    endMs: planned.endMs,
    cause: planted.cause,
    workspace: spec.workspace,
    source: spec.source,
    orchestratorId: spec.id,
    poolId: planted.poolId ?? null,
    workerIds: planted.workerIds ?? [],
    workflowIds: planted.workflowIds ?? [],
    taskIds: planted.taskIds ?? [],
    executionIds,
    executionsTouched,
    parameters: planted.parameters,
  };
}
