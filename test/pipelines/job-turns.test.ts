import { expect, it } from 'vitest';
import { JobTurns } from '../../pipelines/job-turns.ts';
import { waitUntil } from '../support/launched.ts';

const patientMs = 20_000;

it('a job has its turn again and again, and a failure is told once until it is over', async () => {
  const said: string[] = [];
  const say = (_: object, message: string) => void said.push(message);
  let turns = 0;
  let failures = 0;
  let ended = 0;
  const job = new JobTurns({
    name: 'the job',
    intervalMs: 1,
    log: { info: say, warn: say, error: say },
    turn: async () => {
      turns++;
      if (turns >= 2 && turns <= 4) throw new Error('no answer');
      return turns % 2 === 0;
    },
    ended: () => void ended++,
    failed: () => void failures++,
  });
  job.start();
  expect(await waitUntil(() => turns >= 8, patientMs)).toBe(true);
  await job.stop();
  expect(job.isStopped).toBe(true);
  expect(job.failure).toBe('');
  expect(failures).toBe(3);
  expect(ended).toBeGreaterThanOrEqual(7);
  expect(said).toEqual(['the job failed, and tries again', 'the job goes on']);
  const before = turns;
  job.start();
  expect(await waitUntil(() => turns > before, 200)).toBe(false);
});
