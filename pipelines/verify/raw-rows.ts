import type { TelemetryEvent } from '../../schemas/events.ts';
import { orchestratorKinds } from '../../schemas/orchestrator-events.ts';
import type { StoredTable } from './stored.ts';

/** Where a record stands in the log, and the version of the code that is said to have folded it. */
export interface Coordinates {
  stream: string;
  partition: number;
  offset: number;
  recordTimeMs: number;
  foldVersion: number;
}

/** A column whose stored value is not what the event says. */
export interface ColumnDifference {
  column: string;
  expected: string;
  found: string;
}

export type CompareRow = (
  row: readonly unknown[],
  event: TelemetryEvent,
  coordinates: Coordinates,
) => ColumnDifference[];

/**
 * Makes the comparison of a raw row, column by column, with the event it must say. Which field a column holds follows
 * from its name alone (`error_message` is error.message, `queued_at` is queuedAtMs), so a mix-up in the list by which
 * rows are written does not repeat itself here. Names are taken apart once; rows are compared by the million.
 */
export function createRowComparison({ columns }: StoredTable): CompareRow {
  const readersByKind = new Map<string, ((fields: Fields, event: Fields) => unknown)[]>();
  return (row, event, coordinates) => {
    const eventFields = event as unknown as Fields;
    const places = coordinates as unknown as Fields;
    let readers = readersByKind.get(event.kind);
    if (readers === undefined) {
      readers = columns.map(({ name, type }) => readerOf(name, type, eventFields, places));
      readersByKind.set(event.kind, readers);
    }
    const differences: ColumnDifference[] = [];
    for (let index = 0; index < columns.length; index++) {
      const expected = readers[index](eventFields, places);
      const stored = row[index];
      // Most columns are plain values, or empty; hashes are not computed again here (see `checkHashes`).
      if (expected === stored || expected === notCompared) continue;
      const { name, type } = columns[index];
      const texts = { expected: canonical(expected), found: canonical(foundValue(stored, type)) };
      if (texts.expected !== texts.found) differences.push({ column: name, ...texts });
    }
    return differences;
  };
}

type Fields = Record<string, unknown>;

const notCompared = Symbol('hash');

function readerOf(
  column: string,
  type: string,
  event: Fields,
  places: Fields,
): (event: Fields, places: Fields) => unknown {
  if (column.endsWith('_hash')) return () => notCompared;
  if (column === 'origin') return ({ origin }) => (origin === null ? [] : [origin]);
  const isInstant = type.includes('DateTime64') && !type.startsWith('Array');
  const name = `${camelCase(column)}${isInstant ? 'Ms' : ''}`;
  if (name in places) return (_, { [name]: value }) => value;
  if (name in event)
    return type.includes('Tuple') ? ({ [name]: value }) => toStored(value) : ({ [name]: value }) => value;
  // Reports of eight kinds share one table; columns of other kinds are empty.
  if ((orchestratorKinds as readonly unknown[]).includes(event.kind)) {
    const empty = emptyValue(type);
    return () => empty;
  }
  const [group, ...rest] = column.split('_');
  const inner = camelCase(rest.join('_'));
  if (inner in ((event[group] ?? {}) as Fields)) return ({ [group]: nested }) => (nested as Fields)[inner];
  throw new Error(`no field of an event is called like the column ${column}`);
}

function emptyValue(type: string): unknown {
  if (type.startsWith('Nullable')) return null;
  if (type.startsWith('Array')) return [];
  return type.startsWith('Map') ? {} : '';
}

const camelCase = (column: string): string => column.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

const snakeCase = (field: string): string =>
  field.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Names of tuple elements are SQL names; keys of maps are data and stay as they are. */
function toStored(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value.map((entry: unknown) =>
    entry === null || typeof entry !== 'object'
      ? entry
      : Object.fromEntries(Object.entries(entry).map(([field, inner]) => [snakeCase(field), toStored(inner)])),
  );
}

/** Instants come back as ISO text, at any depth. */
function foundValue(value: unknown, type: string): unknown {
  if (!type.includes('DateTime64')) return value;
  if (typeof value === 'string') return Date.parse(value);
  if (!Array.isArray(value)) return value;
  return value.map((entry: Record<string, unknown>) =>
    Object.fromEntries(
      Object.entries(entry).map(([name, inner]) => [
        name,
        /(^|_)at$/.test(name) && typeof inner === 'string' ? Date.parse(inner) : inner,
      ]),
    ),
  );
}

/** One text for equal values: keys sorted, broken surrogates as UTF-8 stores them, no negative zero. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === 'string') return inner.toWellFormed();
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    const entries = Object.entries(inner).map(([key, entry]): [string, unknown] => [key.toWellFormed(), entry]);
    return Object.fromEntries(entries.sort(([left], [right]) => (left < right ? -1 : 1)));
  });
}
