import type { ExecutionEvent, OrchestratorEvent, RunEvent, TaskEvent } from '../schemas/events.ts';
import type { Dims, DimsTable } from './cells.ts';
import { type Fact, isEnd } from './fold.ts';

/** Events of runs have a history of starts and ends; reports about orchestrators have reports.ts. */
export type EventOfRun = ExecutionEvent | TaskEvent;
/** What the pipeline can fold. */
export type FoldableEvent = EventOfRun | OrchestratorEvent;
export type FoldableKind = 'executions' | 'tasks' | 'orchestrators';

const separator = '\u0000';

/** Names the execution or task an event speaks of; ids hold no control characters, so the parts cannot run together. */
export function thingKeyOf(event: EventOfRun): string {
  const execution = executionKey(event.workspace, event.source, event.executionId);
  return event.kind === 'execution' ? execution : taskKey(execution, event.taskId, event.mapIndex);
}

/** The parts of a key that a question for its history is narrowed by. */
export function readThingKey(key: string): { workspace: string; source: string; ownerId: string } {
  const [workspace = '', source = '', ownerId = ''] = key.split(separator);
  return { workspace, source, ownerId };
}

export const executionKey = (workspace: string, source: string, executionId: string): string =>
  `${workspace}${separator}${source}${separator}${executionId}`;

export const taskKey = (execution: string, taskId: string, mapIndex: number): string =>
  `${execution}${separator}${taskId}${separator}${mapIndex}`;

export function dimsOf(event: EventOfRun, table: DimsTable): Dims {
  return table.intern(
    event.kind === 'execution'
      ? [event.workspace, event.project, event.source, event.workflowId, event.workflowVersion, event.triggerType]
      : [
          event.workspace,
          event.project,
          event.source,
          event.workflowId,
          event.workflowVersion,
          event.taskId,
          event.taskType,
          event.pool,
        ],
  );
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
