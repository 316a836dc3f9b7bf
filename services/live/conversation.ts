import { readFrame } from './client-frames.ts';
import type { LiveClient } from './live-client.ts';
import type { LiveHub, ReadSnapshot } from './live-hub.ts';
import type { LiveTopic } from './live-topic.ts';

interface ConversationOptions {
  hub: LiveHub;
  mostSubscriptions: number;
  readSnapshot: ReadSnapshot;
}

/** Answers the frames of a client that chooses what it follows. */
export function converse({ hub, mostSubscriptions, readSnapshot }: ConversationOptions) {
  const subscribe = (client: LiveClient, topic: LiveTopic, source: string, wantsSnapshot: boolean) => {
    // Asked for twice it is followed once; the answer says that it is.
    const isNew = !hub.follows(client, topic, source);
    if (isNew && hub.subscriptionsOf(client) >= mostSubscriptions) {
      client.refuse('too_many_subscriptions', `At most ${mostSubscriptions} are followed at once.`, topic.text);
      return;
    }
    client.tell('subscribed', { topic: topic.text });
    if (isNew) hub.follow(client, topic, source, wantsSnapshot ? readSnapshot : null);
  };
  const unsubscribe = (client: LiveClient, topic: LiveTopic, source: string) => {
    if (!hub.follows(client, topic, source)) {
      client.refuse('not_subscribed', 'The topic is not subscribed.', topic.text);
      return;
    }
    hub.unfollow(client, topic, source);
    client.tell('unsubscribed', { topic: topic.text });
  };
  return (client: LiveClient, text: string | null): void => {
    const frame = readFrame(text);
    if (frame.action === 'ping') client.tell('pong');
    else if (frame.action === 'none') client.refuse(frame.code, frame.message, frame.topic);
    else if (frame.action === 'unsubscribe') unsubscribe(client, frame.topic, frame.source);
    else subscribe(client, frame.topic, frame.source, frame.wantsSnapshot);
  };
}

/** Answers the frames of a client whose address says what it follows. */
export function converseOnFixed(client: LiveClient, text: string | null): void {
  const frame = readFrame(text);
  if (frame.action === 'ping') client.tell('pong');
  else if (frame.action === 'none') client.refuse(frame.code, frame.message, frame.topic);
  else client.refuse('fixed_subscription', 'What this socket follows cannot be changed.');
}
