import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeTaskEvent } from '../../../schemas/wire.ts';
import { createTelemetry, type Telemetry } from '../../support/pipeline-process.ts';
import { countLog, runCommand } from './command-run.ts';

const secret = 'password=hunter2secret';
const nowMs = Date.now() - 30_000;

let telemetry: Telemetry;
/** The place of the record that nothing can make sense of. */
let noise: string;

const list = (...args: string[]) => runCommand(telemetry, ['list', ...args]);
const replay = (...args: string[]) => runCommand(telemetry, ['replay', '--yes', ...args]);
const count = async (question: string): Promise<number> => Number(await telemetry.database.query(question));

/** The headers of the newest dead letter, by name. */
async function newestHeaders(): Promise<Record<string, string>> {
  const [row] = await telemetry.rows<{ headers: [string, string][] }>(
    'SELECT arrayMap(header -> (header.name, header.value), headers) AS headers FROM dead_letter_bytes FINAL ORDER BY offset DESC LIMIT 1',
  );
  return Object.fromEntries(row?.headers ?? []);
}

const misplacedTask = {
  workspace: 'acme',
  workflow_id: 'orders',
  execution_id: 'run-1',
  task_id: 'load',
  state: 'completed',
  event_time: nowMs,
  duration_ms: 5,
};

beforeAll(async () => {
  telemetry = await createTelemetry('rejected', { partitions: 1 });
  await telemetry.startReady();
  await telemetry.send('executions', [
    { key: 'k', value: `{"state": "${secret}", `, headers: { trace: 'abc' } },
    { key: 'run-1', value: encodeTaskEvent(misplacedTask) },
  ]);
  await telemetry.waitStored();
  noise = `${telemetry.topics.executions}/0/0`;
});

describe('dead letters', () => {
  it('are listed by topic and reason, with what it means and what to do', async () => {
    const { exitCode, output } = await list();
    expect(output).toMatch(/^2 dead letters$/m);
    expect(output).toMatch(new RegExp(`^${telemetry.topics.executions} {2}invalid_json {2}1 `, 'm'));
    expect(output).toContain('The value begins like JSON but cannot be parsed.');
    expect(output).toContain('Mend the producer');
    expect(output).toMatch(new RegExp(`${noise} .*invalid_json: the JSON text`));
    expect(output).not.toContain('hunter2secret');
    expect(exitCode).toBe(0);
  });

  it('are told by reason, topic and time', async () => {
    expect((await list('--reason', 'invalid_json')).output).toMatch(/^1 dead letter$/m);
    expect((await list('--topic', telemetry.topics.tasks)).output).toBe('no dead letters\n');
    expect((await list('--from', '1h')).output).toMatch(/^2 dead letters$/m);
    expect((await list('--to', '1h')).output).toBe('no dead letters\n');
    const { output } = await list('--json', '--limit', '1');
    expect(JSON.parse(output)).toMatchObject({ newest: [{ isStored: false, replays: 0 }], foldsChains: true });
  });

  it('are shown without their secrets, and byte for byte when somebody asks for it', async () => {
    const { output } = await runCommand(telemetry, ['show', noise]);
    expect(output).toContain('invalid_json');
    expect(output).not.toContain('hunter2secret');
    const { output: whole } = await runCommand(telemetry, ['show', noise, '--bytes']);
    expect(whole).toContain('they may hold secrets');
    expect(whole).toContain('7b 22 73 74 61 74 65 22');
    expect(whole).toContain('header trace: 3 bytes');
    const missing = await runCommand(telemetry, ['show', `${telemetry.topics.executions}/0/99`]);
    expect(missing).toMatchObject({ exitCode: 1 });
  });
});

describe('a record that is rejected again', () => {
  it('stays one dead letter that knows where it first stood', async () => {
    const { output: replayed } = await replay('--reason', 'invalid_json');
    expect(replayed).toContain('replayed 1 dead letter;');
    await telemetry.waitStored();
    expect(await newestHeaders()).toMatchObject({
      trace: 'abc',
      'weir-origin-topic': telemetry.topics.executions,
      'weir-origin-partition': '0',
      'weir-origin-offset': '0',
      'weir-origin-item': '0',
    });
    const { output } = await list();
    expect(output).toMatch(/^2 dead letters$/m);
    expect(output).toContain('1 (1 rejected again)');
    expect(output).toContain(`first ${noise}, rejected again once`);
    const { output: shown } = await runCommand(telemetry, ['show', noise]);
    expect(shown).toMatch(new RegExp(`sent again +${telemetry.topics.executions}/0/2 .*rejected: invalid_json`));
  });

  it('is replayed again only when asked for, and keeps its first place and time', async () => {
    const { output: skipped } = await replay('--reason', 'invalid_json');
    expect(skipped).toContain('1 dead letter left out: they were replayed before and rejected again');
    const before = await newestHeaders();
    await replay('--reason', 'invalid_json', '--again');
    await telemetry.waitStored();
    expect(await count('SELECT count() FROM dead_letters FINAL')).toBe(4);
    expect(await newestHeaders()).toEqual(before);
    expect((await list()).output).toContain('rejected again 2 times');
  });
});

describe('a replay', () => {
  it('takes a record to the topic it belongs to, once', async () => {
    const { output } = await replay('--reason', 'unknown_fingerprint', '--to-topic', telemetry.topics.tasks);
    expect(output).toContain(`to ${telemetry.topics.tasks}`);
    await telemetry.waitStored();
    await replay('--reason', 'unknown_fingerprint', '--to-topic', telemetry.topics.tasks, '--again');
    await telemetry.waitStored();
    expect(await count('SELECT count() FROM task_events FINAL')).toBe(1);
    expect(await count('SELECT sum(finished) FROM tasks_1m')).toBe(1);
    expect((await list()).output).toContain('1 stored by a replay');
    const wrong = await replay('--to-topic', 'elsewhere');
    expect(wrong).toMatchObject({ exitCode: 2 });
  });

  it('says why it sends nothing of an earlier epoch, or of a topic that is not read any more', async () => {
    const records = await countLog(telemetry);
    const raised = await runCommand(telemetry, ['replay', '--again'], { WEIR_STREAM_EPOCH_EXECUTIONS: '2' });
    expect(raised.output).toMatch(/2 dead letters left out: they are of an earlier epoch/);
    const renamed = await runCommand(telemetry, ['replay', '--again'], { WEIR_TOPIC_EXECUTIONS: 'not.there' });
    expect(renamed.output).toMatch(/2 dead letters left out: they came from a topic that does not exist/);
    expect(await countLog(telemetry)).toBe(records);
  });

  it('says what to do about records that the broker finds too large, and sends the others', async () => {
    await telemetry.send('tasks', [
      { key: 'large', value: Buffer.concat([Buffer.from([0x7f]), randomBytes(20_000)]) },
      { key: 'small', value: Buffer.from([0x7f, 1]) },
    ]);
    await telemetry.waitStored();
    await telemetry.admin.alterConfigs({
      validateOnly: false,
      resources: [
        { type: 2, name: telemetry.topics.tasks, configEntries: [{ name: 'max.message.bytes', value: '5000' }] },
      ],
    });
    const { exitCode, output } = await replay('--topic', telemetry.topics.tasks);
    expect(output).toMatch(/1 dead letter larger than the broker takes: \S+\/0\/\d+ \(20006 bytes\)/);
    expect(output).toContain(`raise max.message.bytes of ${telemetry.topics.tasks}`);
    expect(output).toContain('replayed 1 dead letter;');
    expect(exitCode).toBe(1);
    await telemetry.waitStored();
    const { different, output: verdict } = await telemetry.verify();
    expect(different, verdict).toBe(0);
  });
});
