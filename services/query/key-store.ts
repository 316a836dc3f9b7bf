import { setTimeout as sleep } from 'node:timers/promises';
import { stateRecordKey } from '../../schemas/state.ts';
import { encodeStateRecord } from '../../schemas/wire.ts';
import { type ApiKey, type KeyRing, toStateRecord } from './api-keys.ts';
import { ApiError } from './errors.ts';
import type { Publisher } from './publisher.ts';

interface KeyStoreOptions {
  ring: KeyRing;
  publisher: Publisher;
  topic: string;
  nowMs: () => number;
}

const patienceMs = 10_000;
const lookMs = 20;

/** Puts keys on the topic of what people set up, and answers when this instance has read them back: then they work. */
export class KeyStore {
  readonly ring: KeyRing;
  readonly #options: KeyStoreOptions;

  constructor(options: KeyStoreOptions) {
    this.ring = options.ring;
    this.#options = options;
  }

  async store(key: ApiKey, said: { author: string; reason: string; requestId: string }): Promise<void> {
    const { publisher, topic, nowMs } = this.#options;
    const record = { ...toStateRecord(key, said.author, nowMs(), said.reason), request_id: said.requestId };
    await publisher.publish([{ topic, key: stateRecordKey(record), value: encodeStateRecord(record) }]);
    const deadlineMs = performance.now() + patienceMs;
    while (this.ring.get(key.id)?.revokedAtMs !== key.revokedAtMs) {
      if (performance.now() > deadlineMs) {
        throw new ApiError('broker_unavailable', 'The key was sent, and could not be read back in time.');
      }
      await sleep(lookMs);
    }
  }
}
