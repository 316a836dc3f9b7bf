import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Database } from '../../../clickhouse/client.ts';
import { readStateEntry, readStateHeads } from '../../../clickhouse/queries/state.ts';
import { makeTopics, stateTopicSpec } from '../../../pipelines/kafka.ts';
import { StateFailure, StatePublisher, type StatePublisherOptions } from '../../../pipelines/state/publisher.ts';
import type { StateRecord } from '../../../schemas/records.ts';
import { stateRevision } from '../../../schemas/state.ts';
import { encodeStateRecord } from '../../../schemas/wire.ts';
import { launch, waitUntil } from '../../support/launched.ts';
import { createTelemetry, type Telemetry } from '../../support/pipeline-process.ts';

const crasher = path.resolve(import.meta.dirname, '../../support/state-crasher.ts');
const patientMs = 60_000;
// Some tests wait until the group misses a member that was killed.
vi.setConfig({ testTimeout: 3 * patientMs });
const entry = { workspace: 'acme', collection: 'silences', key: 'a key/with anything "in" it' };
const by = { changedBy: 'ann' };

/** Topics and a database with a publisher; what the log comes to is told from the database alone. */
class StateBench {
  readonly telemetry: Telemetry;
  readonly database: Database;
  readonly #publishers: StatePublisher[] = [];

  static async create(name: string): Promise<StateBench> {
    const bench = new StateBench(await createTelemetry(name));
    afterAll(() => bench.close());
    return bench;
  }

  private constructor(telemetry: Telemetry) {
    this.telemetry = telemetry;
    this.database = new Database(telemetry.database);
  }

  async publisher(options: Partial<StatePublisherOptions> = {}): Promise<StatePublisher> {
    const { kafka, topics } = this.telemetry;
    const usual = { kafka, database: this.database, topic: topics.state, epoch: 1, timeoutMs: patientMs };
    const publisher = new StatePublisher({ ...usual, ...options });
    await publisher.connect();
    this.#publishers.push(publisher);
    return publisher;
  }

  async makeTopic(): Promise<void> {
    const { topic: name, partitions: numPartitions, retentionMs } = stateTopicSpec(this.telemetry.topics.state);
    const configEntries = [{ name: 'retention.ms', value: String(retentionMs) }];
    const topics = [{ topic: name, numPartitions, replicationFactor: 1, configEntries }];
    await makeTopics(this.telemetry.admin, topics);
  }

  async send(values: readonly (Buffer | null)[]): Promise<void> {
    const messages = values.map((value) => ({ key: 'any', value }));
    await this.telemetry.producer.send({ topic: this.telemetry.topics.state, acks: -1, messages });
  }

  async read(key = entry.key) {
    return await readStateEntry(this.database, { ...entry, key });
  }

  /** How many records are accounted for, and how. */
  async tally(): Promise<Record<string, number>> {
    const rows = await this.telemetry.rows<{ what: string; n: number }>(
      `SELECT outcome AS what, toUInt32(count()) AS n FROM state_changes FINAL GROUP BY what
       UNION ALL SELECT reason, toUInt32(count()) FROM dead_letters FINAL GROUP BY reason`,
    );
    return Object.fromEntries(rows.map(({ what, n }) => [what, n]));
  }

  async waitFor(records: number): Promise<void> {
    const sum = async () => Object.values(await this.tally()).reduce((total, n) => total + n, 0);
    const done = await waitUntil(async () => (await sum()) >= records, patientMs);
    if (!done) throw new Error(`${await sum()} of ${records} records are there: ${this.telemetry.logs}`);
  }

  async close(): Promise<void> {
    await Promise.all(this.#publishers.map((publisher) => publisher.close()));
    await this.database.close();
  }
}

const record = (fields: Partial<StateRecord> = {}): StateRecord => ({
  ...entry,
  value: '1',
  changed_by: 'ann',
  changed_at: Date.UTC(2026, 5, 1),
  ...fields,
});

describe('state that people make', async () => {
  const bench = await StateBench.create('state');
  let publisher: StatePublisher;
  beforeAll(async () => {
    await bench.telemetry.startReady();
    publisher = await bench.publisher();
  });

  it('can be read back as soon as a change is answered', async () => {
    let revision = 0;
    for (let round = 1; round <= 20; round++) {
      const receipt = await publisher.put({
        ...entry,
        ...by,
        value: { round, text: 'ä "1"' },
        expectedRevision: revision,
      });
      expect(receipt).toMatchObject({ previousRevision: revision, isRepeated: false });
      revision = receipt.revision;
      const { value, ...stored } = (await bench.read()) ?? { value: '' };
      expect(stored).toMatchObject({ revision, isDeleted: false, changedBy: 'ann', valueVersion: 1 });
      expect(JSON.parse(value)).toEqual({ round, text: 'ä "1"' });
    }
  });

  it('can be removed, and made again', async () => {
    const gone = await publisher.remove({ ...entry, ...by, reason: 'not needed' });
    expect(await bench.read()).toMatchObject({ revision: gone.revision, isDeleted: true, value: '' });
    const back = await publisher.put({ ...entry, ...by, value: null, expectedRevision: 0 });
    expect(await bench.read()).toMatchObject({ revision: back.revision, isDeleted: false, value: 'null' });
    const [removal] = await bench.telemetry.rows(
      `SELECT reason, previous_ver, deleted FROM state_changes FINAL WHERE ver = ${gone.revision}`,
    );
    expect(removal).toMatchObject({ reason: 'not needed', deleted: true });
  });

  it('goes to one of many who change it at once, and the others learn what it is now', async () => {
    const key = 'contested';
    const { revision } = await publisher.put({ ...entry, key, ...by, value: 0 });
    const others = await Promise.all([bench.publisher(), bench.publisher()]);
    const attempts = Array.from({ length: 9 }, (_, index) =>
      (others[index % 2] ?? publisher).put({
        ...entry,
        key,
        changedBy: `author ${index}`,
        value: index,
        expectedRevision: revision,
      }),
    );
    const settled = await Promise.allSettled(attempts);
    const won = settled.filter((result) => result.status === 'fulfilled').map(({ value }) => value.revision);
    const lost = settled.filter((result) => result.status === 'rejected').map(({ reason }) => reason);
    expect(won).toHaveLength(1);
    expect(lost).toHaveLength(8);
    for (const failure of lost) expect(failure).toBeInstanceOf(StateFailure);
    for (const failure of lost) expect(failure).toMatchObject({ code: 'conflict', currentRevision: won[0] });
    expect(await bench.read(key)).toMatchObject({ revision: won[0] });
  });

  it('counts a request once, even when somebody has changed the entry since', async () => {
    const change = { ...entry, key: 'request', ...by, value: 'mine', requestId: 'request-1' };
    const first = await publisher.put(change);
    const theirs = await publisher.put({ ...entry, key: 'request', changedBy: 'bob', value: 'theirs' });
    expect(await publisher.put(change)).toEqual({
      revision: first.revision,
      previousRevision: theirs.revision,
      isRepeated: true,
    });
    expect(await bench.read('request')).toMatchObject({ value: '"theirs"', changedBy: 'bob' });
  });

  it('says what is wrong with a change, and publishes nothing', async () => {
    const before = await bench.telemetry.admin.fetchTopicOffsets(bench.telemetry.topics.state);
    const refused = (fields: object) => expect(publisher.put({ ...entry, ...by, value: 1, ...fields })).rejects;
    await refused({ value: 'x'.repeat(1_000_000) }).toMatchObject({
      code: 'invalid',
      message: /value has 1000002 bytes/,
    });
    await refused({ value: undefined }).toMatchObject({ code: 'invalid', message: /remove\(\)/ });
    await refused({ value: 1n }).toMatchObject({ code: 'invalid' });
    await refused({ key: '' }).toMatchObject({ code: 'invalid', message: 'key is empty' });
    await refused({ collection: 'No Such' }).toMatchObject({ code: 'invalid' });
    await refused({ expectedRevision: 0.5 }).toMatchObject({ code: 'invalid' });
    expect(await bench.telemetry.admin.fetchTopicOffsets(bench.telemetry.topics.state)).toEqual(before);
  });

  it('accounts for records that are no changes, and goes on behind them', async () => {
    const before = await bench.tally();
    const huge = encodeStateRecord(record({ value: JSON.stringify('x'.repeat(1_000_000 - 200)) }));
    await bench.send([null, Buffer.from('noise'), encodeStateRecord(record({ value: '{' }))]);
    await bench.send([huge]);
    const { revision } = await publisher.put({ ...entry, key: 'behind', ...by, value: 1 });
    expect(await bench.read('behind')).toMatchObject({ revision });
    const applied = (before.applied ?? 0) + 1;
    const dead = { anonymous_deletion: 1, wrong_magic: 1, invalid_json: 1, too_large: 1 };
    expect(await bench.tally()).toEqual({ ...before, applied, ...dead });
    const ends = await bench.telemetry.admin.fetchTopicOffsets(bench.telemetry.topics.state);
    const accounted = Object.values(await bench.tally()).reduce((sum, n) => sum + n, 0);
    expect(accounted).toBe(Number(ends[0]?.high));
  });
});

describe('state after kill -9', async () => {
  const bench = await StateBench.create('state_kill');

  it('is what the log says, wherever the reader died', async () => {
    await bench.makeTopic();
    const total = 30;
    // Every third change names a revision: the one before it, which is right for some and wrong for others.
    const records = Array.from({ length: total }, (_, index) =>
      record({
        key: `k${index % 4}`,
        value: index % 7 === 6 ? null : JSON.stringify(index),
        ...(index % 3 === 2 ? { revision: stateRevision(1, index % 2 === 0 ? index - 4 : index - 1) } : {}),
        ...(index % 5 === 4 ? { request_id: `r${index % 2}` } : {}),
      }),
    );
    for (let step = 1; step <= 6; step++) {
      const from = (step - 1) * 5;
      await bench.send([...records.slice(from, from + 5).map(encodeStateRecord), Buffer.from(`noise ${step}`)]);
      // A group of its own each time, so that nobody waits for the dead one to be missed.
      const env = { ...bench.telemetry.env, WEIR_GROUP_ID: `${bench.telemetry.topics.group}-${step}` };
      const { signal } = await launch(crasher, { args: [String(1 + (step % 2))], env }).exited;
      expect(signal).toBe('SIGKILL');
    }
    const pipeline = await bench.telemetry.startReady();
    await bench.waitFor(total + 6);
    await pipeline.stop();
    const alone = await StateFromLog.read(bench);
    expect(await alone.changes()).toEqual(alone.expectedChanges(records));
    expect(await alone.entries()).toEqual(alone.expectedEntries());
    const { wrong_magic, applied = 0, conflict, repeated } = await bench.tally();
    expect(wrong_magic).toBe(6);
    expect(applied).toBeLessThan(total);
    expect(conflict).toBeGreaterThan(0);
    expect(repeated).toBeGreaterThan(0);
  });

  it('is judged by what was before it, however much of what comes after is stored already', async () => {
    const stored = await bench.telemetry.rows<{ key: string; ver: number; previous_ver: number }>(
      'SELECT key, ver, previous_ver FROM state_changes FINAL ORDER BY ver',
    );
    for (const { key, ver, previous_ver } of stored) {
      const [head] = await readStateHeads(bench.database, [{ ...entry, key, requestId: '' }], ver);
      expect(head?.ver ?? 0).toBe(previous_ver);
    }
    expect(stored.filter(({ previous_ver }) => previous_ver > 0).length).toBeGreaterThan(10);
  });

  it('goes on with another process when its reader is killed', async () => {
    const publisher = await bench.publisher();
    const pipelines = [bench.telemetry.start(), bench.telemetry.start()];
    await Promise.all(pipelines.map((pipeline) => pipeline.ready(patientMs)));
    const key = 'handed over';
    let { revision } = await publisher.put({ ...entry, key, ...by, value: 0 });
    // Only its owner measures how far the topic has been read.
    const owned = `topic="${bench.telemetry.topics.state}"`;
    const findOwner = async () => {
      const texts = await Promise.all(pipelines.map((pipeline) => pipeline.metricsText()));
      return texts.findIndex((text) => text.split('\n').some((line) => /true_lag/.test(line) && line.includes(owned)));
    };
    expect(await waitUntil(async () => (await findOwner()) >= 0, patientMs)).toBe(true);
    await pipelines[await findOwner()]?.kill();
    for (let round = 1; round <= 3; round++) {
      ({ revision } = await publisher.put({ ...entry, key, ...by, value: round, expectedRevision: revision }));
    }
    expect(await bench.read(key)).toMatchObject({ revision, value: '3' });
  });
});

/** The outcome of a log by the plainest means, to compare with what is stored. */
class StateFromLog {
  readonly #bench: StateBench;
  readonly #entries = new Map<string, string>();

  static async read(bench: StateBench): Promise<StateFromLog> {
    return new StateFromLog(bench);
  }

  private constructor(bench: StateBench) {
    this.#bench = bench;
  }

  changes() {
    return this.#bench.telemetry.rows('SELECT offset, key, outcome, value FROM state_changes FINAL ORDER BY offset');
  }

  async entries() {
    const rows = await this.#bench.telemetry.rows<{ key: string; offset: number; value: string }>(
      `SELECT key, toUInt64(ver % ${2 ** 48}) AS offset, value FROM state FINAL`,
    );
    return new Map(rows.map(({ key, offset, value }) => [key, `${offset} ${value}`]));
  }

  /** Five records, then one of noise, and so on. */
  expectedChanges(records: readonly StateRecord[]) {
    const now = new Map<string, { offset: number; isDeleted: boolean }>();
    const requests = new Set<string>();
    return records.map(({ key, value, revision, request_id: request }, index) => {
      const offset = index + Math.floor(index / 5);
      const current = now.get(key);
      const isRepeated = request != null && requests.has(`${key} ${request}`);
      const isSeen = revision == null || revision === stateRevision(1, current?.offset ?? -1);
      const outcome = isRepeated ? 'repeated' : isSeen ? 'applied' : 'conflict';
      if (outcome === 'applied') {
        now.set(key, { offset, isDeleted: value == null });
        if (request != null) requests.add(`${key} ${request}`);
        this.#entries.set(key, `${offset} ${value ?? ''}`);
      }
      return { offset, key, outcome, value: value ?? '' };
    });
  }

  expectedEntries() {
    return this.#entries;
  }
}

describe('a state topic that was made again', async () => {
  const bench = await StateBench.create('state_again');

  it('is refused until its epoch is raised, and then goes on with what was there', async () => {
    const old = await bench.telemetry.startReady();
    const publisher = await bench.publisher();
    await publisher.put({ ...entry, key: 'kept', ...by, value: 'old' });
    const before = await publisher.put({ ...entry, key: 'changed', ...by, value: 'old' });
    await old.stop();
    const { admin, topics } = bench.telemetry;
    await admin.deleteTopics({ topics: [topics.state] });
    const isGone = async () => !(await admin.listTopics()).includes(topics.state);
    expect(await waitUntil(isGone, patientMs)).toBe(true);
    await bench.makeTopic();
    // As many as before and more, so that only their content can tell.
    await bench.send([1, 2, 3].map((value) => encodeStateRecord(record({ key: 'stranger', value: String(value) }))));

    const refusing = bench.telemetry.start();
    const refuses = async () => /WEIR_STREAM_EPOCH_STATE to 2/.test(await refusing.whyNotReady());
    expect(await waitUntil(refuses, patientMs), refusing.output()).toBe(true);
    expect(await refusing.metric('weir_partition_refused', { topic: topics.state })).toBe(1);
    expect(await bench.read('stranger')).toBeNull();
    await refusing.stop();

    await bench.telemetry.startReady({ WEIR_STREAM_EPOCH_STATE: '2' });
    const later = await bench.publisher({ epoch: 2 });
    const change = { ...entry, key: 'changed', ...by, value: 'new', expectedRevision: before.revision };
    const { revision, previousRevision } = await later.put(change);
    expect(previousRevision).toBe(before.revision);
    expect(revision).toBeGreaterThan(before.revision);
    expect(await bench.read('changed')).toMatchObject({ revision, value: '"new"' });
    expect(await bench.read('kept')).toMatchObject({ value: '"old"' });
    expect(await bench.read('stranger')).toMatchObject({ value: '3' });
  });
});

describe('a change while no pipeline runs', async () => {
  const bench = await StateBench.create('state_away');

  it('is told to be on its way, and counts later', async () => {
    await bench.makeTopic();
    const hasty = await bench.publisher({ timeoutMs: 300 });
    const change = { ...entry, ...by, value: 'later', requestId: 'once' };
    await expect(hasty.put(change)).rejects.toMatchObject({ code: 'not_visible', message: /will count in its turn/ });
    await bench.telemetry.startReady();
    const patient = await bench.publisher();
    expect(await patient.put(change)).toMatchObject({ revision: stateRevision(1, 0), isRepeated: true });
    expect(await bench.read()).toMatchObject({ revision: stateRevision(1, 0), value: '"later"' });
  });
});

describe('a state topic of several partitions', async () => {
  const bench = await StateBench.create('state_wide');

  it('is refused, because changes need one order', async () => {
    const { admin, topics } = bench.telemetry;
    await makeTopics(admin, [{ topic: topics.state, numPartitions: 2 }]);
    const pipeline = bench.telemetry.start();
    const refuses = async () => /has 2 partitions/.test(await pipeline.whyNotReady());
    expect(await waitUntil(refuses, patientMs), pipeline.output()).toBe(true);
  });
});
