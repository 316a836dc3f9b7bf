import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fetchJars, findCacheDir, type JarProgress } from '../../../deploy/local/fetch-jars.ts';
import { type KafkaJar, kafkaJars, kafkaVersion } from '../../../deploy/local/kafka-jars.ts';

const content = Buffer.from('the jar of a library, '.repeat(5_000));
const jar: KafkaJar = {
  groupId: 'org.example',
  artifactId: 'library',
  version: '1.0',
  sha256: createHash('sha256').update(content).digest('hex'),
  sizeBytes: content.length,
};
const jarPath = '/org/example/library/1.0/library-1.0.jar';

let cacheDir: string;
let folder: string;
let mirror: Server;
let mirrorUrl: string;
let ranges: (string | undefined)[];
let answer: (request: IncomingMessage, response: ServerResponse) => void;

/** A Maven repository that honours ranges, as the real ones do. */
function serve(body: Buffer) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': body.length - from });
    response.end(body.subarray(from));
  };
}

beforeEach(async () => {
  cacheDir = await mkdtemp(path.join(tmpdir(), 'weir-cache-'));
  folder = path.join(cacheDir, `kafka-${kafkaVersion}`);
  ranges = [];
  answer = serve(content);
  mirror = createServer((request, response) => {
    ranges.push(request.headers.range);
    if (request.url?.endsWith(jarPath)) answer(request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => mirror.listen(0, '127.0.0.1', resolve));
  const address = mirror.address();
  mirrorUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/maven`;
});

afterEach(async () => {
  mirror.closeAllConnections();
  mirror.close();
  await rm(cacheDir, { recursive: true, force: true });
});

test('a jar comes from the mirror once, and from the cache ever after', async () => {
  const progress: JarProgress[] = [];
  const onProgress = (now: JarProgress) => progress.push({ ...now });
  const [file] = await fetchJars({ cacheDir, mirrorUrl, jars: [jar], onProgress });
  expect(await readFile(file)).toEqual(content);
  expect(progress.at(-1)).toEqual({ jars: 1, jarsDone: 1, bytes: content.length, bytesDone: content.length });
  await fetchJars({ cacheDir, mirrorUrl, jars: [jar] });
  expect(ranges).toEqual([undefined]);
});

test('a fetch that was cut short goes on where it stopped', async () => {
  await mkdir(folder);
  await writeFile(path.join(folder, 'library-1.0.jar.part'), content.subarray(0, 60_000));
  const [file] = await fetchJars({ cacheDir, mirrorUrl, jars: [jar] });
  expect(ranges).toEqual(['bytes=60000-']);
  expect(await readFile(file)).toEqual(content);
});

test('a connection that breaks half-way is taken up again', async () => {
  answer = (_, response) => {
    response.writeHead(200, { 'content-length': content.length });
    response.write(content.subarray(0, 50_000));
    // Late enough for the first half to have reached the disk.
    setTimeout(() => response.destroy(), 100);
    answer = serve(content);
  };
  const [file] = await fetchJars({ cacheDir, mirrorUrl, jars: [jar] });
  expect(await readFile(file)).toEqual(content);
  expect(ranges[1]).toMatch(/^bytes=\d+-$/);
});

test('a jar with a wrong checksum is refused and not kept', async () => {
  answer = serve(Buffer.from(content.toString().replace('library', 'malware')));
  const fetching = fetchJars({ cacheDir, mirrorUrl, jars: [jar] });
  await expect(fetching).rejects.toThrow(/library-1\.0\.jar could not be fetched.*its checksum is not the pinned/);
  expect(await readdir(folder)).toEqual([]);
});

test('a damaged jar in the cache is fetched again', async () => {
  await mkdir(folder);
  await writeFile(path.join(folder, 'library-1.0.jar'), Buffer.alloc(content.length));
  const [file] = await fetchJars({ cacheDir, mirrorUrl, jars: [jar] });
  expect(await readFile(file)).toEqual(content);
});

test('redirects are followed', async () => {
  answer = (_, response) => {
    answer = serve(content);
    response.writeHead(302, { location: `${mirrorUrl}${jarPath}` }).end();
  };
  const [file] = await fetchJars({ cacheDir, mirrorUrl, jars: [jar] });
  expect(await readFile(file)).toEqual(content);
});

test('a mirror that lacks the jar is named, with the setting that chooses another', async () => {
  const missing = { ...jar, artifactId: 'unknown' };
  await expect(fetchJars({ cacheDir, mirrorUrl, jars: [missing] })).rejects.toThrow(
    /answered 404.*set MAVEN_MIRROR_URL/,
  );
});

test('every pinned jar has a checksum and a size, and the cache has a place of its own', () => {
  expect(kafkaJars.length).toBe(46);
  for (const pinned of kafkaJars) {
    expect(pinned.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(pinned.sizeBytes).toBeGreaterThan(0);
  }
  expect(findCacheDir({ XDG_CACHE_HOME: '/home/me/.cache' })).toBe('/home/me/.cache/weir');
  expect(findCacheDir({ WEIR_CACHE_DIR: '/elsewhere' })).toBe('/elsewhere');
});
