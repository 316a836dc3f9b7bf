import type { ExecutionEvent, TaskEvent } from '../../schemas/events.ts';
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

/**
 * Compares a raw row, column by column, with the event it must say. Which field a column holds follows from its
 * name alone (`error_message` is error.message, `queued_at` is queuedAtMs), so a mix-up in the list by which
 * rows are written does not repeat itself here.
 */
export function compareRawRow(
  table: StoredTable,
  row: Record<string, unknown>,
  event: ExecutionEvent | TaskEvent,
  coordinates: Coordinates,
): ColumnDifference[] {
  const fields = { ...event, ...coordinates } as unknown as Record<string, unknown>;
  const differences: ColumnDifference[] = [];
  for (const { name, type } of table.columns) {
    // Hashes are not computed again here: that they tell things and events apart is checked over all rows.
    if (name.endsWith('_hash')) continue;
    const expected = canonical(expectedValue(fields, name, type));
    const found = canonical(foundValue(row[name], type));
    if (expected !== found) differences.push({ column: name, expected, found });
  }
  return differences;
}

function expectedValue(fields: Record<string, unknown>, column: string, type: string): unknown {
  if (column === 'origin') return fields.origin === null ? [] : [fields.origin];
  const name = camelCase(column);
  if (type.includes('DateTime64') && !type.startsWith('Array')) return fields[`${name}Ms`];
  if (name in fields) return toStored(fields[name], type);
  const [group, ...rest] = column.split('_');
  const nested = fields[group];
  if (typeof nested === 'object' && nested !== null) {
    return toStored((nested as Record<string, unknown>)[camelCase(rest.join('_'))], type);
  }
  throw new Error(`no field of an event is called like the column ${column}`);
}

const camelCase = (column: string): string => column.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

const snakeCase = (field: string): string =>
  field.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Names of tuple elements are SQL names; keys of maps are data and stay as they are. */
function toStored(value: unknown, type: string): unknown {
  if (!type.includes('Tuple')) return value;
  return (value as object[]).map((entry) =>
    Object.fromEntries(Object.entries(entry).map(([field, inner]) => [snakeCase(field), inner])),
  );
}

/** Instants come back as ISO text, at any depth. */
function foundValue(value: unknown, type: string): unknown {
  if (!type.includes('DateTime64')) return value;
  if (typeof value === 'string') return Date.parse(value);
  if (!Array.isArray(value)) return value;
  return value.map((entry: Record<string, unknown>) => ({
    ...entry,
    at: entry.at === null ? null : Date.parse(entry.at as string),
  }));
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
