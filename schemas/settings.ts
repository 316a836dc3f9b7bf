import { existsSync } from 'node:fs';
import { file } from './setting-kinds.ts';
import { type Setting, settingsTable } from './settings-table.ts';

type Table = typeof settingsTable;

export type Settings = {
  readonly [Name in keyof Table]: Table[Name] extends Setting<infer Value> ? Value : never;
};

interface SettingProblem {
  /** The environment variable. */
  name: string;
  wrong: string;
  remedy: string;
}

type ParsedSettings = { settings: Settings } | { problems: SettingProblem[] };

/** Names of the settings whose values must never be shown. */
export const secretSettings: readonly string[] = Object.entries<Setting<unknown>>(settingsTable)
  .filter(([, setting]) => setting.secret)
  .map(([name]) => name);

/** Reads all settings, and reports all that is wrong with them at once. An empty variable counts as not set. */
export function parseSettings(
  env: Readonly<Record<string, string | undefined>>,
  fileExists: (path: string) => boolean = existsSync,
): ParsedSettings {
  const problems: SettingProblem[] = findUnknown(env);
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries<Setting<unknown>>(settingsTable)) {
    const given = env[setting.env]?.trim() || setting.fallback;
    const parsed = parseOne(setting, given, fileExists);
    if ('value' in parsed) values[name] = parsed.value;
    else problems.push({ name: setting.env, ...parsed });
  }
  if (problems.length === 0) problems.push(...checkTogether(values as Settings));
  return problems.length > 0 ? { problems } : { settings: Object.freeze(values) as Settings };
}

function parseOne(setting: Setting<unknown>, given: string, fileExists: (path: string) => boolean) {
  if (setting.kind === file && given !== '' && !fileExists(given)) {
    return { wrong: `names ${given}, which does not exist`, remedy: 'give the path of a file that can be read' };
  }
  const parsed = setting.kind.parse(given);
  if ('value' in parsed || setting.secret) return parsed;
  // An address may hold a password where none belongs.
  const shown = JSON.stringify(given.replace(/\/\/[^/@]*@/, '//…@'));
  return { ...parsed, wrong: `${shown} ${parsed.wrong}` };
}

/** Late events may be 7 days old, what they look back on 7 more, and clocks and merges get 2 days of grace. */
const lateDays = 7;
const lookBackDays = 7;
const graceDays = 2;

function checkTogether(settings: Settings): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const atLeast = (name: string, valueDays: number, moreDays: number, why: string) => {
    const leastDays = settings.topicRetentionDays + moreDays;
    if (valueDays >= leastDays) return;
    problems.push({
      name,
      wrong: `is ${valueDays} days, and must be ${leastDays} or more while topics keep records for ${settings.topicRetentionDays} days: ${why}`,
      remedy: `raise ${name} to ${leastDays}, or lower WEIR_TOPIC_RETENTION_DAYS`,
    });
  };
  const raw = lateDays + lookBackDays + graceDays;
  atLeast('WEIR_RAW_RETENTION_DAYS', settings.rawRetentionDays, raw, 'a replay has to find what its records join');
  const entities = settings.entityRetentionDays;
  atLeast('WEIR_ENTITY_RETENTION_DAYS', entities, raw, 'a late end has to find the row of its start');
  const cells = lateDays + graceDays;
  atLeast('WEIR_CELLS_RETENTION_DAYS', settings.cellsRetentionDays, cells, 'a late event has to find its whole hour');
  const dead = settings.deadLetterRetentionDays;
  atLeast('WEIR_DEAD_LETTER_RETENTION_DAYS', dead, graceDays, 'every record of the log has to be accounted for');
  return [...problems, ...checkRollups(settings), ...checkPairs(settings)];
}

/**
 * A late event may have its hour written again as long as that hour's cells are sure to live, and the day is then
 * computed from all its hours: they have to be there as long. Besides, coarser views should not forget sooner than finer.
 */
function checkRollups(settings: Settings): SettingProblem[] {
  const atLeast = (name: string, valueDays: number, finer: string, finerDays: number): SettingProblem[] => {
    const wrong = `is ${valueDays} days, and must be ${finerDays} or more, as ${finer} is: a late event has to find all that its window sums up`;
    return valueDays >= finerDays ? [] : [{ name, wrong, remedy: `raise ${name} to ${finerDays}, or lower ${finer}` }];
  };
  const { cellsRetentionDays, hourRetentionDays, dayRetentionDays } = settings;
  return [
    ...atLeast('WEIR_HOUR_RETENTION_DAYS', hourRetentionDays, 'WEIR_CELLS_RETENTION_DAYS', cellsRetentionDays),
    ...atLeast('WEIR_DAY_RETENTION_DAYS', dayRetentionDays, 'WEIR_HOUR_RETENTION_DAYS', hourRetentionDays),
  ];
}

function checkPairs(settings: Settings): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const loggingIn = settings.kafkaSaslMechanism !== '';
  if (loggingIn && (settings.kafkaSaslUsername === '' || settings.kafkaSaslPassword === '')) {
    const wrong = 'is set without a user or a password';
    problems.push({ name: 'KAFKA_SASL_MECHANISM', wrong, remedy: 'set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD' });
  }
  if (!loggingIn && settings.kafkaSaslPassword !== '') {
    const wrong = 'is set, but nothing says how to log in';
    problems.push({ name: 'KAFKA_SASL_PASSWORD', wrong, remedy: 'set KAFKA_SASL_MECHANISM, for example to plain' });
  }
  if ((settings.kafkaTlsCertFile === '') !== (settings.kafkaTlsKeyFile === '')) {
    const wrong = 'and KAFKA_TLS_KEY_FILE go together, and one of them is missing';
    problems.push({ name: 'KAFKA_TLS_CERT_FILE', wrong, remedy: 'set both or neither' });
  }
  if (settings.jwtJwksUrl !== '' && (settings.jwtIssuer === '' || settings.jwtAudience === '')) {
    const wrong = 'is set without the issuer and the audience that tokens must name';
    problems.push({ name: 'WEIR_JWT_JWKS_URL', wrong, remedy: 'set WEIR_JWT_ISSUER and WEIR_JWT_AUDIENCE' });
  }
  if (!settings.kafkaTls && (settings.kafkaTlsCaFile !== '' || settings.kafkaTlsCertFile !== '')) {
    const wrong = 'is false, but files for TLS are given';
    problems.push({ name: 'KAFKA_TLS', wrong, remedy: 'set KAFKA_TLS=true, or leave the files out' });
  }
  return problems;
}

/** A misspelt variable of ours would otherwise do nothing, silently. */
function findUnknown(env: Readonly<Record<string, string | undefined>>): SettingProblem[] {
  const known = Object.values<Setting<unknown>>(settingsTable).map((setting) => setting.env);
  return Object.keys(env)
    .filter((name) => name.startsWith('WEIR_') && !known.includes(name))
    .map((name) => {
      const [nearest = ''] = known.toSorted((one, other) => countEdits(name, one) - countEdits(name, other));
      const close = countEdits(name, nearest) <= 4;
      return {
        name,
        wrong: 'is no setting',
        remedy: close ? `did you mean ${nearest}?` : 'remove it; the README lists all settings',
      };
    });
}

/** Levenshtein distance: letters to add, remove or change. */
function countEdits(one: string, other: string): number {
  let previous = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let at = 1; at <= one.length; at++) {
    const current = [at];
    for (let to = 1; to <= other.length; to++) {
      const change = previous[to - 1] + (one[at - 1] === other[to - 1] ? 0 : 1);
      current.push(Math.min(change, previous[to] + 1, current[to - 1] + 1));
    }
    previous = current;
  }
  return previous[other.length];
}

export function formatProblems(problems: readonly SettingProblem[]): string {
  const lines = problems.map(({ name, wrong, remedy }) => `  ${name} ${wrong}: ${remedy}`);
  return [`${problems.length === 1 ? 'A setting is' : `${problems.length} settings are`} wrong:`, ...lines].join('\n');
}
