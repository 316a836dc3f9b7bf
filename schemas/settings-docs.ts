import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Kind } from './setting-kinds.ts';
import { settingsTable } from './settings-table.ts';

/**
 * Writes the table of settings into the README, between its markers: `npm run docs`. A test fails when the README
 * and `settings-table.ts` differ.
 */
interface DocumentedSetting {
  env: string;
  kind: Kind<unknown>;
  fallback: string;
  meaning: string;
  secret?: true;
}

function renderSettingsTable(): string {
  const rows = Object.values<DocumentedSetting>(settingsTable).map(({ env, kind, fallback, meaning, secret }) => {
    const type = [kind.type, kind.unit].filter((part) => part !== undefined && part !== '').join(', ');
    return `| \`${env}\` | ${type} | ${fallback === '' ? '' : `\`${fallback}\``} | ${meaning}${secret ? ' Secret.' : ''} |`;
  });
  return ['| Setting | Type | Default | Meaning |', '|---|---|---|---|', ...rows].join('\n');
}

/** The README with a generated table between the markers of that name. */
export function insertTable(readme: string, name: string, table: string): string {
  const startMarker = `<!-- ${name}:start -->`;
  const endMarker = `<!-- ${name}:end -->`;
  const start = readme.indexOf(startMarker);
  const end = readme.indexOf(endMarker);
  if (start === -1 || end < start) throw new Error(`the README has no ${startMarker} and ${endMarker}`);
  const before = readme.slice(0, start + startMarker.length);
  return `${before}\n${table}\n${readme.slice(end)}`;
}

/** The README with the current table of settings. */
export const insertSettingsTable = (readme: string): string => insertTable(readme, 'settings', renderSettingsTable());

if (process.argv[1] === import.meta.filename) {
  const file = path.join(import.meta.dirname, '..', 'README.md');
  writeFileSync(file, insertSettingsTable(readFileSync(file, 'utf8')));
}
