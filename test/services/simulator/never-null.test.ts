import { expect, it } from 'vitest';
import { groupsOfExecution, groupsOfTask, neverNull } from '../../../services/simulator/never-null.ts';
import { sendSegment } from './simulated-days.ts';

it('leaves no field of the list empty on a day of the demo', () => {
  const empty = new Map<string, number>();
  const met = new Map<string, number>();
  for (const { topic, record } of sendSegment('demo')) {
    const groups =
      topic === 'tasks' ? groupsOfTask(record) : topic === 'executions' ? groupsOfExecution(record) : [record.kind];
    const fields = (topic === 'orchestrators' ? record.body : record) as unknown as Record<string, unknown>;
    // A start that was lost on the way takes what its end knew of it along.
    if (topic === 'tasks' && record.started_at === null && record.queue_ms !== null) continue;
    for (const group of groups) {
      met.set(group, (met.get(group) ?? 0) + 1);
      for (const field of neverNull[group]) {
        if (fields[field] == null) empty.set(`${group}.${field}`, (empty.get(`${group}.${field}`) ?? 0) + 1);
      }
    }
  }
  expect(Object.fromEntries(empty)).toEqual({});
  expect([...met.keys()].toSorted()).toEqual(Object.keys(neverNull).toSorted());
});
