import { expect, it } from 'vitest';
import { settingsTable } from '../../../schemas/settings-table.ts';
import { scaleOf, scenarioNames, scenarios, segmentMsOf } from '../../../services/simulator/scenarios.ts';
import { dayMs, dayStartMs, hourMs, playWorld, sendSegment } from './simulated-days.ts';

it('is offered by the settings under the same names', () => {
  expect(settingsTable.scenario.kind.type).toBe(scenarioNames.join(', '));
});

it('quiet-fleet: nothing is planted, and every record comes once and in its order', () => {
  const seen = new Set<string>();
  for (const { topic, record } of sendSegment('quiet-fleet', { endMs: dayStartMs + 4 * hourMs })) {
    if (topic === 'orchestrators') continue;
    const task = topic === 'tasks' ? `${record.task_id} ${record.map_index}` : '';
    const identity = `${topic} ${record.execution_id} ${task} ${record.attempt} ${record.state} ${record.event_time}`;
    expect(seen.has(identity)).toBe(false);
    seen.add(identity);
  }
  expect(seen.size).toBeGreaterThan(1_000);
});

it('black-friday: shops have several times their load on a Friday, and offices have theirs by the clock', () => {
  const runsOf = (startMs: number, workflowId: string) => {
    const { catalogue, load } = scenarios['black-friday'];
    const { events } = playWorld({ catalogue: catalogue(0, 1), load, startMs, endMs: startMs + 2 * hourMs });
    return events.filter(
      ({ topic, record }) =>
        topic === 'executions' &&
        'workflow_id' in record &&
        record.workflow_id === workflowId &&
        record.state === 'pending',
    ).length;
  };
  const [wednesdayMs, fridayMs] = [dayStartMs + 9 * hourMs, dayStartMs + 2 * dayMs + 9 * hourMs];
  expect(runsOf(fridayMs, 'order_saga')).toBeGreaterThan(4 * runsOf(wednesdayMs, 'order_saga'));
  expect(runsOf(fridayMs, 'orders_etl')).toBe(runsOf(wednesdayMs, 'orders_etl'));
});

it('migration: day by day one more workflow runs elsewhere', () => {
  const moved = (day: number) =>
    scenarios.migration.catalogue(day, 1).filter(({ orchestratorId, definition }) => {
      const before = scenarios.demo.catalogue(0, 1).find((entry) => entry.definition.id === definition.id);
      return before?.orchestratorId !== orchestratorId;
    }).length;
  expect([moved(0), moved(1), moved(3)]).toEqual([0, 1, 3]);
});

it('chaos-of-clocks: events come before their time and long after it', () => {
  const ages = [...sendSegment('chaos-of-clocks', { endMs: dayStartMs + 4 * hourMs })].map(
    ({ sendAtMs, eventTimeMs }) => sendAtMs - eventTimeMs,
  );
  expect(Math.min(...ages)).toBeLessThan(-30_000);
  expect(Math.max(...ages)).toBeGreaterThan(hourMs);
});

it('big-fleet: five thousand workflows, each under an id of its own', () => {
  const ids = scenarios['big-fleet'].catalogue(0, 1).map(({ definition }) => definition.id);
  expect(new Set(ids).size).toBe(5_000);
});

it('cuts time shorter the more runs there are, and always into parts of a day', () => {
  for (const rate of [0, 1, 10, 50, 1_000]) {
    const segmentMs = segmentMsOf(scaleOf(rate));
    expect(dayMs % segmentMs).toBe(0);
    expect(segmentMs).toBeLessThanOrEqual(dayMs);
  }
  expect(segmentMsOf(scaleOf(0))).toBe(dayMs);
  expect(segmentMsOf(scaleOf(50))).toBe(hourMs / 2);
});

it('sends as many events as are asked for, on average over a day', () => {
  for (const rate of [0, 4]) {
    let events = 0;
    for (const { topic } of sendSegment('demo', { scale: scaleOf(rate) })) if (topic !== 'orchestrators') events++;
    // A Wednesday is a little calmer than the mean of the week.
    const ratio = events / (dayMs / 1000) / (rate || 1.23);
    expect([rate, ratio > 0.88, ratio < 1.12]).toEqual([rate, true, true]);
  }
});
