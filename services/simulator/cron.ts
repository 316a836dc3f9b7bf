/**
 * When a cron expression is due, in UTC. The five usual fields with `*`, lists, ranges and steps; as everywhere,
 * day of month and day of week are alternatives where both are given.
 */
export interface CronSchedule {
  minutes: ReadonlySet<number>;
  hours: ReadonlySet<number>;
  daysOfMonth: ReadonlySet<number> | null;
  months: ReadonlySet<number>;
  daysOfWeek: ReadonlySet<number> | null;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
// The 29th of February may be eight years away.
const daysSearched = 366 * 8 + 3;

export function parseCron(expression: string): CronSchedule {
  const fields = expression.trim().split(/\s+/);
  if (fields.length !== 5) throw new Error(`"${expression}" does not have five fields`);
  const [minutes, hours, daysOfMonth, months, daysOfWeek] = fields;
  return {
    minutes: parseField(minutes, 0, 59),
    hours: parseField(hours, 0, 23),
    daysOfMonth: daysOfMonth === '*' ? null : parseField(daysOfMonth, 1, 31),
    months: parseField(months, 1, 12),
    // Sunday is 0 and 7.
    daysOfWeek: daysOfWeek === '*' ? null : new Set([...parseField(daysOfWeek, 0, 7)].map((day) => day % 7)),
  };
}

function parseField(field: string, least: number, most: number): Set<number> {
  const values = new Set<number>();
  for (const part of field.split(',')) {
    const match = /^(\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/.exec(part);
    if (match === null) throw new Error(`"${part}" is no field of a cron expression`);
    const [, range, first, last, step] = match;
    const from = range === '*' ? least : Number(first);
    const to = range === '*' || (step !== undefined && last === undefined) ? most : Number(last ?? first);
    for (let value = from; value <= to; value += Number(step ?? 1)) values.add(value);
  }
  return values;
}

/** The first instant after `afterMs` at which it is due; infinity where it never is. */
export function nextDue(schedule: CronSchedule, afterMs: number): number {
  const fromMs = (Math.floor(afterMs / minuteMs) + 1) * minuteMs;
  const firstDayMs = Math.floor(fromMs / dayMs) * dayMs;
  for (let day = 0; day < daysSearched; day++) {
    const dayStartMs = firstDayMs + day * dayMs;
    if (!isDueOn(schedule, dayStartMs)) continue;
    const dueMs = nextOfDay(schedule, dayStartMs, fromMs);
    if (dueMs !== null) return dueMs;
  }
  return Number.POSITIVE_INFINITY;
}

function isDueOn({ daysOfMonth, daysOfWeek, months }: CronSchedule, dayStartMs: number): boolean {
  const date = new Date(dayStartMs);
  if (!months.has(date.getUTCMonth() + 1)) return false;
  if (daysOfMonth === null && daysOfWeek === null) return true;
  return (daysOfMonth?.has(date.getUTCDate()) ?? false) || (daysOfWeek?.has(date.getUTCDay()) ?? false);
}

function nextOfDay({ hours, minutes }: CronSchedule, dayStartMs: number, fromMs: number): number | null {
  for (let hour = 0; hour < 24; hour++) {
    const hourStartMs = dayStartMs + hour * hourMs;
    if (!hours.has(hour) || hourStartMs + hourMs <= fromMs) continue;
    for (let minute = 0; minute < 60; minute++) {
      const atMs = hourStartMs + minute * minuteMs;
      if (atMs >= fromMs && minutes.has(minute)) return atMs;
    }
  }
  return null;
}
