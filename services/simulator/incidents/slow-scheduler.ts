import type { IncidentStage, Planted } from '../incident-stage.ts';

/** Every decision of a scheduler takes seconds, because its database is busy with something else. */
export function plantSlowScheduler(stage: IncidentStage): Planted {
  const { owner } = stage;
  // However fast it normally is, a decision then takes some seconds.
  const slowdown = Math.round(stage.random.between(2_500, 6_000) / owner.spec.decisionMsMedian);
  owner.decisionSlowdown *= slowdown;
  // Whatever begins meanwhile has to wait.
  const stopListening = stage.onRun((_workflowId, executionId) => stage.touch(executionId));
  return {
    cause: `a vacuum of the database of ${owner.spec.id} holds up every decision`,
    parameters: { slowdown_factor: slowdown },
    end: () => {
      stopListening();
      owner.decisionSlowdown /= slowdown;
    },
  };
}
