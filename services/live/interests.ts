import type { TopicKind } from '../../pipelines/decode.ts';
import { idsOf, type LiveTopic } from './live-topic.ts';

export type LogKind = TopicKind | 'alerts';

/** In which logs a topic's changes are reported. */
export const logsOf: Record<LiveTopic['kind'], readonly LogKind[]> = {
  execution: ['executions', 'tasks'],
  workflow: ['executions', 'tasks'],
  task: ['tasks'],
  // Found by analyses, which leave rows and no record.
  pattern: [],
  orchestrator: ['orchestrators'],
  'worker-pool': ['orchestrators'],
  coordination: ['orchestrators'],
  'scaling-events': ['orchestrators'],
  alerts: ['alerts'],
  'telemetry-workflow': ['executions', 'tasks'],
  'telemetry-step': ['tasks'],
};

/** Searching a record for more ids than this costs more than reading it. */
const mostSearched = 16;

interface Interest {
  topics: Map<string, { ids: Buffer[]; followers: number }>;
  /** Topics that no id of their own tells apart in the bytes of a record. */
  anything: number;
}

/**
 * What is followed, as far as it can be told from the bytes of a record: one that does not hold any of the ids that are
 * followed need not be read. Nothing is decided by the key of a record, because producers choose it.
 */
export class Interests {
  readonly #byLog: Record<LogKind, Interest>;

  constructor() {
    const nothing = (): Interest => ({ topics: new Map(), anything: 0 });
    this.#byLog = { executions: nothing(), tasks: nothing(), orchestrators: nothing(), alerts: nothing() };
  }

  add(topic: LiveTopic): void {
    this.#change(topic, 1);
  }

  remove(topic: LiveTopic): void {
    this.#change(topic, -1);
  }

  #change(topic: LiveTopic, by: 1 | -1): void {
    const ids = idsOf(topic);
    const isSearchable = ids.length > 0 && ids.every(isVerbatim);
    for (const log of logsOf[topic.kind]) {
      const interest = this.#byLog[log];
      if (!isSearchable) {
        interest.anything += by;
        continue;
      }
      const key = ids.join('\0');
      const known = interest.topics.get(key) ?? { ids: ids.map((id) => Buffer.from(id)), followers: 0 };
      known.followers += by;
      if (known.followers > 0) interest.topics.set(key, known);
      else interest.topics.delete(key);
    }
  }

  /** Whether anything is followed that is reported there. */
  expects(log: LogKind): boolean {
    const { topics, anything } = this.#byLog[log];
    return anything > 0 || topics.size > 0;
  }

  /** False only where the record cannot be about anything that is followed. */
  mayHold(log: LogKind, value: Buffer | null): boolean {
    const { topics, anything } = this.#byLog[log];
    if (value === null) return false;
    if (anything > 0 || topics.size > mostSearched) return true;
    if (topics.size === 0) return false;
    for (const { ids } of topics.values()) if (ids.every((id) => value.includes(id))) return true;
    return mayBeEscaped(value);
  }
}

/** Whether an id stands in a record as it is: JSON may write a number in many ways. */
const isVerbatim = (id: string): boolean => !/^[\s+-]?[\d.]/.test(id);

const backslash = 0x5c;
const brace = 0x7b;

/** JSON may write any character of an id as an escape. */
const mayBeEscaped = (value: Buffer): boolean => value.includes(brace) && value.includes(backslash);
