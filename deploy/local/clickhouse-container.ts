import path from 'node:path';
import type { EmbeddedClickHouse } from './clickhouse.ts';
import { type ClickHouseUsers, type ReadableTable, renderUsersFile } from './clickhouse-users.ts';
import type { ProcessExit } from './guarded-process.ts';

const image = 'clickhouse/clickhouse-server:26.7';

interface ContainerAccess {
  database: string;
  users: ClickHouseUsers;
  readable: readonly ReadableTable[];
}

/**
 * ClickHouse in a container, for platforms that the embedded engine is not built for. The library
 * that drives Docker is loaded only here, because it is large and most starts do without it; it
 * also removes the container when this process is killed.
 */
export async function startClickHouseContainer(dataDir: string, access: ContainerAccess): Promise<EmbeddedClickHouse> {
  const container = await runContainer(dataDir, access);
  const listeners: ((exit: ProcessExit) => void)[] = [];
  let settle: (exit: ProcessExit) => void = () => {};
  const exited = new Promise<ProcessExit>((resolve) => {
    settle = resolve;
  });
  const stop = async () => {
    await container.stop();
    const exit: ProcessExit = { code: 0, signal: null, expected: true };
    settle(exit);
    for (const listener of listeners) listener(exit);
  };
  return {
    url: `http://${container.getHost()}:${container.getMappedPort(8123)}`,
    httpPort: container.getMappedPort(8123),
    tcpPort: container.getMappedPort(9000),
    // It has no process of its own here; its life is the container's.
    pid: 0,
    database: access.database,
    users: access.users,
    logFile: path.join(dataDir, 'clickhouse.log'),
    stop,
    kill: () => void stop(),
    exited,
    onExit: (listener) => void listeners.push(listener),
  };
}

async function runContainer(dataDir: string, access: ContainerAccess) {
  try {
    const { GenericContainer, Wait } = await import('testcontainers');
    const users = renderUsersFile({ ...access, network: '::/0' });
    return await new GenericContainer(image)
      .withExposedPorts(8123, 9000)
      .withCopyContentToContainer([{ content: users, target: '/etc/clickhouse-server/users.xml' }])
      .withBindMounts([{ source: path.join(dataDir, 'data'), target: '/var/lib/clickhouse' }])
      .withWaitStrategy(Wait.forHttp('/ping', 8123))
      .start();
  } catch (error) {
    throw new Error(
      `There is no embedded ClickHouse for ${process.platform} on ${process.arch}, and none could be ` +
        `run in a container (${(error as Error).message}). Start Docker, or set CLICKHOUSE_URL to a ` +
        'ClickHouse server you already have.',
    );
  }
}
