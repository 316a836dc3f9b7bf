import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKafka, createTopics } from '../../../pipelines/kafka.ts';
import { launch } from '../../support/launched.ts';
import { uniqueTopics, useStack } from '../../support/stack.ts';

const script = path.join(import.meta.dirname, '../../../services/query/keys-command.ts');
const { brokers } = useStack();
const { state } = uniqueTopics('keys');
const silent = { warn: () => undefined, debug: () => undefined };
const admin = createKafka({ brokers, clientId: 'keys-test', tls: null, sasl: null }, silent).admin();

beforeAll(async () => {
  await admin.connect();
  await createTopics(admin, [{ topic: state, partitions: 1, retentionMs: -1 }]);
});
afterAll(() => admin.disconnect());

async function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const env = { KAFKA_BROKERS: brokers.join(','), WEIR_TOPIC_STATE: state };
  const launched = launch(script, { args, env });
  const { code } = await launched.exited;
  return { code, output: launched.output() };
}

describe('npm run keys', () => {
  it('makes a key that is shown once, lists and revokes it', async () => {
    expect((await run('list')).output).toContain('no keys');
    const made = await run('make', '--name', 'grafana', '--role', 'viewer', '--workspace', 'a', '--workspace', 'b');
    const [text, id = ''] = /weir_([0-9a-f]{16})_[\w-]{43}/.exec(made.output) ?? [''];
    expect(made.code, made.output).toBe(0);
    const listed = await run('list');
    expect(listed.output).toMatch(new RegExp(`${id} {2}viewer {2}a, b {2}made .*never expires {2}grafana`));
    // The secret may hold underscores too.
    expect(listed.output).not.toContain(text.slice(`weir_${id}_`.length));
    expect((await run('revoke', id)).output).toContain(`key ${id} is revoked`);
    expect((await run('list')).output).toContain('revoked 20');
  });

  it('says what is wrong with what it was told', async () => {
    const wrong: [string[], string][] = [
      [[], 'npm run keys -- make'],
      [['melt'], 'melt is no action'],
      [['make', '--role', 'viewer', '--workspace', 'a'], '--name'],
      [['make', '--name', 'x', '--role', 'emperor', '--workspace', 'a'], 'viewer, operator, admin'],
      [['make', '--name', 'x', '--role', 'viewer'], '--all-workspaces'],
      [['revoke', '0123456789abcdef'], 'there is no key'],
    ];
    for (const [args, words] of wrong) {
      const { code, output } = await run(...args);
      expect(code, output).toBe(2);
      expect(output).toContain(words);
    }
  });
});
