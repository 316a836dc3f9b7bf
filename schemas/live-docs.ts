import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type LiveTopicKind, liveMessages, liveTopicKinds, wholeTopicKinds } from './live.ts';
import { insertTable } from './settings-docs.ts';

/** Writes the tables of the live sockets' topics and messages into the README: part of `npm run docs`. */

const nameOf = (kind: LiveTopicKind): string => `\`${wholeTopicKinds.has(kind) ? kind : `${kind}:ID`}\``;

function renderTopics(): string {
  const rows = (Object.keys(liveTopicKinds) as LiveTopicKind[]).map((kind) => {
    const told = Object.entries(liveMessages).filter(([, { topics }]) =>
      (topics as readonly LiveTopicKind[]).includes(kind),
    );
    return `| ${nameOf(kind)} | ${liveTopicKinds[kind]} | ${told.map(([type]) => `\`${type}\``).join(' ')} |`;
  });
  return ['| Topic | Follows | Messages |', '|---|---|---|', ...rows].join('\n');
}

function renderMessages(): string {
  const rows = Object.entries(liveMessages).map(([type, { tells, schema }]) => {
    const { properties } = schema.properties.payload as unknown as { properties: Record<string, unknown> };
    const names = Object.keys(properties).map((name) => `\`${name}\``);
    return `| \`${type}\` | ${tells} | ${names.join(' ')} |`;
  });
  return ['| Message | Tells of | Payload, at least |', '|---|---|---|', ...rows].join('\n');
}

/** The README with the current tables. */
export const insertLiveTables = (readme: string): string =>
  insertTable(insertTable(readme, 'live-topics', renderTopics()), 'live-messages', renderMessages());

if (process.argv[1] === import.meta.filename) {
  const file = path.join(import.meta.dirname, '..', 'README.md');
  writeFileSync(file, insertLiveTables(readFileSync(file, 'utf8')));
}
