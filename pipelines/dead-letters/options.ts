import { parseArgs } from 'node:util';
import { parseInstantMs } from '../instants.ts';
import { rejections } from '../rejections.ts';
import type { LetterFilter, LogPlace } from './letters.ts';

export const help = `npm run dead-letters: looks at records that could not be stored, and sends them again.

  npm run dead-letters -- list   [filters] [--limit N] [--json]
  npm run dead-letters -- show   TOPIC/PARTITION/OFFSET [--bytes]
  npm run dead-letters -- replay [filters] [--limit N] [--dry-run] [--yes] [--again] [--to-topic T]

Filters
  --reason R     only those with this reason
  --topic T      only those of this topic
  --from TIME    only records of this time or later: 2026-07-01, 2026-07-01T10:00Z, or 90m, 24h, 7d ago
  --to TIME      only records before this time
  --limit N      list: the newest N (default 10); replay: the first N that are to be sent

show
  --bytes        the original bytes too, which may hold secrets; needs the user that writes

replay
  --dry-run      sends nothing; says what today's pipeline would make of them
  --yes          asks nothing; so it is where nobody sits at a terminal
  --again        also those that were replayed before, stored or rejected again
  --to-topic T   sends to this one of the telemetry topics instead of the one they came from

  --data DIR     folder of the running npm start whose servers are used (default .weir, or WEIR_DATA_DIR);
                 KAFKA_BROKERS and CLICKHOUSE_URL name servers of your own

A replay may be interrupted and repeated at will: each record counts once for ever, by the place it first had in the log.`;

export type Command = { dataDir: string } & (
  | { action: 'list'; filter: LetterFilter; limit: number; json: boolean }
  | { action: 'show'; place: LogPlace; bytes: boolean }
  | ({ action: 'replay' } & ReplayOptions)
);

export interface ReplayOptions {
  filter: LetterFilter;
  limit: number;
  dryRun: boolean;
  yes: boolean;
  again: boolean;
  toTopic: string | null;
}

/** Something that the person at the command has to do otherwise; 2 is the exit code for a command that makes no sense. */
export class Problem extends Error {
  readonly exitCode: 1 | 2;
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

const listedByDefault = 10;
const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const filterOptions = {
  reason: { type: 'string' },
  topic: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  limit: { type: 'string' },
} as const;
const shared = { data: { type: 'string', default: '.weir' }, help: { type: 'boolean', short: 'h' } } as const;
const options = {
  list: { ...shared, ...filterOptions, json: { type: 'boolean', default: false } },
  show: { ...shared, bytes: { type: 'boolean', default: false } },
  replay: {
    ...shared,
    ...filterOptions,
    'dry-run': { type: 'boolean', default: false },
    yes: { type: 'boolean', default: false },
    again: { type: 'boolean', default: false },
    'to-topic': { type: 'string' },
  },
} as const;

/** The command, or null where help was asked for. */
export function readCommand([action, ...args]: readonly string[], nowMs: number): Command | null {
  if (action === undefined || action === '--help' || action === '-h' || args.includes('--help')) return null;
  try {
    if (action === 'list') return readList(args, nowMs);
    if (action === 'show') return readShow(args);
    if (action === 'replay') return readReplay(args, nowMs);
  } catch (error) {
    if (error instanceof Problem) throw error;
    // The parser's own sentences say which option is wrong.
    throw new Problem((error as Error).message, 2);
  }
  throw new Problem(`there is no ${action}; give list, show or replay, or --help`, 2);
}

function readList(args: string[], nowMs: number): Command {
  const { values } = parseArgs({ args, options: options.list });
  const limit = readLimit(values.limit) ?? listedByDefault;
  return { action: 'list', dataDir: values.data, filter: readFilter(values, nowMs), limit, json: values.json };
}

function readShow(args: string[]): Command {
  const { values, positionals } = parseArgs({ args, options: options.show, allowPositionals: true });
  const [, topic, partition, offset] = /^([\w.-]{1,249})\/(\d{1,10})\/(\d{1,16})$/.exec(positionals[0] ?? '') ?? [];
  if (topic === undefined || positionals.length !== 1) {
    throw new Problem('show takes one TOPIC/PARTITION/OFFSET, as list prints them', 2);
  }
  const place = { topic, partition: Number(partition), offset: Number(offset) };
  return { action: 'show', dataDir: values.data, place, bytes: values.bytes };
}

function readReplay(args: string[], nowMs: number): Command {
  const { values } = parseArgs({ args, options: options.replay });
  return {
    action: 'replay',
    dataDir: values.data,
    filter: readFilter(values, nowMs),
    limit: readLimit(values.limit) ?? Number.POSITIVE_INFINITY,
    dryRun: values['dry-run'],
    yes: values.yes,
    again: values.again,
    toTopic: values['to-topic'] ?? null,
  };
}

interface FilterValues {
  reason?: string | undefined;
  topic?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
}

function readFilter({ reason, topic, from, to }: FilterValues, nowMs: number): LetterFilter {
  if (reason !== undefined && !Object.hasOwn(rejections, reason)) {
    const known = Object.entries(rejections).flatMap(([name, { outcome }]) => (outcome === 'dead' ? [name] : []));
    throw new Problem(`there is no reason ${reason}; the reasons are ${known.join(', ')}`, 2);
  }
  return {
    reason: reason ?? null,
    topic: topic ?? null,
    fromMs: from === undefined ? null : readTime('--from', from, nowMs),
    toMs: to === undefined ? null : readTime('--to', to, nowMs),
  };
}

function readTime(option: string, text: string, nowMs: number): number {
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (amount !== undefined) return nowMs - Number(amount) * unitMs[unit as keyof typeof unitMs];
  const instantMs = parseInstantMs(text);
  if (instantMs !== undefined) return instantMs;
  throw new Problem(`${option} ${text} is no time; give 2026-07-01, 2026-07-01T10:00Z, or 90m, 24h, 7d ago`, 2);
}

function readLimit(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new Problem('--limit takes a whole number of 1 or more', 2);
}
