import type { Type } from 'avsc';
import { parseInstantMs } from './instants.ts';
import { Refusal } from './rejections.ts';

/**
 * From a JSON object, written by whoever, to a record under the wire names with the wire types. Names may
 * be the canonical ones, their camelCase forms or aliases; numbers and times may be text. What nobody asked
 * for is kept as labels. Built once for each Avro type, so that the contract is written down only there.
 */

type Lift = (value: unknown, field: string) => unknown;
interface Target {
  field: string;
  lift: Lift;
  /** The wire name itself, which wins over any other name for the same field. */
  exact: boolean;
  /** A name that also means other things: taken only where nothing better came. */
  weak: boolean;
}
interface Field {
  name: string;
  type: Type;
}
type Json = Record<string, unknown>;

export interface LifterOptions {
  /** Other name, or `container.name`, to wire name; a leading `?` on the wire name marks it as weak. */
  aliases: Record<string, string>;
  /** Factors for aliases in other units: `memoryMB` to bytes. */
  factors?: Record<string, number>;
  /** Ids: numbers are taken only where they are exact, objects never. */
  idFields?: readonly string[];
  /** Which text field a bare text stands for, where a list of records is a list of texts. */
  bareFields?: Record<string, string>;
}

export interface Lifter {
  lift(value: Json): Json;
  /** Whether a member of this name, or an object of it, belongs to the record rather than to its labels. */
  knows(name: string): boolean;
}

const absentTexts = new Set(['', 'none', 'null', 'nil', 'n/a']);
const isAbsentText = (text: string): boolean => text.length <= 4 && absentTexts.has(text.toLowerCase());

function writeJson(value: unknown, field: string): string {
  try {
    return JSON.stringify(value) ?? '';
  } catch {
    // Only nesting beyond the stack fails here: the value came out of JSON.parse.
    throw new Refusal('wrong_type', `${field} is nested too deep`);
  }
}

function liftText(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  return typeof value === 'object' ? writeJson(value, field) : String(value);
}

function liftId(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') {
    // Beyond 2^53 the parser has already changed the digits, and two ids would become one.
    if (Number.isSafeInteger(value)) return String(value);
    throw new Refusal('id_malformed', `${field} is a number that is not exact; send ids as text`);
  }
  throw new Refusal('wrong_type', `${field} is no text`);
}

function liftNumber(value: unknown, field: string): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') {
    const text = value.trim();
    if (isAbsentText(text)) return null;
    if (/^[+-]?(nan|inf(inity)?)$/i.test(text)) {
      return /nan/i.test(text) ? Number.NaN : text[0] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    }
    const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!Number.isNaN(number)) return number;
  }
  throw new Refusal('wrong_type', `${field} is no number`);
}

function liftBoolean(value: unknown, field: string): boolean | null {
  if (typeof value === 'boolean') return value;
  const text = String(value).trim().toLowerCase();
  if (text === 'true' || text === '1' || text === 'yes') return true;
  if (text === 'false' || text === '0' || text === 'no') return false;
  if (typeof value === 'string' && isAbsentText(text)) return null;
  throw new Refusal('wrong_type', `${field} is neither true nor false`);
}

function liftInstant(value: unknown, field: string): number | null {
  if (typeof value === 'string' && isAbsentText(value.trim())) return null;
  const ms = parseInstantMs(value);
  if (ms === undefined) throw new Refusal('malformed_time', `${field} is no time`);
  return ms;
}

/** A list; some producers send the text of one (`["a"]`, or `['a']` as Python prints it), or a single value. */
function liftList(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value !== 'string') return [value];
  const text = value.trim();
  if (isAbsentText(text)) return [];
  if (!text.startsWith('[') || !text.endsWith(']')) return [value];
  try {
    return JSON.parse(text) as unknown[];
  } catch {
    const inner = text.slice(1, -1).trim();
    return inner === '' ? [] : inner.split(',').map((item) => item.trim().replace(/^(['"])(.*)\1$/s, '$2'));
  }
}

const liftTexts: Lift = (value, field) =>
  liftList(value)
    .filter((item) => item !== null && item !== undefined)
    .map((item) => liftText(item, field));

function liftMap<Value>(value: unknown, field: string, liftItem: (item: unknown, field: string) => Value | null) {
  if (typeof value === 'string' && isAbsentText(value.trim())) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new Refusal('wrong_type', `${field} is no object`);
  const map: Record<string, Value> = {};
  for (const name of Object.keys(value as Json)) {
    const item = (value as Json)[name];
    const lifted = item === null || item === undefined ? null : liftItem(item, field);
    if (lifted !== null && name !== '__proto__') map[name] = lifted;
  }
  return map;
}

const toCamel = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const toSnake = (name: string): string => name.replace(/[A-Z]+/g, (letters) => `_${letters.toLowerCase()}`);

function liftOf(field: Field, options: LifterOptions): Lift {
  const branches = (field.type as unknown as { types?: Type[] }).types;
  const type = (branches?.[1] ?? field.type) as unknown as { typeName: string; itemsType: Type; valuesType: Type };
  if (options.idFields?.includes(field.name)) return liftId;
  if (type.typeName === 'boolean') return liftBoolean;
  if (type.typeName === 'string') return liftText;
  if (type.typeName === 'long' && /(?:^|_)(?:at|time|start|end)$/.test(field.name)) return liftInstant;
  if (type.typeName === 'map' && type.valuesType.typeName === 'string') return (v, name) => liftMap(v, name, liftText);
  if (type.typeName === 'map') return (v, name) => liftMap(v, name, liftNumber);
  if (type.typeName === 'array' && type.itemsType.typeName === 'string') return liftTexts;
  if (type.typeName === 'array') return recordsLift(type.itemsType, options.bareFields?.[field.name]);
  return liftNumber;
}

function recordsLift(type: Type, bareField: string | undefined): Lift {
  const { lift } = makeLifter(type, { aliases: nestedAliases });
  return (value, field) =>
    liftList(value).map((item) => {
      if (typeof item === 'object' && item !== null && !Array.isArray(item)) return lift(item as Json);
      if (bareField !== undefined && item !== null) return lift({ [bareField]: item });
      throw new Refusal('wrong_type', `${field} holds something else than objects`);
    });
}

/** Names that the source documents and common tools use inside lists of records. */
const nestedAliases: Record<string, string> = {
  id: '?task_id',
  dependencyType: 'type',
  errorType: 'type',
  errorCode: 'code',
  errorMessage: 'message',
  size: '?bytes',
  sizeBytes: 'bytes',
  url: 'uri',
  path: 'uri',
  timestamp: '?at',
  time: '?at',
  latency: 'latency_ms',
  throughput: 'throughput_per_second',
  errorRate: 'error_ratio',
  lastCheck: 'last_check_at',
  processingRate: 'processing_rate_per_second',
  avgProcessingTime: 'processing_ms_mean',
  oldestMessage: 'oldest_message_at',
};

export function makeLifter(type: Type, options: LifterOptions): Lifter {
  const fields = (type as unknown as { fields: Field[] }).fields;
  const create = (type as unknown as { recordConstructor: new () => Json }).recordConstructor;
  const targets = new Map<string, Target>();
  const lifts = new Map<string, Lift>();
  for (const field of fields) lifts.set(field.name, liftOf(field, options));
  for (const [alias, wire] of Object.entries(options.aliases)) {
    const weak = wire.startsWith('?');
    const field = weak ? wire.slice(1) : wire;
    const lift = lifts.get(field);
    if (lift === undefined) continue;
    const factor = options.factors?.[alias];
    const scaled: Lift =
      factor === undefined ? lift : (v, name) => ((n) => (n === null ? null : n * factor))(liftNumber(v, name));
    // Members of nested objects are looked up in camelCase, whichever way both names are written.
    for (const name of alias.includes('.') ? [alias] : [alias, toSnake(alias)])
      targets.set(name, { field, lift: scaled, exact: false, weak });
  }
  for (const field of fields) {
    const target = { field: field.name, lift: lifts.get(field.name) as Lift, weak: false };
    targets.set(toCamel(field.name), { ...target, exact: false });
    targets.set(field.name, { ...target, exact: true });
  }
  const containers = new Set<string>();
  for (const alias of targets.keys()) {
    const [container, member] = alias.split('.');
    if (member !== undefined) containers.add(container).add(toSnake(container));
  }
  const hasLabels = lifts.has('labels');

  const put = (record: Json, source: Json, target: Target, value: unknown): void => {
    if (!target.exact && source[target.field] !== undefined && source[target.field] !== null) return;
    if (target.weak && record[target.field] !== undefined && record[target.field] !== null) return;
    const lifted = target.lift(value, target.field);
    if (lifted !== null) record[target.field] = lifted;
  };

  const keepAsLabel = (record: Json, name: string, value: unknown): void => {
    if (!hasLabels || name === '__proto__') return;
    const labels = record.labels as Record<string, string>;
    if (labels[name] === undefined) labels[name] = liftText(value, name);
  };

  const openContainer = (record: Json, source: Json, container: string, values: Json): void => {
    for (const name of Object.keys(values)) {
      const value = values[name];
      if (value === null || value === undefined) continue;
      if (name === 'secrets') {
        noteSecrets(record, `${container}.secrets`, value);
        continue;
      }
      const target = targets.get(`${toCamel(container)}.${toCamel(name)}`) ?? targets.get(name);
      if (target !== undefined) put(record, source, { ...target, exact: false }, value);
      else keepAsLabel(record, container === 'metadata' ? name : `${container}.${name}`, value);
    }
  };

  return {
    knows: (name) => targets.has(name) || containers.has(name),
    lift(source) {
      const record = new create();
      for (const name of Object.keys(source)) {
        const value = source[name];
        if (value === null || value === undefined) continue;
        const isContainer = containers.has(name) && typeof value === 'object' && !Array.isArray(value);
        const target = isContainer ? undefined : targets.get(name);
        if (target !== undefined) {
          if (name === 'labels' && Object.keys(record.labels as object).length > 0) {
            Object.assign(record.labels as object, target.lift(value, name));
          } else put(record, source, target, value);
        } else if (isContainer) openContainer(record, source, name, value as Json);
        else if (name === 'secrets') noteSecrets(record, name, value);
        else keepAsLabel(record, name, value);
      }
      return record;
    },
  };
}

/** The secrets of a context are in no schema; that there were some is said, and nothing else. */
function noteSecrets(record: Json, path: string, value: unknown): void {
  const isEmpty = Array.isArray(value)
    ? value.length === 0
    : typeof value === 'object' && Object.keys(value as Json).length === 0;
  if (!isEmpty && record.redacted_fields !== undefined)
    record.redacted_fields = [...(record.redacted_fields as string[]), path];
}
