import type { IncidentStage, Planted } from '../incident-stage.ts';

/** Two nodes believe that they lead: decisions are slow, and some runs are started by both. */
export function plantSplitBrain(stage: IncidentStage): Planted {
  const { owner, planned, random } = stage;
  const { coordination } = owner;
  const { nodes } = coordination.spec;
  const others = nodes.filter((node) => node !== coordination.leader);
  const cutOff = others.slice(0, Math.max(1, Math.floor(nodes.length / 2)));
  const startedAtMs = stage.nowMs;
  const slowdown = 12;
  coordination.slowdown = slowdown;
  owner.decisionSlowdown *= 3;
  owner.send('coordination_event', coordination.splitBrain(cutOff));
  const parameters = { slowdown_factor: slowdown, runs_doubled: 0, rival: cutOff[0] };
  let isDoubling = false;
  const stopListening = stage.onRun((workflowId, executionId) => {
    // Nobody knows of two leaders before they have done something twice.
    const isOverdue = parameters.runs_doubled === 0 && stage.nowMs > (planned.startMs + planned.endMs) / 2;
    if (isDoubling || !(random.chance(0.3) || isOverdue)) return;
    isDoubling = true;
    const twin = stage.startRun(workflowId, `rival-leader:${cutOff[0]}`);
    isDoubling = false;
    if (twin === null) return;
    parameters.runs_doubled++;
    stage.touch(executionId);
    stage.touch(twin);
  });
  return {
    cause: `the network between ${coordination.leader} and ${cutOff.join(', ')} is cut`,
    workflowIds: [planned.workflowId],
    parameters,
    end: () => {
      stopListening();
      coordination.slowdown = 1;
      owner.decisionSlowdown /= 3;
      owner.send('coordination_event', coordination.healSplitBrain(startedAtMs, stage.nowMs));
    },
  };
}
