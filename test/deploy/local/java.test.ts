import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findJava, JavaMissing } from '../../../deploy/local/java.ts';

let folder: string;

/** A `java` that says what a real one of this version would say. */
async function installJava(name: string, version: string): Promise<string> {
  const home = path.join(folder, name);
  await mkdir(path.join(home, 'bin'), { recursive: true });
  await writeFile(path.join(home, 'bin/java'), `#!/bin/sh\necho 'openjdk version "${version}" 2025-04-15' >&2\n`);
  await chmod(path.join(home, 'bin/java'), 0o755);
  return home;
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'weir-java-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('JAVA_HOME comes before the PATH', async () => {
  const home = await installJava('home', '21.0.2');
  const other = await installJava('path', '17.0.1');
  const java = await findJava({ JAVA_HOME: home, PATH: path.join(other, 'bin') });
  expect(java).toEqual({ command: path.join(home, 'bin/java'), major: 21, version: '21.0.2' });
});

test('a Java that is too old is passed over for one that is not', async () => {
  const old = await installJava('old', '1.8.0_302');
  const recent = await installJava('recent', '17');
  expect((await findJava({ JAVA_HOME: old, PATH: path.join(recent, 'bin') })).major).toBe(17);
});

test('without a usable Java the message names what was found, how to get one, and the way without', async () => {
  const old = await installJava('old', '11.0.20');
  const failure = findJava({ JAVA_HOME: '/nowhere', PATH: path.join(old, 'bin') });
  await expect(failure).rejects.toThrow(JavaMissing);
  await expect(failure).rejects.toThrow(/old\/bin\/java is version 11\.0\.20/);
  for (const hint of [/apt install/, /dnf install/, /brew install/, /KAFKA_BROKERS/]) {
    await expect(failure).rejects.toThrow(hint);
  }
  await expect(findJava({ PATH: '' })).rejects.toThrow(/no Java was found/);
});
