import type { StateRecord } from './records.ts';

/**
 * State that people make: rules, silences, acknowledgements, definitions, plans and the like. Each is an entry, named by
 * workspace, collection and key; each change of an entry is one record of a topic with one partition, kept for ever. What
 * an entry is now, and whether a change counts, follows from the order of that log alone.
 */
export const stateLimits = {
  idBytes: 512,
  collectionLetters: 64,
  reasonBytes: 4096,
  /** Values are set up by people, not loaded: what is larger belongs elsewhere, with its address in the value. */
  valueBytes: 262_144,
} as const;

/** What becomes of a change. */
export const stateOutcomes = [
  /** The entry has this value from here on. */
  'applied',
  /** The author had not seen the newest revision; the entry stays as it is. */
  'conflict',
  /** The same request changed this entry before; it counts once. */
  'repeated',
] as const;
export type StateOutcome = (typeof stateOutcomes)[number];

/** What is wrong with a record; the reasons are those of dead letters. */
export interface StateProblem {
  reason:
    | 'missing_id'
    | 'id_too_long'
    | 'id_malformed'
    | 'out_of_range'
    | 'time_out_of_range'
    | 'too_large'
    | 'invalid_json';
  field: string;
  wrong: string;
}

const offsetSpan = 2 ** 48;
const firstInstantMs = Date.UTC(2015, 0, 1);
const lastInstantMs = Date.UTC(2100, 0, 1);

/** The revision that a change gives its entry: grows along the log, and over logs that were made again. */
export const stateRevision = (epoch: number, offset: number): number => epoch * offsetSpan + offset;

export const offsetOfRevision = (revision: number): number => revision % offsetSpan;

/** The key of the Kafka record, for people who look at the topic. */
export const stateRecordKey = ({ workspace = 'default', collection, key }: StateRecord): string =>
  `${workspace}/${collection}/${key}`;

export const isDeletion = ({ value, deleted }: StateRecord): boolean => deleted === true || value == null;

const problem = (reason: StateProblem['reason'], field: string, wrong: string): StateProblem => ({
  reason,
  field,
  wrong: `${field} ${wrong}`,
});

// biome-ignore lint/suspicious/noControlCharactersInRegex: They are what is looked for.
const controlCharacters = /[\u0000-\u001f\u007f]/;

function checkText(field: string, text: string, { most = stateLimits.idBytes as number, isOptional = false } = {}) {
  if (text === '' && !isOptional) return problem('missing_id', field, 'is empty');
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > most) return problem('id_too_long', field, `has ${bytes} bytes, and may have ${most}`);
  return controlCharacters.test(text) ? problem('id_malformed', field, 'holds control characters') : null;
}

function checkCollection(collection: string): StateProblem | null {
  const pattern = /^[a-z][a-z0-9_-]*$/;
  if (pattern.test(collection) && collection.length <= stateLimits.collectionLetters) return null;
  if (collection === '') return problem('missing_id', 'collection', 'is empty');
  const wanted = `is not a name of up to ${stateLimits.collectionLetters} small letters, digits, dashes and underscores`;
  return problem('id_malformed', 'collection', wanted);
}

function checkValue(value: string): StateProblem | null {
  const bytes = new TextEncoder().encode(value).length;
  const { valueBytes } = stateLimits;
  if (bytes > valueBytes) return problem('too_large', 'value', `has ${bytes} bytes, and may have ${valueBytes}`);
  try {
    JSON.parse(value);
    return null;
  } catch {
    return problem('invalid_json', 'value', 'is not JSON text');
  }
}

function checkNumber(field: string, value: number, least: number, most: number): StateProblem | null {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return null;
  return problem('out_of_range', field, `is ${value}, and must be a whole number from ${least} to ${most}`);
}

/** The first thing that is wrong with a record; publishers and readers of the log ask the same. */
export function checkStateRecord(record: StateRecord): StateProblem | null {
  const { workspace = 'default', collection, key, value, value_version = 1, revision, changed_at } = record;
  const isDated = Number.isSafeInteger(changed_at) && changed_at >= firstInstantMs && changed_at < lastInstantMs;
  return (
    checkText('workspace', workspace) ??
    checkCollection(collection) ??
    checkText('key', key) ??
    checkText('changed_by', record.changed_by) ??
    checkText('request_id', record.request_id ?? '', { isOptional: true }) ??
    checkReason(record.reason ?? '') ??
    checkNumber('value_version', value_version, 1, 1_000_000) ??
    (revision == null ? null : checkNumber('revision', revision, 0, Number.MAX_SAFE_INTEGER)) ??
    (isDated ? null : problem('time_out_of_range', 'changed_at', `is ${changed_at}, which is no plausible instant`)) ??
    (isDeletion(record) ? null : checkValue(value ?? ''))
  );
}

/** A reason is free text, lines included. */
function checkReason(reason: string): StateProblem | null {
  const bytes = new TextEncoder().encode(reason).length;
  const { reasonBytes } = stateLimits;
  return bytes > reasonBytes ? problem('too_large', 'reason', `has ${bytes} bytes, and may have ${reasonBytes}`) : null;
}
