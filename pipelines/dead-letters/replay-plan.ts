import type { Settings } from '../../schemas/settings.ts';
import type { TopicKind } from '../decode.ts';
import type { Letter } from './letters.ts';
import { Problem } from './options.ts';

/** A topic that pipelines read, as the settings and the broker know it. */
export interface TelemetryTopic {
  topic: string;
  kind: TopicKind;
  stream: string;
  /** 0 where the broker has no such topic. */
  partitions: number;
}

export interface PlanOptions {
  topics: readonly TelemetryTopic[];
  /** Changes of what people set up are not telemetry, wherever they would be sent. */
  stateTopic: string;
  toTopic: string | null;
  again: boolean;
  /** Records first sent before this instant are no longer replayed. */
  oldestMs: number;
}

/** Where a letter goes; no partition where its key decides. */
export interface Planned {
  letter: Letter;
  target: TelemetryTopic;
  partition: number | null;
}

/** Why letters are not sent, and what to do about it. */
export const hindrances = {
  stored: 'were replayed before and are stored; --again sends them once more, which counts nothing twice',
  rejected_again: 'were replayed before and rejected again; when the cause is mended, --again sends them once more',
  too_old:
    'are too old: after so long a second replay could no longer be told from the first; raise WEIR_RAW_RETENTION_DAYS before the next time',
  older_epoch:
    'are of an earlier epoch of their topic, which was made again since: their offsets now name other records',
  state: 'are changes of what people set up, which are made anew and not replayed',
  no_topic: 'came from a topic that does not exist or is not read any more; --to-topic names another one',
  no_bytes: 'have outlived their original bytes, which are kept for WEIR_DEAD_LETTER_BYTES_RETENTION_DAYS',
} as const;

export type Hindrance = keyof typeof hindrances;

export function listTelemetryTopics(settings: Settings): Omit<TelemetryTopic, 'partitions'>[] {
  const describe = (topic: string, kind: TopicKind, epoch: number) => ({ topic, kind, stream: `${topic}@${epoch}` });
  return [
    describe(settings.topicExecutions, 'executions', settings.streamEpochExecutions),
    describe(settings.topicTasks, 'tasks', settings.streamEpochTasks),
    describe(settings.topicOrchestrators, 'orchestrators', settings.streamEpochOrchestrators),
  ];
}

const dayMs = 86_400_000;
/** An event lies at most 7 days before its record, looks 7 days back, and clocks and merges get 2 days of grace. */
const lookBackDays = 16;

/**
 * A replayed record is told from its repetition by its stored row. So the row has to live as long as the replay can be read
 * again from the topic, and has to find the rows that it joins or revises.
 */
export function oldestReplayable(settings: Settings, nowMs: number): number {
  return nowMs - (settings.rawRetentionDays - settings.topicRetentionDays - lookBackDays) * dayMs;
}

/** Decides for each letter where it goes, or why it goes nowhere. */
export function createPlan(options: PlanOptions): (letter: Letter) => Planned | Hindrance {
  const { topics, stateTopic, toTopic, again, oldestMs } = options;
  const byName = new Map(topics.map((topic) => [topic.topic, topic]));
  const wanted = toTopic === null ? undefined : byName.get(toTopic);
  if (toTopic !== null && (wanted === undefined || wanted.partitions === 0)) {
    const known = topics.filter(({ partitions }) => partitions > 0).map(({ topic }) => topic);
    throw new Problem(`--to-topic ${toTopic} is none of the telemetry topics ${known.join(', ')}`, 2);
  }
  return (letter) => {
    if (letter.topic === stateTopic) return 'state';
    const own = byName.get(letter.topic);
    if (own !== undefined && own.stream !== letter.stream) return 'older_epoch';
    const target = wanted ?? own;
    if (target === undefined || target.partitions === 0) return 'no_topic';
    if (letter.originTimeMs < oldestMs) return 'too_old';
    if (!again && letter.isStored) return 'stored';
    if (!again && letter.replays > 0) return 'rejected_again';
    return { letter, target, partition: partitionIn(letter, target) };
  };
}

/**
 * Identity is kept within a partition, so a replay has to go where the first one went, whatever partitioner the producer used
 * and however many partitions have been added since. In another topic the key decides, as it does for its other records.
 */
function partitionIn({ topic, partition, keyBytes }: Letter, target: TelemetryTopic): number | null {
  if (topic === target.topic) return partition;
  return keyBytes > 0 ? null : partition % target.partitions;
}
