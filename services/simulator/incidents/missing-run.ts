import type { IncidentStage, Planted } from '../incident-stage.ts';

/** Scheduled runs do not begin, and nothing says so. */
export function plantMissingRun(stage: IncidentStage): Planted {
  const { workflowId } = stage.planned;
  const parameters = { runs: 0 };
  const unmute = stage.mute(workflowId, () => {
    parameters.runs++;
  });
  return {
    cause: `the schedule of ${workflowId} was switched off by mistake`,
    workflowIds: [workflowId],
    parameters,
    end: unmute,
  };
}
