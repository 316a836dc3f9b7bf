import { type LiveTopicKind, liveTopicKinds, wholeTopicKinds } from '../../schemas/live.ts';

/** What one subscription follows: of its own kinds, or of the telemetry family's sockets, which have a form of their own. */
export interface LiveTopic {
  kind: LiveTopicKind | TelemetryKind;
  /** '' for what is about the whole workspace. */
  id: string;
  /** As the client wrote it. */
  text: string;
}
type TelemetryKind = 'telemetry-workflow' | 'telemetry-step';

/** `execution:ID` and the like; the id is everything behind the first colon, as its producer wrote it. */
export function parseTopic(text: string): LiveTopic | null {
  const colon = text.indexOf(':');
  const kind = colon === -1 ? text : text.slice(0, colon);
  const id = colon === -1 ? '' : text.slice(colon + 1);
  if (!Object.hasOwn(liveTopicKinds, kind) || wholeTopicKinds.has(kind) !== (colon === -1)) return null;
  return colon !== -1 && id === '' ? null : { kind: kind as LiveTopicKind, id, text };
}

/** Ids hold no control characters, so the parts cannot run together. */
const separator = '\u0000';

export const stepId = (workflowId: string, taskId: string): string => `${workflowId}${separator}${taskId}`;

export const workflowEvents = (workflowId: string): LiveTopic => ({
  kind: 'telemetry-workflow',
  id: workflowId,
  text: `workflow:${workflowId}`,
});

export const stepEvents = (workflowId: string, taskId: string): LiveTopic => ({
  kind: 'telemetry-step',
  id: stepId(workflowId, taskId),
  text: `step:${workflowId}/${taskId}`,
});

/** The ids that must stand in a record for the topic to be about it; none where any record may be. */
export function idsOf({ kind, id }: LiveTopic): readonly string[] {
  if (kind === 'telemetry-step') return id.split(separator);
  return id === '' ? [] : [id];
}
