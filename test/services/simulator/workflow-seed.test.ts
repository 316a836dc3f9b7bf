import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { decodeStateRecord, encodeStateRecord } from '../../../schemas/wire.ts';
import { foldDefinitionKeys, registerDefinition } from '../../../services/simulator/seed-records.ts';
import { exampleWorkflows } from '../../../services/simulator/workflow-catalogue.ts';
import { checkWorkflow } from '../../../services/simulator/workflow-check.ts';
import { uniqueTopics, useStack } from '../../support/stack.ts';

const script = path.join(import.meta.dirname, '../../../services/simulator/seed.ts');
const target = { workspace: 'acme', project: 'demo', nowMs: 1_790_000_000_000 };

describe('records that register workflows', () => {
  const [first, second] = exampleWorkflows.map((definition) => registerDefinition(definition, target));

  it('hold the whole definition, with the project, and survive the wire', () => {
    const { key, workspace, collection, value } = decodeStateRecord(encodeStateRecord(first));
    expect([workspace, collection, key]).toEqual(['acme', 'workflow-definitions', 'acme/demo/basic_sequence']);
    const definition = { ...exampleWorkflows[0], project: 'demo' };
    expect(checkWorkflow(JSON.parse(value ?? ''))).toEqual({ definition });
  });

  it('are there until they are deleted', () => {
    const deletion = { ...first, value: null, deleted: true };
    const stranger = { ...first, collection: 'silences', key: 'x' };
    expect([...foldDefinitionKeys([first, second, stranger, deletion])]).toEqual(['acme/demo/parallel_processing']);
    expect(foldDefinitionKeys([first, deletion, first]).size).toBe(1);
  });
});

describe('the seed command', () => {
  const { state } = uniqueTopics('seed');
  const run = async (...args: string[]) => {
    const env = { PATH: process.env.PATH, KAFKA_BROKERS: useStack().brokers.join(','), WEIR_TOPIC_STATE: state };
    const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { env });
    return stdout.trim().split('\n').at(-1);
  };

  it('registers the examples, and with --skip-existing only those that are missing', async () => {
    expect(await run('--workspace-id', 'acme', '--skip-existing')).toBe('4 of 4 registered in acme/default');
    expect(await run('--workspace-id', 'acme', '--skip-existing')).toBe('0 of 4 registered in acme/default');
    expect(await run('--workspace-id', 'acme', '--project-id', 'p', '--skip-existing')).toBe(
      '4 of 4 registered in acme/p',
    );
    expect(await run('--workspace-id', 'acme')).toBe('4 of 4 registered in acme/default');
  });

  it('says how it is used when it is used wrongly', async () => {
    await expect(run()).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--workspace-id is missing'),
    });
    await expect(run('--colour', 'red')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('npm run seed'),
    });
  });
});
