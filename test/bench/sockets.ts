import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import { encodeExecutionEvent } from '../../schemas/wire.ts';
import { type Bar, finishBench, percentile, round } from './report.ts';
import { BenchServers, type QueryProcess } from './servers.ts';

/**
 * How long it takes from a producer's send until a client of a live socket has the message, with many clients that only
 * are there and some that are told much. Producer, broker, service and all clients share this machine's cores, so
 * the time of the send itself is in it. Every busy client follows one workflow; how many share one is the fan-out.
 */
const { values: options } = parseArgs({
  options: {
    idle: { type: 'string', default: '2000' },
    busy: { type: 'string', default: '200' },
    rate: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '20' },
    'fan-out': { type: 'string', default: '1,10,50' },
  },
});
const idle = Number(options.idle);
const busy = Number(options.busy);
const rate = Number(options.rate);
const seconds = Number(options.seconds);
/** The one that the bar is about. */
const judgedFanOut = 10;

const executions = 'bench.executions';
const tickMs = 20;

function connect(address: string): Promise<WebSocket> {
  const socket = new WebSocket(address);
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Some at a time, as browsers come. */
async function connectAll(address: string, clients: number): Promise<WebSocket[]> {
  const sockets: WebSocket[] = [];
  while (sockets.length < clients) {
    const some = Array.from({ length: Math.min(50, clients - sockets.length) }, () => connect(address));
    sockets.push(...(await Promise.all(some)));
  }
  return sockets;
}

function follow(socket: WebSocket, topic: string): Promise<void> {
  socket.send(JSON.stringify({ action: 'subscribe', topic, snapshot: false }));
  return new Promise((resolve) => {
    socket.once('message', () => resolve());
  });
}

interface Measured {
  delaysMs: number[];
  expected: number;
  missed: number;
}

async function measure(servers: BenchServers, address: string, fanOut: number): Promise<Measured> {
  const workflows = Math.ceil(busy / fanOut);
  const sockets = await connectAll(address, busy);
  const name = (at: number) => `flow-${fanOut}-${at % workflows}`;
  await Promise.all(sockets.map((socket, at) => follow(socket, `workflow:${name(at)}`)));
  const followers = Array.from({ length: workflows }, (_, at) => Math.ceil((busy - at) / workflows));
  const delaysMs: number[] = [];
  let missed = 0;
  for (const socket of sockets) {
    socket.on('message', (data) => {
      const { type, n, payload } = JSON.parse(String(data)) as {
        type: string;
        n: number;
        payload: { timestamp: string };
      };
      if (type === 'missed') missed += n;
      else delaysMs.push(Date.now() - Date.parse(payload.timestamp));
    });
  }
  let expected = 0;
  const perTick = (rate * tickMs) / 1000;
  const startMs = Date.now();
  for (let tick = 0; tick < (seconds * 1000) / tickMs; tick++) {
    await sleep(Math.max(0, startMs + tick * tickMs - Date.now()));
    const nowMs = Date.now();
    const messages = Array.from({ length: perTick }, (_, index) => {
      const at = tick * perTick + index;
      expected += followers[at % workflows] ?? 0;
      const execution_id = `run-${fanOut}-${at}`;
      const record = { workflow_id: name(at), execution_id, state: 'running', event_time: nowMs, started_at: nowMs };
      return { key: execution_id, value: encodeExecutionEvent(record) };
    });
    void servers.producer.send({ topic: executions, acks: -1, messages });
  }
  const untilMs = Date.now() + 20_000;
  while (delaysMs.length + missed < expected && Date.now() < untilMs) await sleep(50);
  for (const socket of sockets) socket.close();
  return { delaysMs, expected, missed };
}

const memoryMb = async (service: QueryProcess): Promise<number> =>
  (await service.metric('process_resident_memory_bytes')) / 1e6;

const servers = await BenchServers.start();
try {
  const topics = { executions, tasks: 'bench.tasks' };
  for (const topic of Object.values(topics)) await servers.createTopic(topic);
  const service = await servers.startQuery(await servers.createDatabase(), topics);
  const address = `${service.address.replace('http', 'ws')}/ws`;
  const alone = await memoryMb(service);
  const waiting = await connectAll(address, idle);
  await Promise.all(waiting.map((socket, at) => follow(socket, `execution:nothing-${at}`)));
  const withIdle = await memoryMb(service);
  const rows: Record<string, string | number>[] = [
    { run: 'alone', 'memory MB': Math.round(alone) },
    { run: `${idle} idle clients`, 'memory MB': Math.round(withIdle) },
  ];
  let judged: number[] = [];
  let lost = 0;
  for (const fanOut of options['fan-out'].split(',').map(Number)) {
    const cpuBefore = service.cpuSeconds;
    const { delaysMs, expected, missed } = await measure(servers, address, fanOut);
    if (fanOut === judgedFanOut) judged = delaysMs;
    lost += expected - delaysMs.length;
    rows.push({
      run: `and ${busy} busy ones, ${rate} events/s, each to ${fanOut}`,
      'messages/s': Math.round(delaysMs.length / seconds),
      'p50 ms': percentile(delaysMs, 0.5),
      'p99 ms': percentile(delaysMs, 0.99),
      'max ms': percentile(delaysMs, 1),
      missed,
      'not told': expected - delaysMs.length - missed,
      'memory MB': Math.round(await memoryMb(service)),
      'CPU of the service %': round((100 * (service.cpuSeconds - cpuBefore)) / seconds),
    });
    console.log(rows.at(-1));
  }
  for (const socket of waiting) socket.close();
  const bars: Bar[] = [
    { name: 'push-p99', value: percentile(judged, 0.99), unit: 'ms', direction: 'at most', bound: 500 },
    { name: 'push-lost', value: lost, unit: 'messages', direction: 'at most', bound: 0 },
  ];
  finishBench('sockets', rows, bars);
} finally {
  await servers.stop();
}
