import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Type } from 'avsc';
import { afterAll } from 'vitest';

/** A schema registry that learns its schemas while the test goes on. */
export class OwnRegistry {
  readonly #schemas = new Map<string, string>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const schema = this.#schemas.get((request.url ?? '').replace('/schemas/ids/', ''));
      response.writeHead(schema === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(schema === undefined ? { error_code: 40403 } : { schema }));
    });
  }

  static async start(): Promise<OwnRegistry> {
    const registry = new OwnRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    afterAll(() => {
      registry.#server.closeAllConnections();
      registry.#server.close();
    });
    return registry;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  learn(id: number, type: Type): void {
    this.#schemas.set(String(id), JSON.stringify(type.schema({ exportAttrs: true })));
  }
}
