import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** A file of the repository: its path from the top, with slashes, and what it holds. */
export interface SourceFile {
  path: string;
  text: string;
}

export const repository = path.resolve(import.meta.dirname, '../..');

/** What installing, building and running leave behind; none of it is committed. */
const leftBehind = new Set(['node_modules', '.git', '.weir', '.cache', 'coverage']);

export function readTopLevel(): string[] {
  return readdirSync(repository).filter((name) => !leftBehind.has(name) && !name.endsWith('.log'));
}

/** Paths of all files below our folders. */
export function listFiles(): string[] {
  return readdirSync(repository, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !leftBehind.has(entry.name))
    .flatMap(({ name }) => readdirSync(path.join(repository, name), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(repository, path.join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .filter((name) => !name.split('/').some((part) => leftBehind.has(part) || part === '__pycache__'))
    .sort();
}

export function readSources(): SourceFile[] {
  return listFiles()
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ path: name, text: readFileSync(path.join(repository, name), 'utf8') }));
}

export interface Import {
  /** As it is written. */
  specifier: string;
  /** A path from the top for what is ours, else the name of a package or of a `node:` module. */
  target: string;
  /** Only types: nothing is left of it when the program runs. */
  typeOnly: boolean;
}

// The formatter puts every static import at the start of a line, which text inside strings and comments is not.
const staticImport = /^(?:import|(?:import|export)\b([^'"`;=()]*?)\bfrom) '([^'\n]+)'/gm;
const calledImport =
  /\b(?:import|require|require\.resolve)\('([^'\n]+)'\)|createRequire\([^)]*\)(?:\.resolve)?\(\s*'([^'\n]+)'/g;

export function findImports(file: SourceFile): Import[] {
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean) =>
    found.push({ specifier, target: resolveTarget(file.path, specifier), typeOnly });
  for (const [, clause = '', specifier] of file.text.matchAll(staticImport)) add(specifier, /^\s*type\b/.test(clause));
  for (const [, plain, made] of stripComments(file.text).matchAll(calledImport)) add(plain ?? made, false);
  return found;
}

function resolveTarget(from: string, specifier: string): string {
  if (specifier.startsWith('.')) return path.posix.join(path.posix.dirname(from), specifier);
  if (specifier.startsWith('node:')) return specifier;
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

export function stripComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}
