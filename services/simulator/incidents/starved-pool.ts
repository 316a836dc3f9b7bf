import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';

/** A pool is left with a fraction of its slots, and everything that needs one waits. */
export function plantStarvedPool(stage: IncidentStage): Planted {
  const pool = stage.poolOf(targetTask(stage));
  const slotsBefore = pool.line.slotsTotal;
  const slots = Math.floor(slotsBefore * 0.05);
  pool.line.setSlots(slots);
  // Whatever begins meanwhile has to wait.
  const stopListening = stage.onRun((_workflowId, executionId) => stage.touch(executionId));
  return {
    cause: `a quota leaves pool ${pool.id} with ${slots} of its ${slotsBefore} slots`,
    poolId: pool.id,
    parameters: { slots_before: slotsBefore, slots },
    end: () => {
      stopListening();
      pool.line.setSlots(pool.slotLimit ?? Number.POSITIVE_INFINITY);
    },
  };
}
