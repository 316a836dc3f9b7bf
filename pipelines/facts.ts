import type { ExecutionEvent, RunEvent, TaskEvent } from '../schemas/events.ts';
import type { OrchestratorEvent } from '../schemas/orchestrator-events.ts';
import type { Dims, DimsTable } from './cells.ts';
import { type Fact, isEnd } from './fold.ts';
import type { ScratchName } from './thing-table.ts';

/** Events of runs have a history of starts and ends; reports about orchestrators have reports.ts. */
export type EventOfRun = ExecutionEvent | TaskEvent;
/** What the pipeline can fold. */
export type FoldableEvent = EventOfRun | OrchestratorEvent;
export type FoldableKind = 'executions' | 'tasks' | 'orchestrators';

/** Names the execution or task an event speaks of. */
export function nameThing(event: EventOfRun, name: ScratchName): ScratchName {
  const { workspace, source, executionId } = event;
  return event.kind === 'execution'
    ? name.setExecution(workspace, source, executionId)
    : name.setTask(workspace, source, executionId, event.taskId, event.mapIndex);
}

/** Looked for field by field: a list of the texts is made only for what was never met. */
export function dimsOf(event: EventOfRun, table: DimsTable): Dims {
  const { workspace, project, source, workflowId, workflowVersion } = event;
  const isTask = event.kind === 'task';
  const sixth = isTask ? event.taskId : event.triggerType;
  for (const dims of table.similar(workflowId, sixth)) {
    const { values } = dims;
    // The fourth and the sixth are what made it similar.
    const isOfRun = values[0] === workspace && values[1] === project && values[2] === source;
    if (!isOfRun || values[4] !== workflowVersion) continue;
    if (!isTask || (values[6] === event.taskType && values[7] === event.pool)) return dims;
  }
  const ofRun = [workspace, project, source, workflowId, workflowVersion, sixth];
  return table.intern(isTask ? [...ofRun, event.taskType, event.pool] : ofRun);
}

export const originText = (origin: RunEvent['origin']): string =>
  origin === null ? '' : `${origin.topic}/${origin.partition}/${origin.offset}/${origin.item}`;

/** An end that never ran, or that carries its own start or duration, waits for no other record. */
export const isSelfContained = (state: string, startedAtMs: number | null, durationUs: number | null): boolean =>
  !isEnd(state) || state === 'skipped' || startedAtMs !== null || durationUs !== null;

export function factOf(event: EventOfRun, offset: number, dims: Dims): Fact {
  return {
    offset,
    state: event.state,
    attempt: event.attempt,
    eventTimeMs: event.eventTimeMs,
    selfContained: isSelfContained(event.state, event.startedAtMs, event.durationUs),
    durationUs: event.durationUs,
    queueUs: event.queueUs,
    costMicros: event.costMicros,
    cpuUs: event.cpuUs,
    memoryPeakBytes: event.memoryPeakBytes,
    origin: originText(event.origin),
    dims,
  };
}
