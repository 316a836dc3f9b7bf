import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { launch, waitUntil } from '../support/launched.ts';

const script = path.join(import.meta.dirname, '../support/example-process.ts');
const env = { WEIR_METRICS_PORT: '0', WEIR_LOG_FORMAT: 'json' };

async function findUrl(process: ReturnType<typeof launch>): Promise<string> {
  return (await process.waitFor(/"url":"([^"]+)"/))[1];
}

describe('a process', () => {
  test('serves metrics, health and readiness with its reason, on loopback', async () => {
    const example = launch(script, { env });
    const url = await findUrl(example);
    await example.waitFor(/connected/);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('process_resident_memory_bytes');
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const unready = await fetch(`${url}/ready`);
    expect(unready.status).toBe(503);
    expect(await unready.json()).toEqual({ ready: false, reason: 'waiting for the first batch' });
    example.child.kill('SIGUSR2');
    expect(await waitUntil(async () => (await fetch(`${url}/ready`)).ok, 2_000)).toBe(true);
    example.child.kill('SIGKILL');
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('stops in order on %s, what came last first', async (signal) => {
    const example = launch(script, { env });
    await example.waitFor(/connected/);
    example.child.kill(signal);
    expect(await example.exited).toEqual({ code: 0, signal: null });
    expect(example.output()).toMatch(/step second.*step first.*stopped/s);
  });

  test('ends at once on a second signal', async () => {
    const example = launch(script, { env: { ...env, STEP_MS: '10000' } });
    await example.waitFor(/connected/);
    example.child.kill('SIGINT');
    await example.waitFor(/stopping/);
    example.child.kill('SIGINT');
    expect((await example.exited).code).toBe(1);
  });

  test('ends with an error when its stop takes too long', async () => {
    const example = launch(script, { env: { ...env, STEP_MS: '10000' } });
    await example.waitFor(/connected/);
    example.child.kill('SIGTERM');
    expect((await example.exited).code).toBe(1);
    expect(example.output()).toContain('the stop took longer than 2000 ms');
  });

  test('stops when its parent says so, if told to watch its input', async () => {
    const example = launch(script, { env: { ...env, WEIR_PARENT_GUARD: 'stdin' }, stdin: 'pipe' });
    await example.waitFor(/connected/);
    example.child.stdin?.end('stop\n');
    expect((await example.exited).code).toBe(0);
    expect(example.output()).toMatch(/asked by the parent.*"msg":"stopped"/s);
  });

  test('does not long outlive a parent that is gone without a word', async () => {
    const slow = { ...env, WEIR_PARENT_GUARD: 'stdin', STEP_MS: '10000' };
    const example = launch(script, { env: slow, stdin: 'pipe' });
    await example.waitFor(/connected/);
    example.child.stdin?.end();
    expect((await example.exited).code).toBe(1);
    expect(example.output()).toContain('the parent is gone');
  });

  test('ends with an error on a bug, and the log says which', async () => {
    const example = launch(script, { env: { ...env, CRASH: '1' } });
    await example.waitFor(/connected/);
    example.child.kill('SIGUSR2');
    expect((await example.exited).code).toBe(1);
    expect(example.output()).toMatch(/"level":60.*a bug.*uncaughtException/);
  });

  test('writes no secret to its log, neither as a field nor within a message', async () => {
    const login = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'me', KAFKA_SASL_PASSWORD: 'corr"ect-horse' };
    const example = launch(script, { env: { ...env, ...login } });
    await example.waitFor(/connected with \[redacted\]/);
    expect(example.output()).toContain('"password":"[redacted]"');
    expect(example.output()).not.toMatch(/hunter2|horse/);
    example.child.kill('SIGKILL');
  });

  test('refuses wrong settings, all of them together, with exit code 2', async () => {
    const example = launch(script, { env: { WEIR_PARTITIONS: 'many', KAFKA_TLS: 'perhaps' } });
    expect((await example.exited).code).toBe(2);
    expect(example.output()).toContain('2 settings are wrong');
  });

  test('takes a free port when its own is busy, and says so', async () => {
    const first = launch(script, { env });
    const port = new URL(await findUrl(first)).port;
    const second = launch(script, { env: { ...env, WEIR_METRICS_PORT: port } });
    await second.waitFor(new RegExp(`port ${port} is busy`));
    expect(new URL(await findUrl(second)).port).not.toBe(port);
    first.child.kill('SIGKILL');
    second.child.kill('SIGKILL');
  });
});
