import { beforeAll, describe, expect, it } from 'vitest';
import { confluentEncoder, executionType, taskType } from '../../../schemas/wire.ts';
import { createTelemetry, type PipelineProcess, type Telemetry } from '../../support/pipeline-process.ts';
import { countLog, runCommand, startCommand } from './command-run.ts';
import { OwnRegistry } from './own-registry.ts';

const dayMs = 86_400_000;
const schemaIds = { executions: 7, tasks: 8, late: 9 } as const;
const runs = 20;
const manyTasks = 8_000;
/** A whole minute, so that the window of all runs is known. */
const ranAtMs = Math.floor(Date.now() / 60_000) * 60_000 - dayMs;

let telemetry: Telemetry;
let registry: OwnRegistry;
let pipeline: PipelineProcess;

const run = (id: string, eventTimeMs: number) => ({
  workspace: 'acme',
  workflow_id: 'orders',
  execution_id: id,
  state: 'completed',
  event_time: eventTimeMs,
  duration_ms: 1_200,
});
const count = async (question: string): Promise<number> => Number(await telemetry.database.query(question));
const replay = (...args: string[]) => runCommand(telemetry, ['replay', ...args]);
const countedRuns = () =>
  count(
    `SELECT sum(finished) FROM executions_1m WHERE workflow_id = 'orders' AND window_start = fromUnixTimestamp(${ranAtMs / 1000})`,
  );

async function restart(): Promise<void> {
  await pipeline.stop();
  pipeline = await telemetry.startReady();
}

beforeAll(async () => {
  registry = await OwnRegistry.start();
  telemetry = await createTelemetry('replay', { env: { SCHEMA_REGISTRY_URL: registry.url } });
  pipeline = await telemetry.startReady();
  const encode = confluentEncoder(executionType, schemaIds.executions);
  await telemetry.send(
    'executions',
    Array.from({ length: runs }, (_, index) => ({
      key: `run-${index}`,
      value: encode(run(`run-${index}`, ranAtMs)),
      headers: { trace: `t${index}` },
    })),
  );
  await telemetry.waitStored();
});

describe('records of a schema that the registry did not know', () => {
  it('are dead letters, and a dry run says that they would be so again, and changes nothing', async () => {
    const records = await countLog(telemetry);
    const { exitCode, output } = await replay('--dry-run');
    expect(output).toContain(`would replay ${runs} dead letters`);
    expect(output).toMatch(new RegExp(`would be rejected again +${runs} +unknown_schema`));
    expect(exitCode).toBe(0);
    expect(await countLog(telemetry)).toBe(records);
  });

  it('stay dead letters when the pipeline reads them again and knows the schema', async () => {
    registry.learn(schemaIds.executions, executionType);
    await restart();
    // What comes after the dead letters is stored after they have been read again.
    await telemetry.send('executions', [
      { partition: 0, value: null },
      { partition: 1, value: null },
    ]);
    await telemetry.waitStored();
    expect(await count('SELECT count() FROM execution_events')).toBe(0);
    const { output } = await replay('--dry-run');
    expect(output).toMatch(new RegExp(`would be accepted +${runs}`));
  });

  it('are stored by a replay, and counted in the minute in which they happened', async () => {
    const { exitCode, output } = await replay('--yes');
    expect(output).toContain(`replayed ${runs} dead letters`);
    expect(exitCode).toBe(0);
    await telemetry.waitStored();
    expect(await countedRuns()).toBe(runs);
    const [row] = await telemetry.rows<{ origin: unknown[]; offset: number }>(
      "SELECT origin, offset FROM execution_events FINAL WHERE execution_id = 'run-0'",
    );
    expect(row?.origin).toMatchObject([{ topic: telemetry.topics.executions, item: 0 }]);
  });

  it('are left out of the next replay, and listed as stored', async () => {
    const { output } = await replay('--yes');
    expect(output).toMatch(new RegExp(`${runs} dead letters left out: they were replayed before and are stored`));
    expect(output).toContain('nothing to replay');
    const listed = await runCommand(telemetry, ['list', '--limit', '2']);
    expect(listed.output).toContain(`${runs} (${runs} stored by a replay)`);
  });

  it('count once however often they are replayed, also when the pipeline has forgotten them', async () => {
    await restart();
    const { output } = await replay('--again', '--yes');
    expect(output).toContain(`replayed ${runs} dead letters`);
    await telemetry.waitStored();
    expect(await countedRuns()).toBe(runs);
    expect(await count("SELECT count() FROM drops FINAL WHERE reason = 'duplicate'")).toBe(runs);
    expect(await count('SELECT count() FROM execution_events FINAL')).toBe(runs);
    const { different, output: verdict } = await telemetry.verify();
    expect(different, verdict).toBe(0);
    expect(verdict).toContain('dead letters could be read by now');
  });
});

describe('a replay', () => {
  it('judges a record by the time it was first sent, however late it is by now', async () => {
    const encode = confluentEncoder(executionType, schemaIds.late);
    const sentAt = (days: number) => Date.now() - days * dayMs;
    const late = (id: string, days: number) => ({
      key: id,
      value: encode(run(id, sentAt(days) - dayMs)),
      timestampMs: sentAt(days),
    });
    await telemetry.send('executions', [late('late', 8), late('too-late', 15)]);
    await telemetry.waitStored();
    registry.learn(schemaIds.late, executionType);
    await restart();
    const { output } = await replay('--yes');
    expect(output).toMatch(/1 dead letter left out: they are too old/);
    expect(output).toContain('replayed 1 dead letter;');
    await telemetry.waitStored();
    expect(await count("SELECT count() FROM execution_events FINAL WHERE execution_id = 'late'")).toBe(1);
  });

  it('goes on after an interruption, and counts nothing twice', async () => {
    const encode = confluentEncoder(taskType, schemaIds.tasks);
    for (let from = 0; from < manyTasks; from += 2_000) {
      const records = Array.from({ length: 2_000 }, (_, index) => {
        const id = `many-${from + index}`;
        return { key: id, value: encode({ ...run(id, ranAtMs), task_id: 'load' }) };
      });
      await telemetry.send('tasks', records);
    }
    await telemetry.waitStored();
    registry.learn(schemaIds.tasks, taskType);
    await restart();
    const first = startCommand(telemetry, ['replay', '--topic', telemetry.topics.tasks]);
    await first.waitFor(/replaying/);
    first.child.kill('SIGINT');
    expect((await first.exited).code).toBe(130);
    expect(first.output()).toContain('interrupted');
    const { output, exitCode } = await replay('--topic', telemetry.topics.tasks);
    expect(exitCode, output).toBe(0);
    await telemetry.waitStored();
    expect(await count('SELECT count() FROM task_events FINAL')).toBe(manyTasks);
    expect(await count('SELECT uniqExact(origin) FROM task_events FINAL')).toBe(manyTasks);
    const { different, output: verdict } = await telemetry.verify();
    expect(different, verdict).toBe(0);
  });
});
