import path from 'node:path';
import type { Rule } from './import-rules.ts';
import { type SourceFile, stripComments } from './source-tree.ts';

/** Names that say nothing of what is inside. */
const emptyNames = new Set([
  'index',
  'util',
  'utils',
  'helper',
  'helpers',
  'common',
  'types',
  'base',
  'misc',
  'shared',
]);
const emptyEndings = /-(utils?|helpers?|manager|handler|base)$|^(manager|handler)$/;

const kebab = /^[a-z0-9]+(-[a-z0-9]+)*$/;

const empty = (name: string): SourceFile => ({ path: name, text: '' });

const matching = (says: string, pattern: RegExp, exempt: RegExp, breach: SourceFile): Rule => ({
  says,
  find: (file) => (!exempt.test(file.path) && pattern.test(stripComments(file.text)) ? [file.path] : []),
  breach,
});

const never = /^$/;

export const nameRules: Rule[] = [
  {
    says: 'files have kebab-case names',
    find: ({ path: file }) => {
      const name = path.posix.basename(file).replace(/(\.test|\.d|\.config)?\.ts$/, '');
      return kebab.test(name) ? [] : [file];
    },
    breach: empty('pipelines/partitionReader.ts'),
  },
  {
    says: 'folders have kebab-case names',
    find: ({ path: file }) =>
      path.posix
        .dirname(file)
        .split('/')
        .every((name) => kebab.test(name))
        ? []
        : [file],
    breach: empty('services/WhatIf/engine.ts'),
  },
  {
    says: 'files are named after what they are about',
    find: ({ path: file }) => {
      const name = path.posix.basename(file).replace(/(\.test|\.d)?\.ts$/, '');
      return emptyNames.has(name) || emptyEndings.test(name) ? [file] : [];
    },
    breach: empty('pipelines/string-utils.ts'),
  },
  matching(
    'nothing is exported by default',
    /^\s*export\s+(default\b|\{[^}]*\bas default\b)/m,
    /\.d\.ts$|vitest\.config\.ts$/,
    {
      path: 'pipelines/fold.ts',
      text: 'export default function fold() {}\n',
    },
  ),
  matching('states are const lists, not enums', /^\s*(export\s+)?(declare\s+)?(const\s+)?enum\s+\w+\s*\{/m, never, {
    path: 'schemas/events.ts',
    text: 'export const enum State { Pending }\n',
  }),
  matching('no file only hands on what others export', /^\s*export\s+\*/m, never, {
    path: 'schemas/all.ts',
    text: "export * from './events.ts';\n",
  }),
];
