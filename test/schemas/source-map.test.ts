import { expect, test } from 'vitest';
import { createDecoder } from '../../pipelines/decode.ts';
import { Rejection } from '../../pipelines/rejections.ts';
import { orchestratorKinds } from '../../schemas/orchestrator-events.ts';
import { sourceMap } from '../../schemas/source-map.ts';
import members from '../fixtures/source-members.json' with { type: 'json' };
import { logRecord, nowMs, sampleExecution, sampleTask } from '../pipelines/sample-records.ts';

/** Every interface, class, table and view that the source documents name, with its members: facts only. */
const documents: Record<string, Record<string, string[]>> = members;

const tablesByKind: Record<string, string> = {
  execution: 'execution_events',
  task: 'task_events',
  orchestrator_metrics: 'orchestrator_metrics_events',
  worker_pool: 'worker_pool_events',
  worker: 'worker_events',
  scheduling_decision: 'scheduling_decision_events',
  queue_metrics: 'queue_metrics_events',
  coordination_event: 'coordination_events',
  load_balancing: 'load_balancing_events',
  scaling_event: 'scaling_events',
};

/** Columns are the fields of canonical events in snake_case; instants drop their unit, as SQL has a type for them. */
function columnsOf(event: object): Set<string> {
  const columns = new Set<string>();
  for (const name of Object.keys(event)) {
    if (name === 'error') for (const part of ['type', 'code', 'message', 'stack']) columns.add(`error_${part}`);
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    columns.add(snake.replace(/(_at|_time)_ms$/, '$1'));
  }
  return columns;
}

function sampleOf(kind: string): object {
  if (kind === 'execution') return decode('executions', sampleExecution);
  if (kind === 'task') return decode('tasks', sampleTask);
  const ids = { worker_id: 'w', pool_id: 'p', queue_id: 'q', event_type: 'e', algorithm: 'a', action: 'scale_up' };
  return decode('orchestrators', { kind, orchestrator_id: 'o', event_time: nowMs, ...ids });
}

function decode(kind: 'executions' | 'tasks' | 'orchestrators', record: object): object {
  const decoder = createDecoder({ kind, registry: null, maxValueBytes: 1e6 });
  const event = decoder.decode(logRecord(JSON.stringify(record)));
  if (event instanceof Rejection) throw new Error(event.detail);
  return event;
}

const columnsByTable = new Map(
  ['execution', 'task', ...orchestratorKinds].map((kind) => [tablesByKind[kind], columnsOf(sampleOf(kind))]),
);

test('every member and column of the source documents is in the map, and nothing else is', () => {
  let count = 0;
  const known = new Set<string>();
  for (const [document, structures] of Object.entries(documents)) {
    for (const [structure, names] of Object.entries(structures)) {
      known.add(`${document}.${structure}`);
      const mapped = sourceMap.get(`${document}.${structure}`);
      expect([...(mapped?.keys() ?? [])].toSorted(), `${document}.${structure}`).toEqual(names.toSorted());
      count += names.length;
    }
  }
  expect([...sourceMap.keys()].filter((name) => !known.has(name))).toEqual([]);
  expect(count).toBeGreaterThan(700);
});

test('every mapped column is a field of the canonical event of its table', () => {
  for (const [structure, targets] of sourceMap) {
    for (const [member, target] of targets) {
      if (target.kind !== 'columns') continue;
      expect(target.columns.length).toBeGreaterThan(0);
      for (const { table, column } of target.columns) {
        expect(columnsByTable.get(table)?.has(column), `${structure}.${member} -> ${table}.${column}`).toBe(true);
      }
    }
  }
});

test('an object whose members are named is mapped member by member, and what has no source says why', () => {
  for (const [structure, targets] of sourceMap) {
    for (const [member, target] of targets) {
      const where = `${structure}.${member}`;
      if (target.kind === 'structure') expect(sourceMap.has(target.structure), where).toBe(true);
      if (target.kind === 'derived') expect(target.question.length, where).toBeGreaterThan(10);
      if (target.kind === 'no source') expect(target.reason.length, where).toBeGreaterThan(20);
    }
  }
});
