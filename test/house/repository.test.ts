import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { listFiles, readTopLevel, repository } from './source-tree.ts';

interface Package {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
}

const readText = (name: string) => readFileSync(path.join(repository, name), 'utf8');

const expectedAtTop = new Set([
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'pipelines',
  'schemas',
  'services',
  'clickhouse',
  'deploy',
  'test',
  'README.md',
  'LICENSE',
]);

const findStrangers = (names: readonly string[]) =>
  names.filter((name) => !expectedAtTop.has(name) && !name.startsWith('.'));

const findLoose = (versions: Record<string, string>) =>
  Object.entries(versions).filter(([, version]) => !/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version));

/** Addresses that packages are fetched from. Those of homepages and sponsors stay where they are. */
const findHosts = (lock: string) => lock.match(/"(resolved|registry)": *"[^"]*:\/\/[^"]*"/g) ?? [];

describe('the top of the repository', () => {
  it('holds what the README explains, and dot-files', () => {
    expect(findStrangers(readTopLevel())).toEqual([]);
    expect(findStrangers(['README.md', '.npmrc', 'notes.txt', 'src'])).toEqual(['notes.txt', 'src']);
  });

  it('holds no empty file below it', () => {
    expect(listFiles().filter((name) => statSync(path.join(repository, name)).size === 0)).toEqual([]);
  });
});

describe('dependencies', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(readText('package.json')) as Package;

  it('have exact versions', () => {
    expect(findLoose({ ...dependencies, ...devDependencies, ...optionalDependencies })).toEqual([]);
    const loose = { a: '^1.2.3', b: '1.x', c: 'latest', d: '>=2.0.0', e: 'file:../e' };
    expect(findLoose({ ...loose, exact: '26.7.3-stable.1' }).map(([name]) => name)).toEqual(Object.keys(loose));
  });

  it('are locked without naming the host that they came from', () => {
    expect(findHosts(readText('package-lock.json'))).toEqual([]);
    expect(findHosts('{ "resolved": "https://packages.example.com/a/-/a-1.0.0.tgz" }')).toHaveLength(1);
  });
});

describe('scripts', () => {
  it('name files that exist', () => {
    const { scripts } = JSON.parse(readText('package.json')) as Package;
    const files = Object.values(scripts).flatMap((script) => script.match(/[\w/.-]+\.ts\b/g) ?? []);
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !listFiles().includes(file))).toEqual([]);
  });
});
