import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Database } from '../../clickhouse/client.ts';

/** Readings of a running `npm start`: its processes, its tables, its folder. */
export interface ProcessReading {
  name: string;
  memoryMb: number;
  openFiles: number;
}

/** Every process below the given one, by what it runs. */
export function readProcesses(rootPid: number): ProcessReading[] {
  const parents = new Map(listPids().map((pid) => [pid, parentOf(pid)]));
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === rootPid || isBelow(parent));
  };
  return [rootPid, ...[...parents.keys()].filter(isBelow)].flatMap((pid) => {
    try {
      return [{ name: nameOf(pid, rootPid), memoryMb: memoryOf(pid), openFiles: openFilesOf(pid) }];
    } catch {
      // It ended between the two looks.
      return [];
    }
  });
}

const listPids = (): number[] => readdirSync('/proc').map(Number).filter(Number.isInteger);

function parentOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1]);
  } catch {
    return 0;
  }
}

function nameOf(pid: number, rootPid: number): string {
  if (pid === rootPid) return 'start';
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const script = command.find((part) => part.endsWith('.ts'));
  const [program = ''] = command;
  // The shell that guards it has the same words behind its own.
  const isKafka = program.endsWith('java') && command.some((part) => part.startsWith('kafka.Kafka'));
  if (script === undefined) return isKafka ? 'Kafka' : program;
  if (script.endsWith('clickhouse-child.ts')) return 'ClickHouse';
  return script.replace(/^.*?(pipelines|services)\//, '$1/').replace(/\/main\.ts$/, '');
}

/** What a process took for itself: pages of its program files are given back and read again as the system sees fit. */
function memoryOf(pid: number): number {
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Sockets and files; pipes and counters of the runtime come and go by themselves, and few at a time. */
function openFilesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return !readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('anon_inode:');
    } catch {
      return false;
    }
  }).length;
}

export interface TableReading {
  parts: Map<string, number>;
  storedRows: number;
}

export async function readTables(database: Database): Promise<TableReading> {
  const rows = await database.rows<{ table: string; parts: number }>(
    'SELECT table, toFloat64(count()) AS parts FROM system.parts WHERE database = currentDatabase() AND active GROUP BY table',
  );
  const [ledger] = await database.rows<{ stored: number }>('SELECT toFloat64(sum(stored)) AS stored FROM chunks FINAL');
  return { parts: new Map(rows.map(({ table, parts }) => [table, parts])), storedRows: ledger?.stored ?? 0 };
}

export const diskBytesOf = (folder: string): number =>
  // Files of parts that have just been merged away vanish while they are counted, which du calls a failure.
  Number(
    execFileSync('sh', ['-c', 'du -sb "$1" 2>/dev/null || true', 'sh', folder], { encoding: 'utf8' }).split('\t')[0],
  );
