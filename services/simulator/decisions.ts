import type { SchedulingDecisionRecord } from '../../schemas/orchestrator-records.ts';
import type { Orchestrator } from './orchestrator.ts';
import type { TaskChange } from './play-changes.ts';

/** What a scheduler tells of where it put a task, and why there. */
export function describeDecision(owner: Orchestrator, change: TaskChange, latencyMs: number): SchedulingDecisionRecord {
  const pool = owner.pools.get(change.pool ?? '');
  const worker = pool?.line.workers.get(change.worker ?? '');
  const waitedMs = (change.dispatchedAtMs ?? change.atMs) - (change.queuedAtMs ?? change.atMs);
  const freeRatio = worker === undefined ? 0 : 1 - (worker.slotsUsed - 1) / worker.slots;
  return {
    decision_id: owner.nextId('decision'),
    workflow_id: change.workflowId,
    execution_id: change.executionId,
    task_id: change.taskId,
    scheduling_latency_ms: latencyMs,
    selected_worker: change.worker,
    selected_pool: pool?.id ?? change.pool,
    placement_constraints: { pool: change.pool ?? '', worker_type: pool?.spec.workerType ?? '' },
    cpu_required_cores: change.cpuAllocatedCores,
    memory_required_bytes: change.memoryAllocatedBytes,
    storage_required_bytes: 0,
    resource_requirements: { slots: '1' },
    priority: change.priority,
    queue_ms: Math.max(0, Math.round(waitedMs)),
    decision_factors: {
      priority: change.priority,
      free_slots_ratio: Math.round(freeRatio * 1000) / 1000,
      waited_ms: Math.max(0, Math.round(waitedMs)),
      expected_ms: Math.round(change.expectedMs),
    },
    algorithm: owner.spec.discipline,
    outcome: 'placed',
  };
}
