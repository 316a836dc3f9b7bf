import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { dependenciesOn, executionEvent, taskEvent } from './canonical-events.ts';

/** One execution of very many tasks: one after the other, instances of one task, or layers that wait for some of the last. */
export function makeLargeRun(shape: 'chain' | 'map' | 'layers', tasks: number): (ExecutionEvent | TaskEvent)[] {
  const random = createRandom(tasks);
  const events: (ExecutionEvent | TaskEvent)[] = [];
  const ends = new Float64Array(tasks);
  const layer = shape === 'layers' ? Math.ceil(Math.sqrt(tasks)) : 1;
  let lastMs = 0;
  for (let index = 0; index < tasks; index++) {
    const before = drawBefore(shape, index, layer, random.below);
    const readyAtMs = before.reduce((latest, tail) => Math.max(latest, ends[tail]), 0);
    const startedAtMs = readyAtMs + random.below(50);
    ends[index] = startedAtMs + 100 + random.below(1000);
    lastMs = Math.max(lastMs, ends[index]);
    const place = shape === 'map' ? { taskId: 'each', mapIndex: index } : { taskId: `task-${index}`, mapIndex: -1 };
    const dependencies = dependenciesOn(...before.map((tail) => `task-${tail}`));
    const common = { ...place, dependencies, readyAtMs, startedAtMs, pool: 'main' };
    events.push(
      taskEvent({
        ...common,
        state: 'completed',
        eventTimeMs: ends[index],
        durationUs: (ends[index] - startedAtMs) * 1000,
      }),
    );
  }
  if (shape === 'map') {
    const common = { taskId: 'reduce', dependencies: dependenciesOn('each'), readyAtMs: lastMs, startedAtMs: lastMs };
    events.push(taskEvent({ ...common, state: 'completed', eventTimeMs: lastMs + 500 }));
    lastMs += 500;
  }
  events.push(executionEvent({ state: 'completed', startedAtMs: 0, eventTimeMs: lastMs }));
  return events;
}

function drawBefore(shape: string, index: number, layer: number, below: (bound: number) => number): number[] {
  if (shape === 'map' || index < layer) return [];
  if (shape === 'chain') return [index - 1];
  const first = (Math.floor(index / layer) - 1) * layer;
  return [...new Set([first + below(layer), first + below(layer), first + below(layer)])];
}
