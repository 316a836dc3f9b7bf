import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { formatProblems, parseSettings, type Settings, secretSettings } from '../../schemas/settings.ts';
import { insertSettingsTable } from '../../schemas/settings-docs.ts';

function parse(env: Record<string, string>): Settings {
  const parsed = parseSettings(env, () => true);
  if ('problems' in parsed) throw new Error(formatProblems(parsed.problems));
  return parsed.settings;
}

function complain(env: Record<string, string>, fileExists = true): string {
  const parsed = parseSettings(env, () => fileExists);
  return 'problems' in parsed ? formatProblems(parsed.problems) : '';
}

describe('settings', () => {
  test('have defaults that are valid together', () => {
    const settings = parse({});
    expect(settings).toMatchObject({ kafkaBrokers: [], partitions: 4, flushIntervalMs: 1000, clickhouseFsync: false });
    expect(Object.isFrozen(settings)).toBe(true);
  });

  test('come from the environment, where an empty variable counts as not set', () => {
    const settings = parse({
      KAFKA_BROKERS: 'one:9092, two:9093',
      KAFKA_TLS: 'Yes',
      WEIR_CHUNK_RECORDS: '1_024',
      WEIR_PARTITIONS: '',
      CLICKHOUSE_URL: 'https://clickhouse.internal:8443/',
    });
    expect(settings).toMatchObject({
      kafkaBrokers: ['one:9092', 'two:9093'],
      kafkaTls: true,
      chunkRecords: 1024,
      partitions: 4,
      clickhouseUrl: 'https://clickhouse.internal:8443',
    });
  });

  test('report all problems together, each with its name and a remedy', () => {
    const complaint = complain({
      KAFKA_BROKERS: 'nowhere',
      WEIR_CHUNK_RECORDS: '1000',
      WEIR_FLUSH_INTERVAL_MS: 'soon',
      WEIR_LOG_LEVEL: 'loud',
      WEIR_PARTITONS: '3',
    });
    expect(complaint.split('\n')).toEqual([
      '5 settings are wrong:',
      '  WEIR_PARTITONS is no setting: did you mean WEIR_PARTITIONS?',
      '  KAFKA_BROKERS "nowhere" holds nowhere, which is no host:port: write host:port, with commas between several',
      '  WEIR_CHUNK_RECORDS "1000" is no power of two: write a power of two from 64 to 16777216',
      '  WEIR_FLUSH_INTERVAL_MS "soon" is no whole number: write a whole number from 10 to 60000',
      '  WEIR_LOG_LEVEL "loud" is not one of the choices: write one of trace, debug, info, warn, error, fatal, silent',
    ]);
  });

  test('refuse retention that would lose what a replay needs, and name the least that works', () => {
    const complaint = complain({
      WEIR_TOPIC_RETENTION_DAYS: '60',
      WEIR_RAW_RETENTION_DAYS: '75',
      WEIR_ENTITY_RETENTION_DAYS: '75',
      WEIR_CELLS_RETENTION_DAYS: '68',
      WEIR_DEAD_LETTER_RETENTION_DAYS: '62',
    });
    expect(complaint).toContain('raise WEIR_RAW_RETENTION_DAYS to 76, or lower WEIR_TOPIC_RETENTION_DAYS');
    expect(complaint).toContain('raise WEIR_ENTITY_RETENTION_DAYS to 76, or lower WEIR_TOPIC_RETENTION_DAYS');
    expect(complaint).toContain('raise WEIR_CELLS_RETENTION_DAYS to 69, or lower WEIR_TOPIC_RETENTION_DAYS');
    expect(complaint).not.toContain('WEIR_DEAD_LETTER_RETENTION_DAYS');
  });

  test('refuse hours that expire before their cells, and days before their hours', () => {
    const complaint = complain({ WEIR_HOUR_RETENTION_DAYS: '89', WEIR_DAY_RETENTION_DAYS: '88' });
    expect(complaint).toContain('raise WEIR_HOUR_RETENTION_DAYS to 90, or lower WEIR_CELLS_RETENTION_DAYS');
    expect(complaint).toContain('raise WEIR_DAY_RETENTION_DAYS to 89, or lower WEIR_HOUR_RETENTION_DAYS');
    expect(complain({ WEIR_HOUR_RETENTION_DAYS: '90', WEIR_DAY_RETENTION_DAYS: '90' })).toBe('');
  });

  test('refuse halves of what belongs together', () => {
    expect(complain({ KAFKA_SASL_MECHANISM: 'plain' })).toContain('set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD');
    expect(complain({ KAFKA_TLS: 'true', KAFKA_TLS_CERT_FILE: 'cert.pem' })).toContain('set both or neither');
    expect(complain({ KAFKA_TLS_CA_FILE: 'ca.pem' })).toContain('set KAFKA_TLS=true');
  });

  test('refuse a file that is not there', () => {
    expect(complain({ KAFKA_TLS: 'true', KAFKA_TLS_CA_FILE: 'ca.pem' }, false)).toContain(
      'ca.pem, which does not exist',
    );
  });

  test('refuse credentials in an address, and show no secret in a problem', () => {
    expect(complain({ CLICKHOUSE_URL: 'ftp://host' })).toContain('is not http or https');
    const complaint = complain({ KAFKA_SASL_PASSWORD: 'hunter2', CLICKHOUSE_PASSWORD: 'hunter2' });
    expect(complaint).toContain('KAFKA_SASL_PASSWORD');
    expect(complaint).not.toContain('hunter2');
    expect(complain({ CLICKHOUSE_URL: 'http://me:hunter2@host:8123' })).toContain('use the settings for user');
    expect(complain({ CLICKHOUSE_URL: 'http://me:hunter2@host:8123' })).not.toContain('hunter2');
    expect(secretSettings).toEqual([
      'kafkaSaslPassword',
      'clickhousePassword',
      'clickhouseApiPassword',
      'schemaRegistryPassword',
      'secretsKey',
    ]);
  });

  test('are in the README as they are in the code; `npm run docs` writes them', () => {
    const readme = readFileSync(path.join(import.meta.dirname, '../../README.md'), 'utf8');
    expect(insertSettingsTable(readme)).toBe(readme);
  });
});
