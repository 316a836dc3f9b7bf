import { startProcess } from '../../pipelines/process.ts';

/** A process as small as can be, for the tests of what all processes share. STEP_MS is how long its stop takes. */
const shell = await startProcess({ name: 'example', drainTimeoutMs: 2_000 });
let ready = false;
shell.reportReadiness(() => (ready ? '' : 'waiting for the first batch'));
shell.onStop('first', () => shell.log.info('step first'));
shell.onStop('second', async () => {
  await new Promise((resolve) => setTimeout(resolve, Number(process.env.STEP_MS ?? 10)));
  shell.log.info('step second');
});
shell.log.info({ nested: { password: 'hunter2' } }, `connected with ${shell.settings.kafkaSaslPassword}`);
process.on('SIGUSR2', () => {
  ready = true;
  if (process.env.CRASH) throw new Error('a bug');
});
