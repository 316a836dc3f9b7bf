import { type CronSchedule, nextDue, parseCron } from '../simulator/cron.ts';

/** A schedule that is read once: when it is due, in its time zone. */
export class ScheduleTimes {
  readonly #crons = new Map<string, CronSchedule | null>();
  readonly #clocks = new Map<string, Intl.DateTimeFormat | null>();

  /**
   * The first instant after `afterMs` at which it is due; null where the schedule or its zone cannot be read, since orchestrators
   * have dialects of their own. What is due at a time that summer time leaves out is not waited for: some run it later, some
   * not at all. An hour that summer time repeats counts once.
   */
  nextDue(expression: string, zone: string, afterMs: number): number | null {
    const cron = remembered(this.#crons, expression, parseCron);
    if (cron === null) return null;
    if (zone === '' || zone === 'UTC' || zone === 'Etc/UTC') return nextDue(cron, afterMs);
    const clock = remembered(this.#clocks, zone, createClock);
    if (clock === null) return null;
    let localMs = nextDue(cron, toLocal(clock, afterMs));
    for (let tries = 0; tries < 3 && Number.isFinite(localMs); tries++) {
      const dueMs = toInstant(clock, localMs, afterMs);
      if (dueMs !== null) return dueMs;
      localMs = nextDue(cron, localMs);
    }
    return Number.POSITIVE_INFINITY;
  }
}

function remembered<Value>(known: Map<string, Value | null>, text: string, read: (text: string) => Value) {
  let found = known.get(text);
  if (found === undefined) {
    try {
      found = read(text);
    } catch {
      found = null;
    }
    known.set(text, found);
  }
  return found;
}

const createClock = (zone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    ...{ year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' },
  });

/** What a clock on the wall shows, as if it were UTC. */
function toLocal(clock: Intl.DateTimeFormat, ms: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of clock.formatToParts(ms)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** The first instant after another at which the wall shows that; null where it never does. */
function toInstant(clock: Intl.DateTimeFormat, localMs: number, afterMs: number): number | null {
  const offsets = [afterMs, localMs - 86_400_000, localMs + 86_400_000].map(
    (ms) => toLocal(clock, ms) - floorSecond(ms),
  );
  const candidates = offsets
    .map((offset) => localMs - offset)
    .filter((ms) => ms > afterMs && toLocal(clock, ms) === localMs);
  return candidates.length === 0 ? null : Math.min(...candidates);
}

const floorSecond = (ms: number): number => Math.floor(ms / 1000) * 1000;
