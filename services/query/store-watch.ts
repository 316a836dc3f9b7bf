import { type Database, DatabaseError } from '../../clickhouse/client.ts';

interface WatchLog {
  warn(message: string): void;
}

export interface StoreWatch {
  /** '' while ClickHouse answers. */
  whyNotReady(): string;
  stop(): void;
}

const everyMs = 2_000;

/** Knows whether ClickHouse answers, and says once where it would not keep workspaces apart by itself. */
export function watchStore(database: Database, log: WatchLog): StoreWatch {
  let reason = 'ClickHouse has not been asked yet';
  let isStopped = false;
  let hasToldOfFilters = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async () => {
    try {
      reason = '';
      if (!hasToldOfFilters && !(await keepsWorkspacesApart(database))) {
        hasToldOfFilters = true;
        log.warn(
          'the ClickHouse user sees every workspace: only conditions of the questions keep them apart. Give the query service a user with row filters, in CLICKHOUSE_API_USER',
        );
      }
    } catch (error) {
      reason = `ClickHouse: ${error instanceof DatabaseError ? error.message : 'unknown trouble'}`;
    }
    if (!isStopped) timer = setTimeout(look, everyMs);
  };
  void look();
  return {
    whyNotReady: () => reason,
    stop: () => {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

/** A question that names no workspace must see no row that has one. */
async function keepsWorkspacesApart(database: Database): Promise<boolean> {
  const rows = await database.rows<{ seen: number }>(
    "SELECT count() AS seen FROM (SELECT 1 FROM execution_events WHERE workspace != '' LIMIT 1)",
  );
  return rows[0]?.seen === 0;
}
