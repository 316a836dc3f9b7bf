import { latestInstantMs } from '../schemas/events.ts';
import {
  type Findings,
  hideCutAddress,
  holdsCredential,
  mayHoldSecret,
  redacted,
  redactText,
  redactValue,
} from './redact.ts';
import { Refusal } from './rejections.ts';

/**
 * One field of a record at a time: checked, bounded, cleaned of secrets. Everything here is called for each
 * field of each record, so the usual case (present, short, clean) is decided first and allocates nothing.
 */

export const bounds = {
  idBytes: 512,
  nameCharacters: 512,
  typeCharacters: 64,
  errorMessageCharacters: 4000,
  errorStackCharacters: 8000,
  jsonBytes: 4096,
  labels: 32,
  labelNameCharacters: 64,
  labelValueCharacters: 256,
  tags: 64,
  dependencies: 256,
  entries: 64,
  redactedFields: 64,
  durationMs: 315_576_000_000,
  cost: 1e9,
  /** Whole numbers above this would lose digits once they are summed as floats on their way. */
  quantity: 2 ** 52,
} as const;

/** Names of fields that secrets were taken out of, while one record is normalised. */
let found: Findings = { names: [] };

/** Begins a record; decoding is synchronous, so one list at a time is enough. */
export function beginFindings(): void {
  if (found.names.length > 0) found = { names: [] };
}

function noteRedacted(field: string): void {
  found.names.push(field);
}

/** What was redacted in this record, together with what its producer had redacted already. */
export function endFindings(reported: readonly string[] | null | undefined): string[] {
  const own = found.names;
  if (own.length === 0 && (reported === null || reported === undefined || reported.length === 0)) return noTexts;
  const names = new Set<string>();
  for (const name of [...(reported ?? []), ...own]) {
    if (names.size < bounds.redactedFields) names.add(redactText(name).slice(0, 200));
  }
  return [...names];
}

type IdProblem = 'id_too_long' | 'id_malformed' | 'secret_in_id' | null;
const idProblems = new Map<string, IdProblem>();
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters in ids are what it looks for.
const controls = /[\x00-\x1f\x7f-\x9f]/;

function findIdProblem(id: string): IdProblem {
  if (id.length * 3 > bounds.idBytes && Buffer.byteLength(id) > bounds.idBytes) return 'id_too_long';
  if (controls.test(id) || !id.isWellFormed()) return 'id_malformed';
  if (redactText(id) !== id) return 'secret_in_id';
  return null;
}

/** An id that the record's identity rests on: never changed, so one that cannot be kept refuses the record. */
export function readId(value: unknown, field: string): string {
  if (typeof value !== 'string' || value === '') throw new Refusal('missing_id', `${field} is absent or empty`);
  let problem = idProblems.get(value);
  if (problem === undefined) {
    problem = findIdProblem(value);
    if (value.length <= 128) {
      if (idProblems.size >= 50_000) idProblems.clear();
      idProblems.set(value, problem);
    }
  }
  if (problem !== null) throw new Refusal(problem, describeIdProblem(problem, value, field));
  return value;
}

function describeIdProblem(problem: NonNullable<IdProblem>, id: string, field: string): string {
  if (problem === 'id_too_long')
    return `${field} has ${Buffer.byteLength(id)} bytes, at most ${bounds.idBytes} are kept`;
  if (problem === 'id_malformed') return `${field} holds control characters or broken characters`;
  return `${field} holds what looks like a credential`;
}

/** The same for ids that default: workspace and source. */
export function readIdOr(value: unknown, field: string, absent: string): string {
  return value === null || value === undefined || value === '' ? absent : readId(value, field);
}

/** Text of bounded length without secrets; '' where absent. */
export function readText(value: string | null | undefined, field: string, maxCharacters: number): string {
  if (value === null || value === undefined || value === '') return '';
  if (value.length <= maxCharacters && !mayHoldSecret(value)) return value;
  // Twice the bound is searched, so that a secret over the cut is still seen whole.
  const searched = value.length > 2 * maxCharacters ? hideCutAddress(value.slice(0, 2 * maxCharacters)) : value;
  const clean = redactText(searched);
  if (clean !== searched) noteRedacted(field);
  return cut(clean, maxCharacters);
}

export function readName(value: string | null | undefined, field: string): string {
  return readText(value, field, bounds.nameCharacters);
}

function cut(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  const last = text.charCodeAt(maxCharacters - 1);
  // A character of two halves is left out rather than broken.
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? maxCharacters - 1 : maxCharacters);
}

const typeTexts = new Map<string, string>();

/** Types outside the known lists are kept as they are, in lower case. */
export function readType(value: string | null | undefined, field: string): string {
  if (value === null || value === undefined || value === '') return '';
  const known = typeTexts.get(value);
  if (known !== undefined) return known;
  const clean = readText(value, field, bounds.typeCharacters).toLowerCase();
  if (value.length <= bounds.typeCharacters && !mayHoldSecret(value)) {
    if (typeTexts.size >= 1000) typeTexts.clear();
    typeTexts.set(value, clean);
  }
  return clean;
}

function refuseNumber(value: number, field: string): never {
  if (Number.isNaN(value) || value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY) {
    throw new Refusal('not_finite', `${field} is ${value}`);
  }
  if (value < 0) throw new Refusal('negative', `${field} is ${value}`);
  throw new Refusal('out_of_range', `${field} is ${value}`);
}

/** A count or an amount of bytes: a whole number of at least 0. */
export function readCount(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined) return null;
  if (!(value >= 0 && value <= bounds.quantity)) refuseNumber(value, field);
  return Math.round(value) + 0;
}

/** Milliseconds, at most ten years, as whole microseconds. */
export function readDurationUs(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined) return null;
  if (!(value >= 0 && value <= bounds.durationMs)) refuseNumber(value, field);
  return Math.round(value * 1000) + 0;
}

/** CPU time is a sum over cores, so ten years are not too many. */
export function readCpuUs(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined) return null;
  if (!(value >= 0 && value * 1000 <= bounds.quantity)) refuseNumber(value, field);
  return Math.round(value * 1000) + 0;
}

export function readCostMicros(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined) return null;
  if (!(value >= 0 && value <= bounds.cost)) refuseNumber(value, field);
  return Math.round(value * 1e6) + 0;
}

/** A measurement that is not summed: any finite number of at least 0. */
export function readMeasure(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined) return null;
  if (!(value >= 0 && value <= bounds.quantity)) refuseNumber(value, field);
  return value + 0;
}

/** A share of a whole; a rounding error above 1 is taken as 1. */
export function readRatio(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined) return null;
  if (!(value >= 0 && value <= 1.000001)) refuseNumber(value, field);
  return Math.min(value, 1) + 0;
}

/** A number that may be below zero. */
export function readSigned(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined) return null;
  if (!(Math.abs(value) <= bounds.quantity)) {
    throw new Refusal(Number.isFinite(value) ? 'out_of_range' : 'not_finite', `${field} is ${value}`);
  }
  return value + 0;
}

export function readSignedCount(value: number | null | undefined, field: string): number | null {
  const number = readSigned(value, field);
  return number === null ? null : Math.round(number) + 0;
}

const earliestInstantMs = Date.UTC(1990, 0);

/** An instant other than the event time. Exactly 0 is how many clients write that they have none. */
export function readInstant(value: number | null | undefined, field: string): number | null {
  if (value === null || value === undefined || value === 0) return null;
  if (!(value >= earliestInstantMs && value < latestInstantMs)) {
    throw new Refusal('time_out_of_range', `${field} is ${value} ms since 1970, outside 1990 to 2200`);
  }
  return Math.round(value);
}

/** One for all: most records have none, and what is made for each of them has to be collected again. */
const noTexts = Object.freeze<string[]>([]) as string[];
const noLabels: Record<string, string> = Object.freeze({});
const noJson: JsonSummary = Object.freeze({ text: '', truncated: false, bytes: null });

function isEmpty(values: Record<string, unknown>): boolean {
  for (const _ in values) return false;
  return true;
}

export function readTexts(values: readonly string[] | null | undefined, field: string, maxItems: number): string[] {
  if (values === null || values === undefined || values.length === 0) return noTexts;
  const texts: string[] = [];
  for (const value of values) {
    if (texts.length === maxItems) break;
    if (value !== '') texts.push(readName(value, field));
  }
  return texts;
}

const droppedLabels = 'weir.labels_dropped';

/** Labels, bounded in number, names and values; how many did not fit stands in a label of its own. */
export function readLabels(values: Record<string, string> | null | undefined, field: string): Record<string, string> {
  if (values === null || values === undefined || isEmpty(values)) return noLabels;
  const labels: Record<string, string> = {};
  let kept = 0;
  let dropped = 0;
  for (const name in values) {
    if (name === droppedLabels) {
      dropped += Number(values[name]) || 0;
    } else if (kept === bounds.labels || name === '__proto__') {
      dropped++;
    } else {
      kept++;
      readLabel(labels, name, values[name], field);
    }
  }
  if (dropped > 0) labels[droppedLabels] = String(dropped);
  return labels;
}

function readLabel(labels: Record<string, string>, name: string, value: string, field: string): void {
  const cleanName = readText(name, field, bounds.labelNameCharacters);
  if (mayHoldSecret(name) && holdsCredential(name, value)) {
    labels[cleanName] = redacted;
    if (value !== redacted) noteRedacted(`${field}.${cleanName}`);
    return;
  }
  labels[cleanName] = readText(value, `${field}.${cleanName}`, bounds.labelValueCharacters);
}

/** Numbers by name (shares by quota, loads by worker); signed where the measurements are anyone's. */
export function readNumbers(
  values: Record<string, number> | null | undefined,
  field: string,
  maxItems: number,
  signed: boolean,
): Record<string, number> {
  const numbers: Record<string, number> = {};
  let kept = 0;
  for (const name in values ?? {}) {
    if (kept++ === maxItems) break;
    const value = (values as Record<string, number>)[name];
    if (name === '__proto__') continue;
    numbers[readName(name, field)] = (signed ? readSigned(value, field) : readMeasure(value, field)) ?? 0;
  }
  return numbers;
}

/** JSON text that travels with an event, cut to a summary that is still JSON. */
export interface JsonSummary {
  text: string;
  truncated: boolean;
  /** Size before anything was cut or removed; null where there was nothing. */
  bytes: number | null;
}

export function readJson(value: string | null | undefined, field: string): JsonSummary {
  if (value === null || value === undefined || value === '') return noJson;
  const bytes = value.length > 32 ? Buffer.byteLength(value) : byteLengthOfShort(value);
  if (bytes <= bounds.jsonBytes && !mayHoldSecret(value)) return { text: value, truncated: false, bytes };
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {
    // Not JSON after all: still worth keeping as text.
    const clean = readText(value, field, bounds.jsonBytes / 4);
    return { text: clean, truncated: clean.length >= bounds.jsonBytes / 4, bytes };
  }
  const before = found.names.length;
  const clean = redactValue(parsed, field, found);
  const text = found.names.length > before ? JSON.stringify(clean) : value;
  if (Buffer.byteLength(text) <= bounds.jsonBytes) return { text, truncated: false, bytes };
  return { text: summariseJson(clean), truncated: true, bytes };
}

function byteLengthOfShort(text: string): number {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return Buffer.byteLength(text);
  return text.length;
}

/** Shortens values step by step until the whole fits; keys of the top level stay as long as they can. */
function summariseJson(value: unknown): string {
  for (const characters of [512, 128, 32, 8]) {
    const text = JSON.stringify(shortenTop(value, characters, Number.POSITIVE_INFINITY));
    if (Buffer.byteLength(text) <= bounds.jsonBytes) return text;
  }
  for (let items = 128; items > 0; items = Math.floor(items / 2)) {
    const text = JSON.stringify(shortenTop(value, 8, items));
    if (Buffer.byteLength(text) <= bounds.jsonBytes) return text;
  }
  return '"…"';
}

function shortenTop(value: unknown, characters: number, items: number): unknown {
  if (Array.isArray(value)) {
    const kept = value.slice(0, Math.min(items, 1000)).map((item) => shorten(item, characters));
    return kept.length < value.length ? [...kept, `… ${value.length - kept.length} more`] : kept;
  }
  if (typeof value !== 'object' || value === null) return shorten(value, characters);
  const names = Object.keys(value);
  const kept: Record<string, unknown> = {};
  for (const name of names.slice(0, items)) {
    kept[cut(name, bounds.labelNameCharacters)] = shorten((value as Record<string, unknown>)[name], characters);
  }
  if (names.length > items) kept['…'] = `${names.length - items} more`;
  return kept;
}

function shorten(value: unknown, characters: number): unknown {
  if (typeof value === 'string') return value.length <= characters ? value : `${cut(value, characters)}…`;
  if (typeof value !== 'object' || value === null) return value;
  if (JSON.stringify(value).length <= characters) return value;
  return Array.isArray(value) ? `[${value.length} items]` : `{${Object.keys(value).length} fields}`;
}
