import { type IncidentStage, type Planted, targetTask } from '../incident-stage.ts';
import { executionOfRequest } from '../orchestrator.ts';

/** Machines die with everything that runs on them, and are replaced when somebody has noticed. */
export function plantLostWorker(stage: IncidentStage): Planted {
  const { owner, random } = stage;
  const pool = stage.poolOf(targetTask(stage));
  const busiest = [...pool.line.workers.values()].toSorted((one, other) => other.slotsUsed - one.slotsUsed);
  const count = Math.max(1, Math.floor(busiest.length * random.between(0.3, 0.5)));
  const workerIds = busiest.slice(0, count).map(({ id }) => id);
  let tasksLost = 0;
  for (const workerId of workerIds) {
    for (const held of pool.line.workers.get(workerId)?.holds ?? []) stage.touch(executionOfRequest(held));
    tasksLost += owner.removeWorker(pool, workerId, 'kill').length;
  }
  pool.ledger.workersLost += count;
  // Whatever begins meanwhile has to wait.
  const stopListening = stage.onRun((_workflowId, executionId) => stage.touch(executionId));
  pool.ledger.failovers += count;
  pool.ledger.failoverMsTotal += count * Math.round(random.between(4_000, 9_000));
  pool.ledger.communicationErrors += 3 * count;
  return {
    cause: `the machines of ${count} workers of ${pool.id} lost power`,
    poolId: pool.id,
    workerIds,
    parameters: { workers: count, tasks_lost: tasksLost },
    end: () => {
      stopListening();
      pool.ledger.workersLost -= count;
      pool.ledger.restarts += count;
      for (let worker = 0; worker < count; worker++) owner.addWorker(pool);
    },
  };
}
