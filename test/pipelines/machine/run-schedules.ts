import { runSchedule } from './schedule.ts';

/** Runs schedules until one finds a problem, and says which: `run-schedules.ts MOST TRIMMING`. */
const [, , most = '1', trimming = ''] = process.argv;
for (let seed = 1; seed <= Number(most); seed++) {
  const { problems } = await runSchedule({ seed, trimming: trimming === 'trimming' });
  if (problems.length === 0) continue;
  process.stdout.write(`seed ${seed}: ${problems[0]}\n`);
  break;
}
