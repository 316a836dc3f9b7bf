import { expect, it } from 'vitest';
import { taskStates } from '../../schemas/events.ts';
import type { TaskRecord } from '../../schemas/records.ts';
import { readTask } from '../../schemas/task-reader.ts';
import { encodeTaskEvent, taskType } from '../../schemas/wire.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { randomBySeed, randomRun } from '../pipelines/sample-records.ts';

/** What the library makes of the same bytes; null where it refuses them. */
function readByLibrary(bytes: Buffer, start: number): unknown {
  try {
    const { value, offset } = taskType.decode(bytes, start);
    return offset === bytes.length ? { ...(value as object) } : null;
  } catch {
    return null;
  }
}

const readPlain = (bytes: Buffer, start: number): unknown => {
  const record = readTask(bytes, start);
  return record === null ? null : { ...record };
};

const start = 10;
const seeds = 600;
const encodeRandom = (seed: number) =>
  encodeTaskEvent(randomRun(taskType, taskStates, randomBySeed(seed)) as unknown as TaskRecord);

it('reads every record as the library reads it, seed by seed', () => {
  for (let seed = 1; seed <= seeds; seed++) {
    const bytes = encodeRandom(seed);
    const record = readPlain(bytes, start);
    expect(record, `seed ${seed}`).not.toBeNull();
    expect(record, `seed ${seed}`).toEqual(readByLibrary(bytes, start));
  }
});

it('takes from damaged bytes nothing that the library would not, seed by seed', () => {
  let taken = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const random = createRandom(seed);
    const bytes = encodeRandom(1 + (seed % 40));
    for (let damage = 0; damage < 5; damage++) {
      const harmed = random.chance(0.5) ? Buffer.from(bytes) : bytes.subarray(0, start + random.below(bytes.length));
      const flips = random.below(3);
      for (let flip = 0; flip < flips && harmed !== bytes; flip++)
        harmed[random.below(harmed.length)] = random.below(256);
      const record = readPlain(harmed, start);
      if (record === null) continue;
      taken++;
      expect(record, `seed ${seed}`).toEqual(readByLibrary(harmed, start));
    }
  }
  expect(taken).toBeGreaterThan(50);
});

it('leaves to the library what a writer may do and hardly any does', () => {
  const bytes = encodeTaskEvent({ workflow_id: 'w', execution_id: 'e', task_id: 't', state: 'running', event_time: 1 });
  const projectAt = start + 1 + 'default'.length;
  const longer = Buffer.concat([
    bytes.subarray(0, projectAt),
    Buffer.from([0x80, 0x00]),
    bytes.subarray(projectAt + 1),
  ]);
  expect(readTask(bytes, start)).not.toBeNull();
  expect(readTask(longer, start)).toBeNull();
  expect(readByLibrary(longer, start)).toEqual(readByLibrary(bytes, start));
});
