import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll } from 'vitest';

export interface Received {
  path: string;
  headers: IncomingHttpHeaders;
  text: string;
  body: {
    id: string;
    workspace: string;
    changes: number;
    left_out: number;
    events: { id: string; type: string; alert: Record<string, unknown> }[];
    summary?: Record<string, Record<string, number>>;
  };
}

/** A real web server that takes webhooks; how it answers is up to the test. */
export class Receiver {
  readonly received: Received[] = [];
  /** Answers a request; by default with 200. */
  answer: (response: ServerResponse, received: Received) => void = (response) => response.end('{}');
  readonly #server: Server;

  static async open(): Promise<Receiver> {
    const receiver = new Receiver();
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve));
    afterAll(() => receiver.close());
    return receiver;
  }

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const text = Buffer.concat(parts).toString();
      const received = {
        path: request.url ?? '',
        headers: request.headers,
        text,
        body: text === '' ? null : JSON.parse(text),
      };
      this.received.push(received as Received);
      this.answer(response, received as Received);
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get ids(): string[] {
    return this.received.flatMap(({ body }) => body.events.map(({ id }) => id));
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

/** As a receiver checks it: written here once more, from the description of the signature and not from our code. */
export function isSigned({ headers, text }: Received, secret: string): boolean {
  const id = String(headers['webhook-id']);
  const timestamp = String(headers['webhook-timestamp']);
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest('base64');
  return headers['webhook-signature'] === `v1,${expected}` && Math.abs(Date.now() / 1000 - Number(timestamp)) < 300;
}
