import { connect, createServer, type Server, type Socket } from 'node:net';
import { pause } from '../support/launched.ts';

/** What happens to the bytes that pass. Every mode but `pass` counts what it did in `hits`. */
export type ProxyMode =
  | { kind: 'pass' }
  | { kind: 'latency'; ms: number }
  /** The server has done its work; the client never hears of it. */
  | { kind: 'lose-answers'; ratio: number }
  /** A large piece is handed on by half, then both ends are gone. */
  | { kind: 'cut'; ratio: number }
  /** Nothing passes and nobody is told; in the end all arrives after all, or the connections are reset. */
  | { kind: 'black-hole'; heals: boolean }
  /** Settings are put into the address of every request, so that ClickHouse itself refuses it with this code. */
  | { kind: 'refuse'; settings: string; code: number };

const largeBytes = 2_000;

interface Link {
  client: Socket;
  server: Socket;
  /** Pieces of each direction keep their order, however long one of them is held up. */
  up: Promise<void>;
  down: Promise<void>;
}

/** Stands between the pipelines and a server. */
export class TcpProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #targetPort: () => number;
  readonly #chance: () => number;
  #mode: ProxyMode = { kind: 'pass' };
  #opened = Promise.withResolvers<boolean>();
  port = 0;
  /** How often the present mode has done something to somebody. */
  hits = 0;

  constructor(targetPort: () => number, chance: () => number) {
    this.#targetPort = targetPort;
    this.#chance = chance;
    this.#server = createServer((client) => this.#accept(client));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  set(mode: ProxyMode): void {
    const before = this.#mode;
    this.hits = 0;
    this.#mode = mode;
    if (before.kind === 'black-hole') this.#opened.resolve(before.heals);
    if (mode.kind === 'black-hole') this.#opened = Promise.withResolvers();
  }

  async close(): Promise<void> {
    for (const link of this.#links) this.#break(link);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    const server = connect(this.#targetPort(), '127.0.0.1');
    const link: Link = { client, server, up: Promise.resolve(), down: Promise.resolve() };
    this.#links.add(link);
    client.setNoDelay();
    server.setNoDelay();
    client.on('data', (piece) => {
      link.up = link.up.then(() => this.#pass(link, piece, server));
    });
    server.on('data', (piece) => {
      link.down = link.down.then(() => this.#pass(link, piece, client));
    });
    for (const end of [client, server]) {
      end.on('error', () => this.#break(link));
      end.on('close', () => this.#break(link));
    }
  }

  async #pass(link: Link, piece: Buffer, to: Socket): Promise<void> {
    const mode = this.#mode;
    const isAnswer = to === link.client;
    if (mode.kind === 'black-hole') {
      this.hits++;
      if (!(await this.#opened.promise)) return this.#break(link);
    } else if (mode.kind === 'latency') {
      this.hits++;
      await pause(mode.ms * (0.5 + this.#chance()));
    } else if (mode.kind === 'lose-answers' && isAnswer && this.#chance() < mode.ratio) {
      this.hits++;
      return this.#break(link);
    } else if (mode.kind === 'cut' && piece.length > largeBytes && this.#chance() < mode.ratio) {
      this.hits++;
      to.write(piece.subarray(0, piece.length / 2), () => this.#break(link));
      return;
    } else if (mode.kind === 'refuse') {
      return this.#refuse(mode, piece, to, isAnswer);
    }
    if (!to.destroyed) to.write(piece);
  }

  #refuse({ settings, code }: ProxyMode & { kind: 'refuse' }, piece: Buffer, to: Socket, isAnswer: boolean): void {
    if (isAnswer && piece.includes(`X-ClickHouse-Exception-Code: ${code}\r\n`)) this.hits++;
    const start = 'POST /?';
    const isRequest = !isAnswer && piece.subarray(0, start.length).toString('latin1') === start;
    if (isRequest) to.write(`${start}${settings}&`);
    if (!to.destroyed) to.write(isRequest ? piece.subarray(start.length) : piece);
  }

  #break(link: Link): void {
    this.#links.delete(link);
    link.client.destroy();
    link.server.destroy();
  }
}
