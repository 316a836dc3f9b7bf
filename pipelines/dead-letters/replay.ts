import type { Settings } from '../../schemas/settings.ts';
import { type Admin, createProducer, type Kafka } from '../kafka.ts';
import { RegistryUnavailable, type SchemaRegistry } from '../schema-registry.ts';
import type { DeadLetters } from './letters.ts';
import { formatCount } from './listing.ts';
import { Problem, type ReplayOptions } from './options.ts';
import { createProgress, type ProgressScreen } from './progress.ts';
import { planAll, readBatches, type Selection, select } from './replay-batch.ts';
import {
  createPlan,
  type Hindrance,
  hindrances,
  listTelemetryTopics,
  oldestReplayable,
  type TelemetryTopic,
} from './replay-plan.ts';
import { type SendTally, sendAll } from './sender.ts';
import { tryReplay } from './trial.ts';

export interface ReplayParts {
  settings: Settings;
  deadLetters: DeadLetters;
  kafka: Kafka;
  registry: SchemaRegistry | null;
  screen: ProgressScreen;
  /** Null where nobody can be asked. */
  ask: ((question: string) => Promise<string>) | null;
  isInterrupted(): boolean;
  nowMs(): number;
}

const interruptedExitCode = 130;

/** Sends dead letters again, or says what would happen. Answers with the exit code. */
export async function replay(options: ReplayOptions, parts: ReplayParts): Promise<number> {
  const { deadLetters, settings, screen } = parts;
  deadLetters.requireBytes();
  const startedMs = parts.nowMs();
  const topics = await readTopics(parts.kafka, settings);
  const oldestMs = oldestReplayable(settings, startedMs);
  const plan = createPlan({ ...options, topics, stateTopic: settings.topicState, oldestMs });
  const planned = () => planAll(deadLetters.readAll(options.filter), plan, { limit: options.limit, startedMs });
  const selection = await select(planned());
  for (const line of describeHindered(selection.hindered)) screen.write(`${line}\n`);
  if (selection.letters === 0) {
    screen.write('nothing to replay\n');
    return 0;
  }
  const batches = () => readBatches(planned(), deadLetters);
  if (options.dryRun) return runTrial(batches(), selection, parts);
  if (!(await isWanted(selection, options, parts))) return 0;
  return send(batches(), selection, parts);
}

async function readTopics(kafka: Kafka, settings: Settings): Promise<TelemetryTopic[]> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const existing = new Set(await admin.listTopics());
    const known = listTelemetryTopics(settings);
    return await Promise.all(
      known.map(async (topic) => ({ ...topic, partitions: await countPartitions(admin, topic.topic, existing) })),
    );
  } finally {
    await admin.disconnect();
  }
}

/** Asked about a topic that is not there, the client would wait until somebody makes it. */
async function countPartitions(admin: Admin, topic: string, existing: ReadonlySet<string>): Promise<number> {
  if (!existing.has(topic)) return 0;
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  return topics[0]?.partitions.length ?? 0;
}

function describeHindered(hindered: ReadonlyMap<Hindrance, number>): string[] {
  return [...hindered].map(
    ([hindrance, count]) => `${formatCount(count, 'dead letter')} left out: they ${hindrances[hindrance]}`,
  );
}

function describeSelection({ letters, bytes, topics }: Selection): string {
  return `${formatCount(letters, 'dead letter')}, ${Math.ceil(bytes / 1024)} KiB, to ${[...topics].join(', ')}`;
}

async function isWanted(selection: Selection, { yes }: ReplayOptions, { ask, screen }: ReplayParts): Promise<boolean> {
  const what = describeSelection(selection);
  if (yes || ask === null) {
    screen.write(`replaying ${what}\n`);
    return true;
  }
  if (/^y(es)?$/i.test((await ask(`replay ${what}? [y/N] `)).trim())) return true;
  screen.write('nothing was sent\n');
  return false;
}

async function runTrial(
  batches: Parameters<typeof tryReplay>[0],
  selection: Selection,
  { registry, settings, isInterrupted, screen }: ReplayParts,
): Promise<number> {
  screen.write(`would replay ${describeSelection(selection)}\n`);
  const result = await tryReplay(batches, registry, settings.maxValueBytes, isInterrupted).catch((error: unknown) => {
    if (error instanceof RegistryUnavailable) throw new Problem(error.message);
    throw error;
  });
  screen.write(`  would be accepted        ${result.accepted}\n`);
  const rejected = [...result.rejected].sort(([, one], [, other]) => other - one);
  for (const [reason, count] of rejected) screen.write(`  would be rejected again  ${count}  ${reason}\n`);
  if (result.withoutBytes > 0)
    screen.write(`  ${formatCount(result.withoutBytes, 'dead letter')} ${hindrances.no_bytes}\n`);
  screen.write('nothing was sent\n');
  return isInterrupted() ? interruptedExitCode : 0;
}

async function send(batches: Parameters<typeof sendAll>[0], selection: Selection, parts: ReplayParts): Promise<number> {
  const { kafka, screen, isInterrupted, nowMs } = parts;
  const producer = createProducer(kafka);
  await producer.connect();
  try {
    const progress = createProgress(selection.letters, screen, nowMs);
    const tally = await sendAll(batches, producer, isInterrupted, progress);
    for (const line of describeSent(tally)) screen.write(`${line}\n`);
    if (tally.tooLarge.length > 0) return 1;
    const isComplete = tally.sent + tally.withoutBytes >= selection.letters;
    if (isComplete || !isInterrupted()) return 0;
    screen.write('interrupted; the same command goes on where this one ended\n');
    return interruptedExitCode;
  } finally {
    await producer.disconnect();
  }
}

const placesNamed = 5;

function describeSent({ sent, withoutBytes, tooLarge }: SendTally): string[] {
  const lines = [`replayed ${formatCount(sent, 'dead letter')}; the pipeline takes them like any other records`];
  if (withoutBytes > 0) lines.push(`${formatCount(withoutBytes, 'dead letter')} ${hindrances.no_bytes}`);
  if (tooLarge.length === 0) return lines;
  const topics = [...new Set(tooLarge.map(({ topic }) => topic))].join(', ');
  const named = tooLarge.slice(0, placesNamed).map(({ place, bytes }) => `${place} (${bytes} bytes)`);
  const more = tooLarge.length > placesNamed ? ` and ${tooLarge.length - placesNamed} more` : '';
  return [
    ...lines,
    `${formatCount(tooLarge.length, 'dead letter')} larger than the broker takes: ${named.join(', ')}${more}`,
    `  raise max.message.bytes of ${topics}, then run the same command again`,
  ];
}
