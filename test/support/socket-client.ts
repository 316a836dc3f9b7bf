import { expect } from 'vitest';
import { WebSocket } from 'ws';

/** Anything that a live socket says. */
export interface SocketMessage extends Record<string, unknown> {
  type?: string;
  topic?: string;
  event?: string;
  payload?: Record<string, unknown>;
  messages?: SocketMessage[];
}

interface OpenOptions {
  key?: string;
  headers?: Record<string, string>;
  protocols?: readonly string[];
}

/** A client of a live socket with everything that it was told. */
export class SocketClient {
  readonly socket: WebSocket;
  readonly messages: SocketMessage[] = [];
  closed: { code: number; reason: string } | null = null;

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data) => this.messages.push(JSON.parse(String(data)) as SocketMessage));
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: String(reason) };
    });
  }

  /** Rejects with what the service answered instead, as `401 {...}`. */
  static open(address: string, { key, headers = {}, protocols = [] }: OpenOptions = {}): Promise<SocketClient> {
    const given = key === undefined ? headers : { ...headers, authorization: `Bearer ${key}` };
    const socket = new WebSocket(address.replace(/^http/, 'ws'), [...protocols], { headers: given });
    const client = new SocketClient(socket);
    return new Promise((resolve, reject) => {
      socket.once('open', () => resolve(client));
      socket.once('error', reject);
      socket.once('unexpected-response', (_, response) => {
        let text = '';
        response.on('data', (chunk) => (text += chunk));
        response.on('end', () => reject(new Error(`${response.statusCode} ${text}`)));
      });
    });
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Subscribes, and waits until the state has been told. */
  async follow(topic: string, more: Record<string, unknown> = {}): Promise<SocketMessage> {
    this.send({ action: 'subscribe', topic, ...more });
    return this.find((message) => message.type === 'snapshot' && message.topic === topic);
  }

  /** The first message of that kind, as soon as it is there. */
  async find(isIt: (message: SocketMessage) => boolean): Promise<SocketMessage> {
    await expect
      .poll(() => this.messages.some(isIt), { timeout: 30_000, message: () => this.describe() } as object)
      .toBe(true);
    return this.messages.find(isIt) as SocketMessage;
  }

  describe(): string {
    return JSON.stringify(this.messages).slice(0, 4_000);
  }

  /** What was told of changes, without the conversation about them. */
  get told(): SocketMessage[] {
    return this.messages.filter(({ type = '' }) => !['subscribed', 'unsubscribed', 'snapshot', 'pong'].includes(type));
  }

  close(): void {
    this.socket.close();
  }
}
