import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { listFiles, repository } from './source-tree.ts';

const folder = 'clickhouse/migrations/';
const migrations = listFiles().filter((name) => name.startsWith(folder));

describe('migrations', () => {
  it('are numbered without a gap and named in snake_case', () => {
    const names = migrations.map((name) => name.slice(folder.length));
    names.forEach((name, index) => {
      expect(name).toMatch(new RegExp(`^${String(index + 1).padStart(4, '0')}_[a-z0-9_]+\\.sql$`));
    });
    expect(names.length).toBeGreaterThan(0);
  });

  it.each(migrations)('may be run twice: %s', (name) => {
    const creates = readFileSync(path.join(repository, name), 'utf8').match(/^CREATE .*/gm) ?? [];
    for (const statement of creates) expect(statement).toMatch(/ IF NOT EXISTS /);
  });
});
