import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { type ClientRequestArgs, Agent as HttpAgent, get as httpGet, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { waitForLock } from './instance-lock.ts';
import { type KafkaJar, kafkaJars, kafkaVersion, nameJarFile } from './kafka-jars.ts';

interface FetchJarsOptions {
  cacheDir?: string | undefined;
  /** Base address of a Maven repository to use in place of the public one. */
  mirrorUrl?: string | undefined;
  jars?: readonly KafkaJar[];
  parallel?: number;
  onProgress?: (progress: JarProgress) => void;
}

export interface JarProgress {
  jarsDone: number;
  jars: number;
  bytesDone: number;
  bytes: number;
}

/** A server that sends nothing for this long is taken for dead, and the fetch is tried again. */
const silenceTimeoutMs = 30_000;
const attempts = 3;

export function findCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.WEIR_CACHE_DIR) return path.resolve(env.WEIR_CACHE_DIR);
  return path.join(env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'weir');
}

/**
 * Brings the broker's jars into the cache and returns their paths in class path order. A jar is
 * renamed to its name only once its checksum was right; a fetch that was cut short leaves a `.part`
 * file, and the next one goes on from there.
 */
export async function fetchJars(options: FetchJarsOptions = {}): Promise<string[]> {
  const jars = options.jars ?? kafkaJars;
  const folder = path.join(options.cacheDir ?? findCacheDir(), `kafka-${kafkaVersion}`);
  await mkdir(folder, { recursive: true });
  const missing = await listMissing(folder, jars);
  if (missing.length > 0) {
    // Two starts on one machine share the cache; the second waits and finds everything there.
    const lock = await waitForLock(path.join(folder, 'fetch.lock'));
    try {
      await fetchMissing(folder, await listMissing(folder, jars), jars, options);
    } finally {
      await lock.release();
    }
  }
  return jars.map((jar) => path.join(folder, nameJarFile(jar)));
}

async function listMissing(folder: string, jars: readonly KafkaJar[]): Promise<KafkaJar[]> {
  const present = await Promise.all(jars.map((jar) => hasChecksum(path.join(folder, nameJarFile(jar)), jar)));
  return jars.filter((_, index) => !present[index]);
}

async function fetchMissing(
  folder: string,
  missing: readonly KafkaJar[],
  jars: readonly KafkaJar[],
  options: FetchJarsOptions,
): Promise<void> {
  const bytes = jars.reduce((sum, jar) => sum + jar.sizeBytes, 0);
  const progress = { jars: jars.length, jarsDone: jars.length - missing.length, bytes, bytesDone: 0 };
  progress.bytesDone = bytes - missing.reduce((sum, jar) => sum + jar.sizeBytes, 0);
  // The largest first, so that the last one to arrive is a small one.
  const queue = [...missing].sort((one, other) => other.sizeBytes - one.sizeBytes);
  const onBytes = (count: number) => {
    progress.bytesDone += count;
    options.onProgress?.(progress);
  };
  const work = async () => {
    for (let jar = queue.shift(); jar; jar = queue.shift()) {
      await fetchJar(folder, jar, options.mirrorUrl, onBytes);
      progress.jarsDone++;
      options.onProgress?.(progress);
    }
  };
  await Promise.all(Array.from({ length: options.parallel ?? 6 }, work));
}

async function fetchJar(
  folder: string,
  jar: KafkaJar,
  mirrorUrl: string | undefined,
  onBytes: (count: number) => void,
): Promise<void> {
  const file = path.join(folder, nameJarFile(jar));
  const url = await makeJarUrl(jar, mirrorUrl);
  let problem = '';
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      await downloadPart(url, `${file}.part`, jar, onBytes);
      if (await hasChecksum(`${file}.part`, jar)) return await rename(`${file}.part`, file);
      problem = `its checksum is not the pinned ${jar.sha256}`;
      // What was kept is not what we want, so going on from it would never end well.
      await rm(`${file}.part`, { force: true });
    } catch (error) {
      problem = (error as Error).message;
    }
  }
  throw new Error(
    `${nameJarFile(jar)} could not be fetched from ${new URL(url).origin}: ${problem}. ` +
      'Check the network, or set MAVEN_MIRROR_URL to a Maven repository you can reach.',
  );
}

// Required, not imported: test runners and Node disagree on what the default import of such a package is.
const mvnArtifactUrl = createRequire(import.meta.url)('mvn-artifact-url') as typeof import('mvn-artifact-url');

async function makeJarUrl(jar: KafkaJar, mirrorUrl: string | undefined): Promise<string> {
  const base = mirrorUrl ? `${mirrorUrl.replace(/\/+$/, '')}/` : undefined;
  const { groupId, artifactId, version } = jar;
  return await mvnArtifactUrl.default({ groupId, artifactId, version }, base);
}

async function downloadPart(url: string, part: string, jar: KafkaJar, onBytes: (count: number) => void): Promise<void> {
  const kept = await readSize(part);
  if (kept >= jar.sizeBytes) return;
  const response = await request(url, kept > 0 ? { range: `bytes=${kept}-` } : {});
  const resumed = response.statusCode === 206;
  if (!resumed && response.statusCode !== 200) {
    response.destroy();
    throw new Error(`the server answered ${response.statusCode}`);
  }
  // Counted from zero when the server would not resume, so the bar never runs past its end.
  if (resumed) onBytes(kept);
  let counted = resumed ? kept : 0;
  response.on('data', (chunk: Buffer) => {
    counted += chunk.length;
    onBytes(chunk.length);
  });
  try {
    await pipeline(response, createWriteStream(part, { flags: resumed ? 'a' : 'w' }));
  } catch (error) {
    onBytes(-counted);
    throw error;
  }
}

/** GET with redirects, through the proxy that the environment names (HTTPS_PROXY, NO_PROXY). */
function request(url: string, headers: ClientRequestArgs['headers'], hops = 5): Promise<IncomingMessage> {
  const secure = url.startsWith('https:');
  // Newer than the type declarations: an agent that takes the proxy from the environment.
  const agentOptions: object = { proxyEnv: process.env };
  const agent = secure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
  return new Promise((resolve, reject) => {
    const outgoing = (secure ? httpsGet : httpGet)(url, { headers, agent }, (response) => {
      const { location } = response.headers;
      if (location === undefined || (response.statusCode ?? 0) < 300) return resolve(response);
      response.resume();
      if (hops === 0) return reject(new Error('too many redirects'));
      resolve(request(new URL(location, url).href, headers, hops - 1));
    });
    outgoing.setTimeout(silenceTimeoutMs, () => outgoing.destroy(new Error('the server fell silent')));
    outgoing.once('error', reject);
  });
}

async function hasChecksum(file: string, jar: KafkaJar): Promise<boolean> {
  if ((await readSize(file)) !== jar.sizeBytes) return false;
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex') === jar.sha256;
}

async function readSize(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch {
    return 0;
  }
}
