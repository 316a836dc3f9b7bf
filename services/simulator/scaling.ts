import type { Orchestrator, Pool } from './orchestrator.ts';

/** Pools grow and shrink with the work that waits, within bounds and not too often. */
export const scalingDefaults = {
  everyMs: 60_000,
  /** Between two changes of one pool. */
  coolDownMs: 600_000,
  /** Slots in use that it aims at. */
  loadAimedAt: 0.8,
  upFrom: 1.2,
  downFrom: 0.7,
  /** Non-changes are told this often. */
  maintainEveryMs: 7_200_000,
  failureRatio: 0.03,
};

/** When each pool was last changed, and last said that it stays. */
export type ScalingMemory = Map<string, { changedAtMs: number; maintainedAtMs: number }>;

/** Looks at every pool that scales by itself. */
export function scalePools(owner: Orchestrator, memory: ScalingMemory): void {
  for (const pool of owner.pools.values()) if (pool.spec.isScaling) scaleByItself(owner, pool, memory);
}

function scaleByItself(owner: Orchestrator, pool: Pool, memory: ScalingMemory): void {
  const { line, spec } = pool;
  const nowMs = owner.engine.nowMs;
  const last = memory.get(pool.id) ?? { changedAtMs: Number.NEGATIVE_INFINITY, maintainedAtMs: nowMs };
  memory.set(pool.id, last);
  const workers = line.workers.size;
  const required = (line.slotsUsed + line.waitingCount) / spec.slots / scalingDefaults.loadAimedAt;
  const aim = Math.max(spec.workersMin, Math.min(spec.workersMax, Math.ceil(required)));
  const isUp = required > scalingDefaults.upFrom * workers && aim > workers;
  const isDown = required < scalingDefaults.downFrom * workers && aim < workers;
  const isCool = nowMs - last.changedAtMs >= scalingDefaults.coolDownMs && pool.ledger.workersPending === 0;
  if ((isUp || isDown) && isCool) {
    last.changedAtMs = nowMs;
    // Down by one at a time: load that fell may come back.
    const to = isUp ? aim : workers - 1;
    scalePool(owner, pool, { to, reason: isUp ? 'work waits for slots' : 'workers are idle', commandId: null });
  } else if (nowMs - last.maintainedAtMs >= scalingDefaults.maintainEveryMs) {
    last.maintainedAtMs = nowMs;
    tell(owner, pool, {
      from: workers,
      to: workers,
      reason: 'load within bounds',
      success: true,
      durationMs: 0,
      commandId: null,
    });
  }
}

/** Orders or dismisses workers; what came of it is told when they are there. */
export function scalePool(
  owner: Orchestrator,
  pool: Pool,
  order: { to: number; reason: string; commandId: string | null },
): void {
  const { engine, random } = owner;
  const from = pool.line.workers.size;
  pool.workersTarget = order.to;
  if (order.to <= from) {
    const drained = [...pool.line.workers.values()]
      .filter(({ isDraining }) => !isDraining)
      .toSorted((one, other) => one.slotsUsed - other.slotsUsed || (one.id < other.id ? -1 : 1))
      .slice(0, from - order.to);
    for (const { id } of drained) owner.removeWorker(pool, id, 'drain');
    tell(owner, pool, { ...order, from, success: true, durationMs: 0 });
    return;
  }
  const startedAtMs = engine.nowMs;
  const isFailure = order.commandId === null && random.chance(scalingDefaults.failureRatio);
  pool.ledger.workersPending += order.to - from;
  engine.after(Math.round(random.logNormal(45_000, 0.4)), () => {
    pool.ledger.workersPending -= order.to - from;
    if (isFailure) pool.workersTarget = from;
    else for (let worker = from; worker < order.to; worker++) owner.addWorker(pool);
    const durationMs = Math.round(engine.nowMs - startedAtMs);
    tell(owner, pool, { ...order, from, success: !isFailure, durationMs });
  });
}

interface Outcome {
  from: number;
  to: number;
  reason: string;
  success: boolean;
  durationMs: number;
  commandId: string | null;
}

function tell(owner: Orchestrator, pool: Pool, { from, to, reason, success, durationMs, commandId }: Outcome): void {
  const { line, spec } = pool;
  owner.send('scaling_event', {
    scaling_id: owner.nextId('scaling'),
    pool_id: pool.id,
    action: to > from ? 'scale_up' : to < from ? 'scale_down' : 'maintain',
    workers_from: from,
    workers_to: to,
    reason,
    trigger_metrics: {
      tasks_waiting: line.waitingCount,
      slots_used: line.slotsUsed,
      slots_total: line.slotsTotal,
    },
    success,
    duration_ms: durationMs,
    cost_impact: success ? Math.round((to - from) * spec.costPerHour * 1000) / 1000 : 0,
    command_id: commandId,
  });
}
