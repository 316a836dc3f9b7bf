import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Type } from 'avsc';

/** A schema registry as far as readers ask it: schemas by their ids. */
export class SchemaServer {
  readonly #schemas = new Map<string, string>();
  readonly #server: Server;
  /** Ids of schemas that somebody has asked for. */
  readonly asked = new Set<number>();

  constructor() {
    this.#server = createServer((request, response) => {
      const id = (request.url ?? '').replace('/schemas/ids/', '');
      this.asked.add(Number(id));
      const schema = this.#schemas.get(id);
      response.writeHead(schema === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(schema === undefined ? { error_code: 40403 } : { schema }));
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  learn(id: number, type: Type): void {
    this.#schemas.set(String(id), JSON.stringify(type.schema({ exportAttrs: true })));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
