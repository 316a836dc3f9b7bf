import { ApiError } from './errors.ts';

/**
 * Where a page ended, as text that callers hand back and do not read. It names the last row, not a count of rows, so
 * the next page begins right after it whatever has arrived meanwhile.
 */
export function writeCursor(position: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/** The position that a cursor stands for: as many parts as the question has, each of the kind it has. */
export function readCursor<const Kinds extends readonly ('string' | 'number')[]>(
  cursor: string,
  kinds: Kinds,
): { [At in keyof Kinds]: Kinds[At] extends 'string' ? string : number } {
  const parts = parse(cursor);
  const fits =
    Array.isArray(parts) &&
    parts.length === kinds.length &&
    parts.every((part, at) => typeof part === kinds[at] && (typeof part !== 'number' || isCount(part)));
  if (!fits) throw new ApiError('invalid_cursor', 'The cursor is none that this route has given.');
  return parts as unknown as { [At in keyof Kinds]: Kinds[At] extends 'string' ? string : number };
}

/** Positions are offsets, partitions and epoch milliseconds; anything else cannot be bound. */
const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

function parse(cursor: string): unknown {
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString());
  } catch {
    return undefined;
  }
}
