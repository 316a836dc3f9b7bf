import { pause, waitUntil } from '../support/launched.ts';
import type { Kind } from '../support/pipeline-process.ts';
import { effectMs, expectEffect, type Fault, type Scene } from './faults.ts';
import { setOffsets, waitForEmptyGroup } from './group-offsets.ts';
import { kinds, type Stand } from './stand.ts';

/** Somebody sets the group elsewhere, while nobody reads. */
function offsetsTo(name: string, choose: (high: number, stand: Stand) => number): Fault {
  return {
    name,
    lane: 'all',
    seconds: 14,
    draw: () => ({}),
    async inject({ stand, fleet }) {
      await fleet.stopAll('kill');
      for (const kind of kinds) await setOffsets(stand, kind, (high) => choose(high, stand));
      fleet.startAll();
    },
  };
}

const groupDeleted: Fault = {
  name: 'group-deleted',
  lane: 'all',
  seconds: 12,
  draw: () => ({}),
  async inject({ stand, fleet }) {
    await fleet.stopAll('kill');
    await waitForEmptyGroup(stand);
    await stand.telemetry.admin.deleteGroups([stand.group]);
    const { groups } = await stand.telemetry.admin.listGroups();
    expectEffect(!groups.some(({ groupId }) => groupId === stand.group), 'the group is still there');
    fleet.startAll();
  },
};

/** Everything sent is stored, and nothing more is sent: what is done to a topic now loses nothing that was half written. */
async function comeToRest({ stand, producers }: Scene): Promise<void> {
  await producers.pause();
  if (!(await stand.waitStored(effectMs))) throw new Error(`${await stand.missing()} records were not stored in time`);
}

/** The topic is made again under the pipelines' eyes; `outgrown` has more records than the old one when they look. */
function madeAgain(name: string, isOutgrown: boolean): Fault {
  return {
    name,
    lane: 'all',
    seconds: 25,
    most: 1,
    draw: (random) => ({ kind: random.pick(['executions', 'tasks']), stopped: random.pick(['yes', 'no']) }),
    async inject(scene, { kind: drawn, stopped }) {
      const { stand, fleet, producers } = scene;
      const kind = drawn as 'executions' | 'tasks';
      const topic = stand.telemetry.topics[kind];
      await comeToRest(scene);
      const old = await stand.telemetry.admin.fetchTopicOffsets(topic);
      if (stopped === 'yes') await fleet.stopAll();
      await deleteTopic(stand, topic);
      await makeTopic(stand, kind);
      await producers.renew();
      if (isOutgrown) await outgrow(stand, kind, Math.max(...old.map(({ high }) => Number(high))) + 50);
      producers.resume();
      if (stopped === 'yes') fleet.startAll();
      await waitForRefusal(scene, topic);
      await fleet.stopAll();
      stand.epochs[kind]++;
      fleet.startAll();
    },
  };
}

async function deleteTopic({ telemetry: { admin } }: Stand, topic: string): Promise<void> {
  await admin.deleteTopics({ topics: [topic] });
  const isGone = async () => !(await admin.listTopics()).includes(topic);
  expectEffect(await waitUntil(isGone, effectMs), `${topic} is still there`);
}

/** On a busy machine the topic is there some time after it was made. */
async function makeTopic({ telemetry }: Stand, kind: Kind): Promise<void> {
  await telemetry.makeTopics([kind]).catch(() => undefined);
  const isThere = async () =>
    (await telemetry.admin.fetchTopicOffsets(telemetry.topics[kind]).catch(() => [])).length > 0;
  expectEffect(await waitUntil(isThere, effectMs), `${telemetry.topics[kind]} was not made again`);
}

/** Records that say nothing of anybody, in every partition. */
async function outgrow({ telemetry }: Stand, kind: Kind, records: number): Promise<void> {
  const partitions = await telemetry.admin.fetchTopicOffsets(telemetry.topics[kind]);
  for (const { partition } of partitions) {
    for (let from = 0; from < records; from += 1_000) {
      const count = Math.min(1_000, records - from);
      await telemetry.send(
        kind,
        Array.from({ length: count }, (_, index) => ({ value: `filler ${from + index}`, partition })),
      );
    }
  }
}

async function waitForRefusal({ fleet }: Scene, topic: string): Promise<void> {
  const isRefused = () =>
    fleet.living.some(
      (process) =>
        process.output().includes(`${topic}[`) && /is not the log that was read before/.test(process.output()),
    );
  expectEffect(await waitUntil(isRefused, effectMs), `nobody refused ${topic}, which was made again`);
}

/** Records go that nobody has read; what had been read is all stored. */
const retention: Fault = {
  name: 'retention',
  lane: 'all',
  seconds: 22,
  draw: (random) => ({
    kind: random.pick(['executions', 'tasks', 'orchestrators']),
    share: random.between(0.2, 0.9).toFixed(2),
  }),
  async inject(scene, { kind: drawn, share }) {
    const { stand, fleet, producers } = scene;
    const kind = drawn as Kind;
    const topic = stand.telemetry.topics[kind];
    await comeToRest(scene);
    await fleet.stopAll();
    const read = new Map(
      (await stand.telemetry.admin.fetchTopicOffsets(topic)).map(({ partition, high }) => [partition, Number(high)]),
    );
    producers.resume();
    await pause(3_000);
    const ends = await stand.telemetry.admin.fetchTopicOffsets(topic);
    const partitions = ends.map(({ partition, high }) => {
      const from = read.get(partition) ?? 0;
      return { partition, offset: String(from + Math.ceil((Number(high) - from) * Number(share))) };
    });
    await stand.telemetry.admin.deleteTopicRecords({ topic, partitions });
    const lows = await stand.telemetry.admin.fetchTopicOffsets(topic);
    const unread = lows.reduce(
      (sum, { partition, low }) => sum + Math.max(0, Number(low) - (read.get(partition) ?? 0)),
      0,
    );
    expectEffect(unread > 0, 'retention took nothing that was unread');
    fleet.startAll();
    const isCounted = async () => (await countLost(stand, kind)) >= unread;
    expectEffect(await waitUntil(isCounted, effectMs), `${unread} lost records are not on the books`);
  },
};

async function countLost(stand: Stand, kind: Kind): Promise<number> {
  const [row] = await stand.database.rows<{ lost: number }>(
    'SELECT toFloat64(sum(lost_retention)) AS lost FROM chunks FINAL WHERE stream = {stream: String}',
    { stream: stand.streamOf(kind) },
  );
  return row?.lost ?? 0;
}

/** Keys move to other partitions thereby, so the producers speak of other executions from then on. */
const partitionsAdded: Fault = {
  name: 'partitions-added',
  lane: 'all',
  seconds: 12,
  most: 1,
  draw: () => ({}),
  async inject(scene) {
    const { stand, fleet, producers } = scene;
    const { telemetry } = stand;
    await producers.pause();
    const before = (await telemetry.admin.fetchTopicOffsets(telemetry.topics.tasks)).length;
    await telemetry.admin.createPartitions({
      topicPartitions: kinds.map((kind) => ({ topic: telemetry.topics[kind], count: before + 1 })),
    });
    await producers.renew();
    producers.resume();
    // The client looks for new partitions every five minutes, and whenever the group changes.
    await fleet.replace(0);
    const isRead = async () => {
      const [row] = await stand.database.rows<{ n: number }>(
        'SELECT toFloat64(count()) AS n FROM task_events WHERE stream = {stream: String} AND partition = {partition: UInt32}',
        { stream: stand.streamOf('tasks'), partition: before },
      );
      return (row?.n ?? 0) > 0;
    };
    expectEffect(await waitUntil(isRead, effectMs), 'nothing of the new partition was stored');
  },
};

const schemaEvolution: Fault = {
  name: 'schema-evolution',
  lane: 'pipelines',
  seconds: 4,
  most: 1,
  draw: (random) => ({ marker: `evolved-${random.below(1_000_000)}` }),
  async inject({ stand, producers }, { marker }) {
    const ids = producers.evolve(String(marker));
    const isStored = async () => {
      const rows = await stand.database
        .rows('SELECT 1 FROM task_events WHERE source_version = {marker: String} LIMIT 1', { marker })
        .catch(() => []);
      return rows.length > 0;
    };
    expectEffect(await waitUntil(isStored, effectMs), 'no record of the new schema was stored');
    expectEffect(
      await waitUntil(() => ids.every((id) => stand.servers.schemas.asked.has(id)), effectMs),
      'a schema was not asked for',
    );
  },
};

/**
 * A release that puts records into other cells comes beside the one before, both are killed now and then, the old one goes, and
 * the group is set to zero so that every chunk is folded anew. What the old release left has to be swept.
 */
const upgrade: Fault = {
  name: 'upgrade',
  lane: 'all',
  seconds: 30,
  most: 1,
  draw: (random) => ({ sideBySideMs: 6_000 + random.below(4_000), kills: 1 + random.below(3) }),
  async inject(scene, { sideBySideMs, kills }) {
    const { stand, fleet, trees } = scene;
    if (trees === null) throw new Error('the run did not begin with the older release');
    const old = fleet.size;
    fleet.tree = trees.new;
    for (let index = 0; index < old; index++) fleet.add();
    const hasFolded = async () => (await readFoldVersions(stand)).length > 1;
    for (let index = 0; index < Number(kills); index++) {
      await pause(Number(sideBySideMs) / Number(kills));
      await fleet.replace(index);
    }
    expectEffect(await waitUntil(hasFolded, effectMs), 'the new release folded nothing beside the old one');
    for (let index = 0; index < old; index++) await fleet.remove(0);
    await fleet.stopAll('kill');
    for (const kind of kinds) await setOffsets(stand, kind, () => 0);
    fleet.startAll();
    const isFolded = async () => (await readFoldVersions(stand)).length === 1;
    expectEffect(await waitUntil(isFolded, effectMs), 'chunks of the older fold are still on the books');
  },
};

async function readFoldVersions(stand: Stand): Promise<number[]> {
  const streams = kinds.map((kind) => stand.streamOf(kind));
  const rows = await stand.database
    .rows<{ version: number }>(
      'SELECT DISTINCT fold_version AS version FROM chunks FINAL WHERE stream IN {streams: Array(String)}',
      { streams },
    )
    .catch(() => []);
  return rows.map(({ version }) => version);
}

export const logFaults: readonly Fault[] = [
  offsetsTo('offsets-zero', () => 0),
  offsetsTo('offsets-random', (high, { random }) => random.below(Math.max(1, high))),
  groupDeleted,
  madeAgain('topic-made-again', false),
  madeAgain('topic-outgrown', true),
  retention,
  partitionsAdded,
  schemaEvolution,
  upgrade,
];
