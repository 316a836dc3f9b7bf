import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Kafka 4 brokers are compiled for Java 17. */
const oldestJava = 17;

export interface Java {
  command: string;
  major: number;
  /** The full version, which names the class data archive made by this very JVM. */
  version: string;
}

/** Thrown when no usable Java is there; its message is meant for the user as it stands. */
export class JavaMissing extends Error {
  override name = 'JavaMissing';
}

/** Finds a Java of version 17 or newer: JAVA_HOME first, then the PATH. */
export async function findJava(env: NodeJS.ProcessEnv = process.env): Promise<Java> {
  const found: string[] = [];
  for (const command of listCandidates(env)) {
    const java = await readJavaVersion(command);
    if (java === undefined) continue;
    if (java.major >= oldestJava) return java;
    found.push(`${command} is version ${java.version}`);
  }
  throw new JavaMissing(explainMissingJava(found));
}

function listCandidates(env: NodeJS.ProcessEnv): string[] {
  const folders = (env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== '');
  if (env.JAVA_HOME) folders.unshift(path.join(env.JAVA_HOME, 'bin'));
  return [...new Set(folders.map((folder) => path.join(folder, 'java')))];
}

async function readJavaVersion(command: string): Promise<Java | undefined> {
  try {
    await access(command, constants.X_OK);
    const { stderr, stdout } = await run(command, ['-version'], { timeout: 10_000 });
    return parseJavaVersion(command, `${stderr}\n${stdout}`);
  } catch {
    // macOS ships a `java` that only says where to get one: the same as none.
    return undefined;
  }
}

function parseJavaVersion(command: string, output: string): Java | undefined {
  const version = /version "([^"]+)"/.exec(output)?.[1];
  if (version === undefined) return undefined;
  // Before Java 9 the major version stood second: 1.8.0 is Java 8.
  const [first = '0', second = '0'] = version.split(/[._-]/);
  return { command, version, major: Number(first === '1' ? second : first) };
}

function explainMissingJava(found: readonly string[]): string {
  const what = found.length === 0 ? 'no Java was found' : `only this was found: ${found.join('; ')}`;
  return [
    `The embedded Kafka needs Java ${oldestJava} or newer, and ${what} (looked in JAVA_HOME and PATH).`,
    '  Debian, Ubuntu:  sudo apt install openjdk-17-jre-headless',
    '  Fedora:          sudo dnf install java-21-openjdk-headless',
    '  macOS:           brew install openjdk, then put its bin folder on the PATH',
    'Or set KAFKA_BROKERS=host:port to use a broker you already have; then no Java is needed.',
  ].join('\n');
}
