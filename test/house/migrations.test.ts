import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { listFiles, repository } from './source-tree.ts';

const folder = 'clickhouse/migrations/';
const migrations = listFiles().filter((name) => name.startsWith(folder));

describe('migrations', () => {
  it('have each a number of their own and are named in snake_case', () => {
    const names = migrations.map((name) => name.slice(folder.length));
    for (const name of names) expect(name).toMatch(/^\d{4}_[a-z0-9_]+\.sql$/);
    expect(new Set(names.map((name) => name.slice(0, 4))).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(0);
  });

  it.each(migrations)('may be run twice: %s', (name) => {
    const creates = readFileSync(path.join(repository, name), 'utf8').match(/^CREATE .*/gm) ?? [];
    for (const statement of creates) expect(statement).toMatch(/ IF NOT EXISTS /);
  });
});
