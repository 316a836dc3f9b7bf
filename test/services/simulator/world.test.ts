import { expect, it } from 'vitest';
import { orchestratorKinds } from '../../../schemas/orchestrator-events.ts';
import type { TaskRecord } from '../../../schemas/records.ts';
import { rhythmFactor } from '../../../services/simulator/arrivals.ts';
import { nextDue, parseCron } from '../../../services/simulator/cron.ts';
import { dayMs, dayStartMs, hourMs, playWorld } from './simulated-days.ts';

const ends = ['completed', 'failed', 'cancelled', 'timeout', 'partial', 'skipped'];

it('brings every run and every attempt that began to one end, and gives back every slot', () => {
  const { events, world } = playWorld();
  expect(world.isOver).toBe(true);
  const open = new Map<string, number>();
  for (const { topic, record } of events) {
    if (topic === 'orchestrators' || record.state === 'retrying') continue;
    const task = topic === 'tasks' ? `${record.task_id} ${record.map_index}` : '';
    const key = `${record.execution_id} ${task} ${record.attempt}`;
    if (record.state === 'running' && open.get(key) === undefined) open.set(key, 1);
    if (ends.includes(record.state)) open.set(key, (open.get(key) ?? 1) - 1);
  }
  expect([...open].filter(([, left]) => left !== 0)).toEqual([]);
  for (const owner of world.orchestrators.values()) {
    for (const { line } of owner.pools.values()) {
      line.assertConserved();
      expect(line.slotsUsed).toBe(0);
    }
  }
});

it('tells of all eight kinds of reports, by orchestrators of all six types', () => {
  const { events } = playWorld({ startMs: dayStartMs, endMs: dayStartMs + dayMs });
  const reports = events.flatMap((event) => (event.topic === 'orchestrators' ? [event.record] : []));
  expect(new Set(reports.map(({ kind }) => kind))).toEqual(new Set(orchestratorKinds));
  expect(new Set(reports.map(({ orchestrator_type }) => orchestrator_type)).size).toBe(6);
  expect(new Set(reports.map(({ workspace }) => workspace)).size).toBe(3);
});

it('counts what only grows without ever falling', () => {
  const { events } = playWorld();
  const last = new Map<string, number>();
  for (const event of events) {
    if (event.topic !== 'orchestrators' || event.record.kind !== 'worker_pool') continue;
    const { pool_id, tasks_completed } = event.record.body;
    expect(tasks_completed).toBeGreaterThanOrEqual(last.get(pool_id) ?? 0);
    last.set(pool_id, tasks_completed ?? 0);
  }
});

it('stamps what happens on a worker by the clock of that worker', () => {
  const straight = playWorld();
  const skewed = playWorld({ clockSkewMsMost: 60_000 });
  const taskEnds = ({ events }: typeof straight) =>
    events.flatMap((event) => (event.topic === 'tasks' && event.record.state === 'completed' ? [event.record] : []));
  const key = (record: TaskRecord) => `${record.execution_id} ${record.task_id} ${record.map_index} ${record.attempt}`;
  const byKey = new Map(taskEnds(straight).map((record) => [key(record), record]));
  const offsets = new Map<string, Set<number>>();
  for (const record of taskEnds(skewed)) {
    const before = byKey.get(key(record)) as TaskRecord;
    expect(record.duration_ms).toBe(before.duration_ms);
    const worker = record.worker_id ?? 'none';
    offsets.set(worker, (offsets.get(worker) ?? new Set()).add(record.event_time - before.event_time));
  }
  expect(offsets.get('none')).toEqual(new Set([0]));
  expect([...offsets.values()].every((found) => found.size === 1)).toBe(true);
  expect(offsets.size).toBeGreaterThan(10);
});

it('begins scheduled runs when cron says so, and other runs when people are awake', () => {
  expect(nextDue(parseCron('30 1 * * *'), dayStartMs)).toBe(dayStartMs + 1.5 * hourMs);
  expect(nextDue(parseCron('*/5 * * * *'), dayStartMs)).toBe(dayStartMs + 300_000);
  expect(new Date(nextDue(parseCron('0 3 1,15 * *'), dayStartMs)).toISOString()).toBe('2026-11-15T03:00:00.000Z');
  expect(new Date(nextDue(parseCron('0 6 * * 1'), dayStartMs)).toISOString()).toBe('2026-11-09T06:00:00.000Z');
  expect(nextDue(parseCron('0 0 30 2 *'), dayStartMs)).toBe(Number.POSITIVE_INFINITY);
  const mean = (rhythm: 'office' | 'shop') => {
    let sum = 0;
    for (let hour = 0; hour < 7 * 24; hour++) sum += rhythmFactor(rhythm, dayStartMs + hour * hourMs);
    return sum / (7 * 24);
  };
  expect(mean('office')).toBeCloseTo(1, 6);
  expect(mean('shop')).toBeCloseTo(1, 6);
  expect(rhythmFactor('office', dayStartMs + 10 * hourMs)).toBeGreaterThan(
    5 * rhythmFactor('office', dayStartMs + 2 * hourMs),
  );
  expect(rhythmFactor('office', Date.UTC(2026, 11, 25, 10))).toBeLessThan(1);
});
