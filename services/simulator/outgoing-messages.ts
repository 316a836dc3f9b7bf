import { encodeOutgoing, type Outgoing } from './delivery.ts';

/** A Kafka message of the demo, with the topic it goes to. */
export interface OutgoingMessage {
  topic: Outgoing['topic'];
  key: string;
  value: Buffer;
  timestampMs: number;
}

// Brokers refuse a batch of more than 1 MB, and all of one send may go to one partition.
const maxSendBytes = 700_000;
// What the record format and a batch's varints add to key and value, at most.
const recordOverheadBytes = 70;

/** In their order, as many at once as one send takes. What was due before `liveFromMs` is history, and carries the time of its event. */
export function* packMessages(
  records: Iterable<Outgoing>,
  liveFromMs: number,
): Generator<OutgoingMessage[], void, void> {
  let messages: OutgoingMessage[] = [];
  let bytes = 0;
  for (const outgoing of records) {
    const { topic, key, sendAtMs, eventTimeMs } = outgoing;
    const value = encodeOutgoing(outgoing);
    const size = Buffer.byteLength(key) + value.length + recordOverheadBytes;
    if (bytes + size > maxSendBytes && messages.length > 0) {
      yield messages;
      messages = [];
      bytes = 0;
    }
    messages.push({ topic, key, value, timestampMs: sendAtMs < liveFromMs ? eventTimeMs : sendAtMs });
    bytes += size;
  }
  if (messages.length > 0) yield messages;
}

/** What one send to brokers is given: topics that there is something for. */
export function byTopic(
  messages: readonly OutgoingMessage[],
  names: Readonly<Record<OutgoingMessage['topic'], string>>,
) {
  return [...Map.groupBy(messages, ({ topic }) => topic)].map(([topic, some]) => ({
    topic: names[topic],
    messages: some.map(({ key, value, timestampMs }) => ({ key, value, timestamp: String(timestampMs) })),
  }));
}
