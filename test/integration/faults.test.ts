import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { oddityDefaults } from '../../services/simulator/oddities.ts';
import { createRandom } from '../../services/simulator/random.ts';
import { pause, waitUntil } from '../support/launched.ts';
import { createOddTelemetry, type OddRecord } from '../support/odd-telemetry.ts';
import { OwnServers } from '../support/own-servers.ts';
import { type Kind, type PipelineProcess, Telemetry } from '../support/pipeline-process.ts';
import { uniqueTopics } from '../support/stack.ts';

/**
 * Random kill -9 of everything while telemetry of the worst kind flows; then peace. Without a hand the lag must go to
 * zero, and a recomputation from the log must find nothing different. WEIR_FAULT_SECONDS and WEIR_FAULT_SEED choose
 * how long and which.
 */
const faultSeconds = Number(process.env.WEIR_FAULT_SECONDS ?? 60);
const seed = Number(process.env.WEIR_FAULT_SEED ?? randomBytes(3).readUIntBE(0, 3));
const random = createRandom(seed);
const kinds: readonly Kind[] = ['executions', 'tasks'];
const instances = 2;

let servers: OwnServers;
let telemetry: Telemetry;
let hasPassed = false;
const pipelines: PipelineProcess[] = [];
const faults = { pipeline: 0, kafka: 0, clickhouse: 0 };
let sent = 0;
let isOver = false;

beforeAll(async () => {
  servers = await OwnServers.create();
  const [kafka] = await Promise.all([servers.startKafka(), servers.startClickHouse()]);
  telemetry = new Telemetry(
    uniqueTopics('faults'),
    { brokers: [kafka.brokers], database: servers.database() },
    // Small, so that chunks end, flushes split them and history has to be asked for all the time.
    { partitions: 3, env: { WEIR_FLUSH_ROWS: '1500', WEIR_HISTORY_RECORDS: '3000' } },
  );
  await telemetry.prepare();
}, 60_000);

afterAll(async () => {
  await telemetry?.close();
  await servers?.stop({ keep: !hasPassed });
}, 60_000);

const startPipeline = () => telemetry.start({}, 'test/support/impatient-pipeline.ts');

/** Sends the demo as fast as the brokers acknowledge it; what was not acknowledged is sent again. */
async function produce(): Promise<void> {
  const demo = createOddTelemetry({
    seed,
    startMs: Date.now() - 7_200_000,
    eventsPerSecond: 15,
    poisonRatio: 0.01,
    farRecords: 4_000,
    oddities: { ...oddityDefaults, disorder: 0.2, late: 0.02, nearDuplicate: 0.03, farDuplicate: 0.02 },
  });
  while (!isOver) {
    const events: OddRecord[] = Array.from({ length: 150 }, () => demo.next().value);
    const topicMessages = kinds.map((kind) => ({
      topic: telemetry.topics[kind],
      messages: events
        .filter((event) => event.topic === kind)
        .map(({ key, value, sendAtMs }) => ({ key, value, timestamp: String(sendAtMs) })),
    }));
    await sendUntilAcknowledged(topicMessages.filter(({ messages }) => messages.length > 0));
    sent += events.length;
    await pause(150);
  }
}

async function sendUntilAcknowledged(
  topicMessages: Parameters<Telemetry['producer']['sendBatch']>[0]['topicMessages'],
) {
  for (;;) {
    try {
      await telemetry.producer.sendBatch({ acks: -1, topicMessages });
      return;
    } catch {
      // The whole batch once more, the acknowledged part of it too: that is what duplicates are.
      await pause(200);
    }
  }
}

const actions = {
  async pipeline() {
    const index = random.below(instances);
    await pipelines[index]?.kill();
    await pause(random.between(0, 1_000));
    pipelines[index] = startPipeline();
  },
  async kafka() {
    servers.kafka?.kill();
    await servers.kafka?.exited;
    // Now and then for so long that members give up what they hold, and nobody but they themselves can take it up again.
    if (random.chance(0.3)) await pause(random.between(6_000, 8_000));
    await servers.startKafka();
  },
  async clickhouse() {
    servers.clickhouse?.kill();
    await servers.clickhouse?.exited;
    await pause(random.between(0, 1_500));
    await servers.startClickHouse();
  },
};

/** Faults of different kinds overlap as chance will have it; one of a kind is over before the next of it begins. */
async function disturb(): Promise<void> {
  const endMs = Date.now() + faultSeconds * 1000;
  const underWay = new Map<keyof typeof faults, Promise<void>>();
  while (Date.now() < endMs) {
    await pause(random.between(300, 2_500));
    const fault = pickFault();
    if (underWay.has(fault)) continue;
    faults[fault]++;
    underWay.set(
      fault,
      actions[fault]().finally(() => underWay.delete(fault)),
    );
  }
  await Promise.all(underWay.values());
}

function pickFault(): keyof typeof faults {
  const drawn = random.next();
  if (drawn < 0.55) return 'pipeline';
  return drawn < 0.8 ? 'clickhouse' : 'kafka';
}

it(
  `has no lag and no difference after ${faultSeconds} s of kill -9 (seed ${seed})`,
  async () => {
    for (let index = 0; index < instances; index++) pipelines.push(startPipeline());
    const producing = produce();
    await disturb();
    isOver = true;
    await producing;
    const peaceMs = Date.now();
    const lags = () => Promise.all(pipelines.map((pipeline) => pipeline.metric('weir_true_lag_records')));
    const settled = await waitUntil(async () => {
      const missing = await Promise.all(kinds.map((kind) => telemetry.missing(kind)));
      return missing.every((records) => records === 0) && (await lags()).every((records) => records === 0);
    }, 90_000);
    const settledMs = Date.now() - peaceMs;
    const why = await Promise.all(pipelines.map((pipeline) => pipeline.whyNotReady()));
    expect(settled, `seed ${seed}: lag ${await lags()}, ${why.join('; ')}\n${telemetry.logs.slice(-6_000)}`).toBe(true);

    const gaveUp = telemetry.logs.split('dropping unsent rows').length - 1;
    const verdict = await telemetry.verify(20);
    const totals = Object.values(verdict.totals);
    const sum = (name: string) => totals.reduce((all, topic) => all + (topic[name] ?? 0), 0);
    console.log(
      `faults: seed ${seed}; ${faults.pipeline} of pipelines, ${faults.kafka} of Kafka, ${faults.clickhouse} of ClickHouse in ${faultSeconds} s; ` +
        `${sent} records sent, ${sum('records')} in the log, ${sum('duplicate')} duplicates, ${sum('dead')} dead letters, ` +
        `${sum('cells')} cells compared, ${sum('different')} different; members gave up ${gaveUp} times; lag was gone ${settledMs} ms after the last fault`,
    );
    expect(verdict, `seed ${seed}: ${verdict.output}`).toMatchObject({ exitCode: 0, different: 0 });
    expect(faults.pipeline).toBeGreaterThan(0);
    expect(sum('records')).toBeGreaterThanOrEqual(sent);
    hasPassed = true;
  },
  (faultSeconds + 200) * 1000,
);
