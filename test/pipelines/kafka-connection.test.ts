import { createRequire } from 'node:module';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ClientConnection, mendConnection } from '../../pipelines/kafka-connection.ts';

const client = createRequire(import.meta.url);
const ClientConnectionClass = client('kafkajs/src/network/connection');
const createSocket = client('kafkajs/src/network/socketFactory');
const Encoder = client('kafkajs/src/protocol/encoder');

interface Connection extends ClientConnection {
  socket: Socket;
  send(question: object): Promise<Buffer>;
  disconnect(): Promise<void>;
}

class MendedConnection extends (ClientConnectionClass as new (options: object) => Connection) {}
mendConnection(MendedConnection);

const silent = { namespace: () => silent, info: ignore, error: ignore, warn: ignore, debug: ignore };
function ignore(): void {}

const heartbeatKey = 12;
const question = {
  request: { apiKey: heartbeatKey, apiVersion: 0, apiName: 'Heartbeat', encode: async () => new Encoder() },
  response: {
    decode: async (payload: Buffer) => ({ payload }),
    parse: async ({ payload }: { payload: Buffer }) => payload,
  },
};

/** What a broker does with each request that arrives, in turn. */
let turns: ((socket: Socket, answer: Buffer) => void)[] = [];
const sockets: Socket[] = [];
const server = createServer((socket) => {
  sockets.push(socket);
  socket.on('error', ignore);
  socket.on('data', (request) => {
    const body = Buffer.from('an answer of some length, which arrives in pieces');
    const answer = Buffer.alloc(8 + body.length);
    answer.writeInt32BE(4 + body.length, 0);
    request.copy(answer, 4, 8, 12);
    body.copy(answer, 8);
    (turns.shift() ?? whole)(socket, answer);
  });
});

const whole = (socket: Socket, answer: Buffer) => void socket.write(answer);
const half = (socket: Socket, answer: Buffer) => void socket.end(answer.subarray(0, answer.length / 2));

beforeEach(async () => {
  turns = [];
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

function open(): Connection {
  const { port } = server.address() as AddressInfo;
  return new MendedConnection({
    host: '127.0.0.1',
    port,
    logger: silent,
    socketFactory: createSocket(),
    connectionTimeout: 5_000,
    requestTimeout: 2_000,
  });
}

it('reads the first answer of a new line, whatever came of the last one of the old line', async () => {
  const connection = open();
  await connection.connect();
  turns = [half];
  await expect(connection.send(question)).rejects.toThrow('Closed connection');
  await connection.connect();
  expect((await connection.send(question)).toString()).toBe('an answer of some length, which arrives in pieces');
  await connection.disconnect();
});

it('opens one line for all who find it closed', async () => {
  const connection = open();
  await Promise.all([connection.connect(), connection.connect()]);
  const first = connection.socket;
  await Promise.all([connection.connect(), connection.send(question)]);
  expect(connection.socket).toBe(first);
  expect(sockets).toHaveLength(1);
  await connection.disconnect();
});
