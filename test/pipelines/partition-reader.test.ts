import { describe, expect, it } from 'vitest';
import { createDecoder, type LogRecord } from '../../pipelines/decode.ts';
import { PartitionFold } from '../../pipelines/partition.ts';
import { PartitionReader } from '../../pipelines/partition-reader.ts';
import { Writer } from '../../pipelines/writer.ts';
import { ModelStore } from './machine/model-store.ts';

const topic = 'executions';
const beganMs = Date.UTC(2026, 0, 5);

const makeRecord = (name: string, offset: number): LogRecord => ({
  topic,
  partition: 0,
  offset,
  timestampMs: beganMs + offset,
  key: null,
  value: Buffer.from(
    JSON.stringify({
      workflow_id: 'orders',
      execution_id: `${name}-${offset}`,
      state: 'running',
      event_time: beganMs + offset,
    }),
  ),
  headers: undefined,
});

const makeLog = (name: string, length: number) => Array.from({ length }, (_, offset) => makeRecord(name, offset));

/** A log and a client that stands somewhere in it, as readers see Kafka. */
class Scene {
  log: LogRecord[] = [];
  place = 0;
  #nowMs = 0;
  readonly fetches: number[] = [];
  readonly folded: number[] = [];
  /** How many records were decided. */
  decided = 0;
  readonly #store = new ModelStore();
  readonly reader: PartitionReader;

  constructor() {
    const store = this.#store.connect(() => true);
    const sleep = async () => void (await new Promise(setImmediate));
    const writer = new Writer(
      store,
      { flushRows: 1_000_000 },
      { sleep, nowMs: () => 0, commit: async () => undefined },
    );
    const fold = new PartitionFold(
      {
        topic,
        epoch: 1,
        kind: 'executions',
        partition: 0,
        chunkRecords: 64,
        latenessBoundMs: 30_000,
        historyRecords: () => 1_000,
      },
      store,
    );
    this.reader = new PartitionReader(
      fold,
      store,
      createDecoder({ kind: 'executions', registry: null, maxValueBytes: 1_000 }),
      writer,
      {
        committed: async () => null,
        ends: async () => ({ low: this.log[0]?.offset ?? 0, high: this.end }),
        seek: (offset) => {
          this.place = offset;
        },
        pause: () => undefined,
        resume: () => undefined,
      },
      {
        sleep,
        nowMs: () => this.#nowMs,
        folded: ({ stored }, outcomes) => {
          this.folded.push(stored);
          this.decided += outcomes.length;
        },
        waiting: (what, error) => expect.fail(`${what}: ${error.message}`),
        lost: (records) => expect.fail(`${records} lost`),
      },
    );
  }

  passTime(ms: number): void {
    this.#nowMs += ms;
  }

  fallBack(): void {
    this.place = 0;
  }

  get end(): number {
    return (this.log.at(-1)?.offset ?? -1) + 1;
  }

  get stored(): number {
    return this.folded.reduce((sum, records) => sum + records, 0);
  }

  /** Everything that the log has beyond the client's place, in batches. */
  async read(atMost = 100): Promise<void> {
    await this.reader.opened;
    for (let fetches = 0; fetches < 50 && this.place < this.end && this.reader.refusal === null; fetches++) {
      await this.#fetch(atMost);
    }
    await this.#acknowledge();
  }

  async #fetch(atMost: number): Promise<void> {
    const fetchedFrom = this.place;
    const records = this.log.filter(({ offset }) => offset >= fetchedFrom).slice(0, atMost);
    this.fetches.push(fetchedFrom);
    const reading = this.reader.read({
      records,
      fetchedFrom,
      lastOffset: records.at(-1)?.offset ?? fetchedFrom,
      logEnd: this.end,
      isStale: () => false,
      resolve: (offset) => {
        this.place = offset + 1;
      },
      heartbeat: async () => undefined,
    });
    let isRead = false;
    void reading.finally(() => {
      isRead = true;
    });
    while (!isRead) await this.#acknowledge();
    await reading;
  }

  async #acknowledge(): Promise<void> {
    for (const insert of this.#store.pending.splice(0)) {
      insert.apply();
      insert.acknowledge();
    }
    await new Promise(setImmediate);
  }

  get storedRows(): number {
    return this.#store.raw.size;
  }
}

async function readSome(): Promise<Scene> {
  const scene = new Scene();
  scene.log = makeLog('old', 150);
  await scene.read();
  expect(scene.stored).toBe(150);
  return scene;
}

describe('a reader', () => {
  it('does not ask again for what it has while records keep coming', async () => {
    const scene = await readSome();
    scene.log = makeLog('old', 400);
    scene.passTime(90);
    await scene.read();
    expect(scene.stored).toBe(400);
    expect(scene.fetches).toEqual([0, 100, 150, 250, 350]);
  });

  it('proves the log again after a silence and decides nothing twice', async () => {
    const scene = await readSome();
    scene.log = makeLog('old', 180);
    scene.passTime(1_500);
    await scene.read();
    expect(scene.fetches).toEqual([0, 100, 150, 149]);
    expect(scene.stored).toBe(180);
    expect(scene.decided).toBe(180);
    expect(scene.reader.refusal).toBeNull();
  });

  it.each([
    ['after a silence', (scene: Scene) => scene.passTime(1_500)],
    ['after a rebalance', (scene: Scene) => scene.reader.goOn()],
    ['where the client fell back to the beginning', (scene: Scene) => scene.fallBack()],
  ])('refuses another log that outgrew what was read, %s', async (_when, happen) => {
    const scene = await readSome();
    scene.log = makeLog('new', 500);
    happen(scene);
    await scene.read();
    expect(scene.reader.refusal?.reason).toBe('topic_made_again');
    expect(scene.stored).toBe(150);
    expect(scene.storedRows).toBe(150);
  });

  it('does not take records behind the landmark for its proof', async () => {
    const scene = await readSome();
    scene.log = makeLog('new', 500);
    scene.reader.goOn();
    // Fetched before the client heard of the place that was asked for.
    scene.place = 150;
    await scene.read();
    expect(scene.reader.refusal?.reason).toBe('topic_made_again');
    expect(scene.stored).toBe(150);
  });

  it('goes on where retention or compaction took the landmark', async () => {
    const scene = await readSome();
    scene.log = makeLog('old', 300).filter(({ offset }) => offset < 140 || offset > 149);
    scene.reader.goOn();
    await scene.read();
    expect(scene.reader.refusal).toBeNull();
    expect(scene.stored).toBe(300);
  });
});
