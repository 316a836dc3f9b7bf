import { waitUntil } from '../support/launched.ts';
import type { Kind } from '../support/pipeline-process.ts';
import type { Stand } from './stand.ts';

const patienceMs = 60_000;

/** A member that was killed is missed only when its session has ended. */
export async function waitForEmptyGroup({ telemetry, group }: Stand): Promise<void> {
  const isEmpty = async () => {
    const { groups } = await telemetry.admin.describeGroups([group]);
    return groups.every(({ members }) => members.length === 0);
  };
  if (!(await waitUntil(isEmpty, patienceMs))) throw new Error(`the group ${group} still has members`);
}

/** Sets the group's place in every partition of a topic; nobody may be reading. */
export async function setOffsets(stand: Stand, kind: Kind, choose: (high: number) => number): Promise<void> {
  const { telemetry, group: groupId } = stand;
  const topic = telemetry.topics[kind];
  await waitForEmptyGroup(stand);
  const ends = await telemetry.admin.fetchTopicOffsets(topic);
  const chosen = ends.map(({ partition, high }) => ({ partition, offset: choose(Number(high)) }));
  for (const { partition, offset } of chosen)
    stand.plantedOffsets.add(`${stand.streamOf(kind)}/${partition} ${offset}`);
  const partitions = chosen.map(({ partition, offset }) => ({ partition, offset: String(offset) }));
  await telemetry.admin.setOffsets({ groupId, topic, partitions });
  const [entry] = await telemetry.admin.fetchOffsets({ groupId, topics: [topic] });
  for (const { partition, offset } of chosen) {
    const found = entry?.partitions.find((candidate) => candidate.partition === partition)?.offset;
    if (Number(found) !== offset)
      throw new Error(`the group stands at ${found} of ${topic}/${partition}, not at ${offset}`);
  }
}
