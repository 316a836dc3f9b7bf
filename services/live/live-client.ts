import type { RawData, WebSocket } from 'ws';
import { type LiveErrorCode, liveErrors } from '../../schemas/live.ts';
import type { LiveMetrics } from './metrics.ts';

/** Why a socket ends; browsers see the code. From 4000 on they are ours. */
export const closeCodes = { stopping: 1001, tooMuch: 1008, failed: 1011, unauthenticated: 4401 } as const;

export interface LiveClientOptions {
  socket: WebSocket;
  workspace: string;
  /** Bytes that may wait for the client before it misses messages. */
  bufferBytes: number;
  framesPerMinute: number;
  nowMs: () => number;
  metrics: LiveMetrics;
  /** The telemetry family's sockets speak of events where others speak of types. */
  speaksEvents: boolean;
  onFrame: (client: LiveClient, text: string | null) => void;
  onClose: (client: LiveClient) => void;
  /** A mistake of ours: it ends one conversation, not the service. */
  onFailure: (error: unknown) => void;
}

/** Topics that one notice of missed messages names. */
const mostMissedTopics = 50;

/** One connection: what waits for it is bounded, and a client that is not there any more is found out. */
export class LiveClient {
  readonly workspace: string;
  readonly #options: LiveClientOptions;
  readonly #socket: WebSocket;
  #isAlive = true;
  #waitingBefore = 0;
  #missed = 0;
  readonly #missedTopics = new Set<string>();
  #frames = 0;
  #minute = 0;

  constructor(options: LiveClientOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.workspace = options.workspace;
    this.#socket.on('message', (data, isBinary) => this.#take(data, isBinary));
    this.#socket.on('pong', () => {
      this.#isAlive = true;
    });
    this.#socket.once('close', () => options.onClose(this));
  }

  /** Hands a message on, or counts it as missed where too much waits already. */
  send(type: string, bytes: Buffer, topic: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#missed > 0 || this.#socket.bufferedAmount >= this.#options.bufferBytes) {
      this.#miss(topic);
      return;
    }
    this.#options.metrics.messages.inc({ type });
    this.#write(bytes);
  }

  miss(n: number, topic: string): void {
    this.#miss(topic, n);
    this.#tellMissed();
  }

  #miss(topic: string, n = 1): void {
    this.#missed += n;
    this.#options.metrics.missed.inc(n);
    if (this.#missedTopics.size < mostMissedTopics) this.#missedTopics.add(topic);
  }

  #write(bytes: Buffer): void {
    this.#socket.send(bytes, { binary: false }, () => this.#tellMissed());
  }

  /** Once the client has read half of what waited, one notice stands for all that it missed. */
  #tellMissed(): void {
    if (this.#missed === 0 || this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > this.#options.bufferBytes / 2) return;
    const told = { n: this.#missed, topics: [...this.#missedTopics] };
    this.#missed = 0;
    this.#missedTopics.clear();
    this.#write(this.#frame('missed', told));
  }

  /** What is said about the conversation itself. */
  tell(type: string, members: Record<string, unknown> = {}): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#write(this.#frame(type, members));
  }

  refuse(code: LiveErrorCode, message: string, topic?: string): void {
    this.tell('error', {
      ...(topic === undefined ? {} : { topic }),
      error: { code, message, remedy: liveErrors[code] },
    });
  }

  #frame(type: string, members: Record<string, unknown>): Buffer {
    return Buffer.from(
      JSON.stringify(this.#options.speaksEvents ? { event: type, data: members } : { type, ...members }),
    );
  }

  #take(data: RawData, isBinary: boolean): void {
    this.#isAlive = true;
    const minute = Math.floor(this.#options.nowMs() / 60_000);
    if (minute !== this.#minute) this.#frames = 0;
    this.#minute = minute;
    this.#frames++;
    if (this.#frames > this.#options.framesPerMinute) {
      this.refuse('rate_limited', `More than ${this.#options.framesPerMinute} frames came within a minute.`);
      this.close(closeCodes.tooMuch, 'too many frames');
      return;
    }
    try {
      this.#options.onFrame(this, isBinary ? null : String(data));
    } catch (error) {
      this.#options.onFailure(error);
      this.close(closeCodes.failed, 'something went wrong here');
    }
  }

  /** False where the client has neither answered nor read anything since the last time; it is then gone. */
  beat(): boolean {
    const waiting = this.#socket.bufferedAmount;
    const hasRead = waiting > 0 && waiting < this.#waitingBefore;
    this.#waitingBefore = waiting;
    if (!this.#isAlive && !hasRead) {
      this.#socket.terminate();
      return false;
    }
    this.#isAlive = false;
    this.#socket.ping();
    return true;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }
}
