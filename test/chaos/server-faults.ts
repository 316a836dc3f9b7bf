import { pause, waitUntil } from '../support/launched.ts';
import { effectMs, expectEffect, type Fault, type Lane, type Scene } from './faults.ts';
import type { Stand } from './stand.ts';
import type { ProxyMode, TcpProxy } from './tcp-proxy.ts';

type Server = 'clickhouse' | 'kafka';

const starters: Record<Server, (stand: Stand) => Promise<void>> = {
  clickhouse: ({ servers }) => servers.startClickHouse(),
  kafka: ({ servers }) => servers.startKafka(),
};

function downFor(server: Server, name: string, leastMs: number, mostMs: number, how: 'kill' | 'stop' = 'kill'): Fault {
  return {
    name,
    lane: server,
    seconds: 3 + mostMs / 1_000,
    draw: (random) => ({ lastsMs: Math.round(random.between(leastMs, mostMs)) }),
    async inject({ stand }, { lastsMs }) {
      await stand.servers.healed();
      const process = stand.servers[server];
      if (how === 'kill') process.kill();
      else await process.stop();
      const { signal } = await process.exited;
      expectEffect(how === 'stop' || signal === 'SIGKILL' || !isAlive(process.pid), `${server} is still there`);
      await pause(Number(lastsMs));
      await starters[server](stand);
    },
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Frozen, with its connections open. */
function frozen(server: Server, leastMs: number, mostMs: number): Fault {
  return {
    name: `${server}-frozen`,
    lane: server,
    seconds: 1 + mostMs / 1_000,
    draw: (random) => ({ lastsMs: Math.round(random.between(leastMs, mostMs)) }),
    async inject({ stand }, { lastsMs }) {
      await stand.servers.healed();
      const { pid } = stand.servers[server];
      process.kill(pid, 'SIGSTOP');
      // Threads stop one after the other, and the one that is still running may answer once more.
      const isSilent = await waitUntil(async () => !(await answers(stand, server, 1_000)), effectMs);
      await pause(Number(lastsMs));
      process.kill(pid, 'SIGCONT');
      expectEffect(isSilent, `${server} answered although it was stopped`);
    },
  };
}

async function answers(stand: Stand, server: Server, withinMs: number): Promise<boolean> {
  // The kernel takes up the connection; a word back comes only from the program.
  const asked = server === 'clickhouse' ? stand.database.ping() : stand.telemetry.admin.describeCluster();
  return await Promise.race([asked.then(Boolean, () => false), pause(withinMs).then(() => false)]);
}

const proxyOf = ({ servers }: Stand, server: Server): TcpProxy =>
  server === 'clickhouse' ? servers.clickhouseProxy : servers.kafkaProxy;

/** Something between the pipelines and a server goes wrong for a while, and has to have met somebody. */
function between(server: Server, name: string, seconds: number, choose: (drawn: number) => ProxyMode): Fault {
  const lane: Lane = server;
  return {
    name: `${server}-${name}`,
    lane,
    seconds,
    draw: (random) => ({ lastsMs: Math.round(random.between(0.4, 1) * seconds * 1_000), drawn: random.below(1_000) }),
    async inject({ stand }: Scene, { lastsMs, drawn }) {
      const proxy = proxyOf(stand, server);
      proxy.set(choose(Number(drawn) / 1_000));
      await pause(Number(lastsMs));
      const hasMet = await waitUntil(() => proxy.hits > 0, effectMs);
      proxy.set({ kind: 'pass' });
      expectEffect(hasMet, `${name} met nobody`);
    },
  };
}

const refused = (name: string, settings: string, code: number): Fault =>
  between('clickhouse', name, 6, () => ({ kind: 'refuse', settings, code }));

export const serverFaults: readonly Fault[] = [
  downFor('clickhouse', 'clickhouse-kill', 0, 1_500),
  downFor('clickhouse', 'clickhouse-down', 8_000, 15_000),
  { ...downFor('clickhouse', 'clickhouse-down-for-a-minute', 60_000, 60_000), most: 1 },
  frozen('clickhouse', 3_000, 9_000),
  // The server's own refusals: settings in the address of each request make it find itself in that condition.
  refused('read-only', 'readonly=1', 164),
  refused('memory-limit', 'max_memory_usage=10000&max_untracked_memory=0', 241),
  refused('too-many-parts', 'parts_to_throw_insert=1', 252),
  refused('disk-full', 'min_free_disk_bytes_to_perform_insert=1000000000000000', 243),
  between('clickhouse', 'answers-lost', 5, () => ({ kind: 'lose-answers', ratio: 0.4 })),
  between('clickhouse', 'bodies-cut', 5, () => ({ kind: 'cut', ratio: 0.4 })),
  between('clickhouse', 'latency', 5, (drawn) => ({ kind: 'latency', ms: 100 + drawn * 700 })),
  between('clickhouse', 'black-hole', 6, (drawn) => ({ kind: 'black-hole', heals: drawn < 0.5 })),
  downFor('kafka', 'kafka-kill', 0, 2_000),
  downFor('kafka', 'kafka-restart', 0, 2_000, 'stop'),
  // For so long that members give up what they hold, and nobody but they themselves can take it up again.
  downFor('kafka', 'kafka-down', 6_000, 8_000),
  frozen('kafka', 2_000, 9_000),
  between('kafka', 'answers-lost', 5, () => ({ kind: 'lose-answers', ratio: 0.05 })),
  between('kafka', 'bodies-cut', 5, () => ({ kind: 'cut', ratio: 0.3 })),
  between('kafka', 'latency', 5, (drawn) => ({ kind: 'latency', ms: 50 + drawn * 400 })),
  between('kafka', 'black-hole', 8, (drawn) => ({ kind: 'black-hole', heals: drawn < 0.5 })),
];
