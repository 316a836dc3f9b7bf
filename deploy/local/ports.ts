import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

export type PortName =
  | 'kafka'
  | 'kafkaController'
  | 'clickhouseHttp'
  | 'clickhouseTcp'
  | 'metrics'
  | 'demoMetrics'
  | 'api'
  | 'apiMetrics'
  | 'alertsMetrics'
  | 'insightMetrics';

interface ChosenPorts {
  ports: Record<PortName, number>;
  /** One sentence for each port that was busy, to be shown to the user. */
  notes: string[];
}

/**
 * Takes each wanted port if it is free, and any free one in its place if it is not or none is wanted (0). Only
 * 127.0.0.1 is looked at, because nothing here listens elsewhere.
 */
export async function choosePorts(wanted: Readonly<Record<PortName, number>>): Promise<ChosenPorts> {
  const ports = { ...wanted };
  const notes: string[] = [];
  for (const name of Object.keys(wanted) as PortName[]) {
    const free = await listenOnce(wanted[name]);
    if (free !== undefined && free === wanted[name]) continue;
    ports[name] = await findFreePort(new Set(Object.values(ports)));
    if (wanted[name] !== 0) notes.push(`port ${wanted[name]} (${name}) is busy, using ${ports[name]} instead`);
  }
  return { ports, notes };
}

/** Below the ports that systems hand out: one of those may be an outgoing connection's before a server has come to listen. */
const leastPort = 15_000;
const mostPort = 32_000;
const tries = 100;

/** A port that nobody listens on just now, drawn so that two who look for one at the same time hardly find the same. */
export async function findFreePort(taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (let trial = 0; ; trial++) {
    const port = await listenOnce(trial < tries ? randomInt(leastPort, mostPort) : 0);
    if (port !== undefined && !taken.has(port)) return port;
  }
}

function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      const address = server.address();
      const bound = typeof address === 'object' && address ? address.port : undefined;
      server.close(() => resolve(bound));
    });
  });
}
