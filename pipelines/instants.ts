/**
 * Reads an instant in any of the forms that telemetry was seen to use: epoch seconds, milliseconds,
 * microseconds or nanoseconds (told apart by magnitude: each range covers the years 1973 to 5138) as number
 * or text, and ISO 8601 with T or a blank, with Z, an offset or none (taken as UTC). The answer is in whole
 * milliseconds; undefined where the text is none of these. Dates are read by hand because Date.parse takes
 * local time for some forms and accepts far more than is meant.
 */
export function parseInstantMs(value: unknown): number | undefined {
  if (typeof value === 'number') return fromEpoch(value);
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (text.length >= 10 && text.charCodeAt(4) === 45) return fromIso(text);
  return /^[+-]?\d+(\.\d+)?$/.test(text) ? fromEpoch(Number(text)) : undefined;
}

function fromEpoch(value: number): number | undefined {
  const size = Math.abs(value);
  if (!(size < 1e20)) return undefined;
  if (size < 1e11) return Math.round(value * 1000);
  if (size < 1e14) return Math.round(value);
  return Math.round(size < 1e17 ? value / 1000 : value / 1e6);
}

/** The two digits at a position, NaN where they are none. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at) - 48;
  const ones = text.charCodeAt(at + 1) - 48;
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN;
}

const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function fromIso(text: string): number | undefined {
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2);
  const month = twoDigits(text, 5);
  const day = twoDigits(text, 8);
  if (text.charCodeAt(7) !== 45 || !(month >= 1 && month <= 12)) return undefined;
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  if (!(day >= 1 && day <= daysInMonth[month - 1] + (month === 2 && isLeap ? 1 : 0))) return undefined;
  const dayMs = epochDay(year, month, day) * 86_400_000;
  // The year 1 is how Go writes that there is no time.
  if (year === 1) return 0;
  if (text.length === 10) return dayMs;
  const mark = text.charCodeAt(10);
  if (mark !== 84 && mark !== 116 && mark !== 32) return undefined;
  const hour = twoDigits(text, 11);
  const minute = twoDigits(text, 14);
  if (!(hour <= 23 && minute <= 59) || text.charCodeAt(13) !== 58) return undefined;
  let at = 16;
  let ms = (hour * 60 + minute) * 60_000;
  if (text.charCodeAt(at) === 58) {
    const second = twoDigits(text, at + 1);
    // A leap second is counted as the first of the next minute, as clocks do.
    if (!(second <= 60)) return undefined;
    ms += second * 1000;
    at += 3;
    const point = text.charCodeAt(at);
    if (point === 46 || point === 44) {
      let digits = 0;
      let fraction = 0;
      let digit = text.charCodeAt(++at) - 48;
      if (!(digit >= 0 && digit <= 9)) return undefined;
      for (; digit >= 0 && digit <= 9; digit = text.charCodeAt(++at) - 48) {
        if (digits < 3) fraction = fraction * 10 + digit;
        digits++;
      }
      ms += digits === 1 ? fraction * 100 : digits === 2 ? fraction * 10 : fraction;
    }
  }
  const offsetMinutes = readOffsetMinutes(text.slice(at).trim());
  return offsetMinutes === undefined ? undefined : dayMs + ms - offsetMinutes * 60_000;
}

function readOffsetMinutes(text: string): number | undefined {
  if (text === '' || text === 'Z' || text === 'z' || text === 'UTC' || text === 'GMT') return 0;
  const match = /^([+-])(\d\d)(?::?(\d\d))?$/.exec(text);
  if (match === null) return undefined;
  const minutes = Number(match[2]) * 60 + Number(match[3] ?? 0);
  return match[1] === '-' ? -minutes : minutes;
}

/** Days from 1970-01-01 to a date of the Gregorian calendar (the years are counted from March). */
function epochDay(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
