import type { Level } from '../../clickhouse/queries/windows.ts';
import { ApiError } from './errors.ts';

/** Ranges and steps as callers write them, and as the rollups can answer them. Pure: the clock is an argument. */
export interface RangeQuery {
  time_range?: string;
  from?: string;
  to?: string;
  time_zone?: string;
  step?: string;
}

export interface Steps {
  level: Level;
  fromMs: number;
  /** End of the last window that is asked for; it may lie ahead of now. */
  toMs: number;
  /** Where each step begins; the first begins with the range. */
  startsMs: number[];
  step: string;
}

export interface TimeRange {
  fromMs: number;
  toMs: number;
  zone: string;
}

/** Now, as ranges see it that end with it: everybody who asks within ten seconds asks for the same, and can be answered at once. */
export const roundUpNow = (nowMs: number): number => Math.ceil(nowMs / 10_000) * 10_000;

/** The same with what clocks of producers, brokers and other instances may be ahead of ours, or ends of windows of now. */
export const afterNow = (nowMs: number): number => roundUpNow(nowMs) + clockSlackMs;

const clockSlackMs = 300_000;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const unitsMs: Record<string, number> = { m: minuteMs, h: hourMs, d: dayMs, w: 7 * dayMs };
const levelMs: Record<Level, number> = { '1m': minuteMs, '1h': hourMs, '1d': dayMs };

export const longestRangeDays = 1100;
const mostSteps = 1500;
/** A chart reads well with about this many steps; a step that was not asked for is chosen by it. */
const goodSteps = 120;
const earliestMs = Date.UTC(2015, 0);

/** Steps that may be asked for: those that divide a day, and days, weeks and months of a time zone. */
const stepNames = ['1m', '5m', '15m', '30m', '1h', '3h', '6h', '12h', '1d', '1w', '1mo'] as const;
type StepName = (typeof stepNames)[number];

const stepMs = (step: StepName): number =>
  step === '1mo' ? 30 * dayMs : Number.parseInt(step, 10) * (unitsMs[step.replace(/^\d+/, '')] ?? dayMs);

export function parseRange(query: RangeQuery, fallback: string, nowMs: number): TimeRange {
  const zone = parseZone(query.time_zone ?? 'UTC');
  if (query.from === undefined && query.to !== undefined) refuse('parameter to needs a parameter from');
  if (query.from !== undefined) {
    if (query.time_range !== undefined) refuse('give either time_range, or from and to');
    const fromMs = parseInstant(query.from, 'from', zone);
    const toMs = query.to === undefined ? nowMs : parseInstant(query.to, 'to', zone);
    return checkRange({ fromMs, toMs, zone });
  }
  const text = query.time_range ?? fallback;
  const match = /^(\d{1,5})([mhdw])$/.exec(text);
  const lengthMs = Number(match?.[1] ?? 0) * (unitsMs[match?.[2] ?? ''] ?? 0);
  if (!(lengthMs > 0)) refuse('parameter time_range must look like 30m, 24h, 7d or 4w');
  return checkRange({ fromMs: nowMs - lengthMs, toMs: nowMs, zone });
}

function refuse(message: string): never {
  throw new ApiError('invalid_request', `${message}.`);
}

function checkRange(range: TimeRange): TimeRange {
  if (range.toMs <= range.fromMs) refuse('parameter to must lie after from');
  if (range.fromMs < earliestMs) refuse('the range begins before 2015, where telemetry begins');
  if (range.toMs > earliestMs + 100 * 366 * dayMs) refuse('the range ends too far ahead');
  if (range.toMs - range.fromMs > longestRangeDays * dayMs) {
    throw new ApiError('too_much_asked', `A range may span ${longestRangeDays} days at most.`, { longestRangeDays });
  }
  return range;
}

/** By what callers write; only names that pass are kept, whatever their spelling. */
const zones = new Map<string, string>();
const mostZones = 2_000;

function parseZone(zone: string): string {
  const known = zones.get(zone);
  if (known !== undefined) return known;
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions();
    if (zones.size < mostZones) zones.set(zone, timeZone);
    return timeZone;
  } catch {
    return refuse('parameter time_zone must be an IANA name such as Europe/Berlin');
  }
}

/** One instant, in the words of a range. */
export const parseInstantParameter = (text: string, name: string, zone = 'UTC'): number =>
  parseInstant(text, name, parseZone(zone));

/** An instant with its offset, or a day or local time of the zone. */
function parseInstant(text: string, name: string, zone: string): number {
  const isLocal = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?)?$/.test(text);
  const isInstant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/.test(text);
  const ms = isLocal ? Date.parse(`${text}${text.includes('T') ? '' : 'T00:00:00'}Z`) : Date.parse(text);
  if (!(isLocal || isInstant) || Number.isNaN(ms) || !isCalendarDay(text.slice(0, 10))) {
    refuse(`parameter ${name} must be an ISO 8601 instant or a day`);
  }
  return isLocal ? fromLocal(ms, zone) : ms;
}

/** The parser takes a 30th of February for the 2nd of March. */
function isCalendarDay(day: string): boolean {
  const ms = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(day);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** How far the clocks of a zone are ahead of UTC at an instant. */
function zoneOffsetMs(zone: string, ms: number): number {
  if (zone === 'UTC') return 0;
  let format = formats.get(zone);
  if (format === undefined) {
    const digits = 'numeric';
    const parts = { year: digits, month: digits, day: digits, hour: digits, minute: digits, second: digits } as const;
    format = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', era: 'short', ...parts });
    // Names of zones come from callers, but there are only a few hundred that pass.
    formats.set(zone, format);
  }
  const part = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000;
}

/** The instant at which a zone's clocks show this time; where they jump over it, the instant of the jump or near it. */
function fromLocal(localMs: number, zone: string): number {
  const guessMs = localMs - zoneOffsetMs(zone, localMs);
  const ms = localMs - zoneOffsetMs(zone, guessMs);
  return zoneOffsetMs(zone, ms) === localMs - ms ? ms : Math.max(ms, guessMs);
}

/** The rollup that answers a range as a whole: the finest that is still small, for its ends are cut least. */
function levelOfRange(fromMs: number, toMs: number): Level {
  const lengthMs = toMs - fromMs;
  if (lengthMs <= 6 * hourMs) return '1m';
  return lengthMs <= 45 * dayMs ? '1h' : '1d';
}

/** The range as windows of a level, and all of it one step. */
export function wholeRange({ fromMs, toMs }: TimeRange): Steps {
  const level = levelOfRange(fromMs, toMs);
  const size = levelMs[level];
  const alignedMs = Math.floor(fromMs / size) * size;
  return { level, fromMs: alignedMs, toMs: Math.ceil(toMs / size) * size, startsMs: [alignedMs], step: 'all' };
}

/** The range of the same length right before; its windows join on to those of the range. */
export function periodBefore({ level, fromMs, toMs }: Steps): Steps {
  const beforeMs = fromMs - (toMs - fromMs);
  return { level, fromMs: beforeMs, toMs: fromMs, startsMs: [beforeMs], step: 'all' };
}

export function planSteps(range: TimeRange, wanted: string | undefined): Steps {
  const step = wanted === undefined ? chooseStep(range) : stepNames.find((name) => name === wanted);
  if (step === undefined) refuse(`parameter step must be one of ${stepNames.join(', ')}`);
  const expected = (range.toMs - range.fromMs) / stepMs(step);
  if (expected > mostSteps) {
    throw new ApiError('too_much_asked', `The range has more than ${mostSteps} steps of ${step}.`, { mostSteps });
  }
  const startsMs = listStarts(range, step);
  const level = levelOfSteps(startsMs, step);
  const toMs = Math.ceil(range.toMs / levelMs[level]) * levelMs[level];
  return { level, fromMs: startsMs[0] ?? range.fromMs, toMs, startsMs, step };
}

function chooseStep({ fromMs, toMs }: TimeRange): StepName {
  return stepNames.find((name) => (toMs - fromMs) / stepMs(name) <= goodSteps) ?? '1mo';
}

/** The coarsest rollup whose windows no step cuts in two. Days of most zones are made of hours; some need minutes. */
function levelOfSteps(startsMs: readonly number[], step: StepName): Level {
  if (stepMs(step) < hourMs) return '1m';
  const fits = (size: number) => startsMs.every((ms) => ms % size === 0);
  if (stepMs(step) >= dayMs && fits(dayMs)) return '1d';
  return fits(hourMs) ? '1h' : '1m';
}

function listStarts(range: TimeRange, step: StepName): number[] {
  if (stepMs(step) < dayMs) {
    const size = stepMs(step);
    const firstMs = Math.floor(range.fromMs / size) * size;
    return Array.from({ length: Math.ceil((range.toMs - firstMs) / size) }, (_, at) => firstMs + at * size);
  }
  return listCalendarStarts(range, step);
}

/** Days, weeks (from Monday) and months by the clocks of the zone, whose days may have 23 or 25 hours. */
function listCalendarStarts({ fromMs, toMs, zone }: TimeRange, step: StepName): number[] {
  const local = new Date(fromMs + zoneOffsetMs(zone, fromMs));
  let [year, month, day] = [local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate()];
  if (step === '1w') day -= (local.getUTCDay() + 6) % 7;
  if (step === '1mo') day = 1;
  const starts: number[] = [];
  for (;;) {
    const startMs = fromLocal(Date.UTC(year, month, day), zone);
    if (startMs >= toMs) return starts;
    starts.push(startMs);
    if (step === '1mo') month += 1;
    else day += step === '1w' ? 7 : 1;
  }
}
