import { findImports, type SourceFile, stripComments } from './source-tree.ts';

/** Time, chance and the outside world are arguments here, so that a seed and a log say everything about a run. */
export const pureFiles =
  /^(pipelines\/(fold|cells|entities|histogram|history|forgotten|hash|facts|reports|report-cells|normalise|redact)\.ts$|pipelines\/scoring\/|services\/analysis\/(?!(analyze|event-file)\.ts$)|services\/simulator\/(?!(main|demo-producer|seed|simulate)\.ts$))/;

const impureCode: Record<string, RegExp> = {
  'the clock': /\bDate\.now\b|\bnew Date\(\s*\)|\bperformance\.|\bhrtime\b/,
  chance: /\bMath\.random\b|\brandom(UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/,
  'a timer': /\bset(Timeout|Interval|Immediate)\b/,
  'the process': /\bprocess\./,
  'the network': /\bfetch\(/,
  'the console': /\bconsole\./,
};

/** Modules that reach outside; whatever else begins with `node:` is refused until somebody looks at it. */
const harmlessModules = new Set([
  'node:assert',
  'node:buffer',
  'node:util',
  'avsc',
  'graphology',
  // Draws chance from what it is given.
  'graphology-communities-louvain',
  'simple-statistics',
]);

/** What in the file depends on more than its arguments. */
export function findImpurities(file: SourceFile): string[] {
  const code = stripComments(file.text);
  const uses = Object.entries(impureCode)
    .filter(([, pattern]) => pattern.test(code))
    .map(([what]) => `${file.path} uses ${what}`);
  const modules = findImports(file)
    // Files of ours are looked at themselves, and JSON of ours is a constant.
    .filter(({ target, typeOnly }) => !typeOnly && !/^[a-z].*\/.*\.(ts|json)$/.test(target))
    .filter(({ target }) => !harmlessModules.has(target))
    .map(({ target }) => `${file.path} imports ${target}`);
  return [...uses, ...modules];
}

/**
 * Pure files and all they import when they run, but contracts: those read the wire schemas once, when they load,
 * and are constants from then on.
 */
export function findPureClosure(files: readonly SourceFile[]): SourceFile[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const closure = new Set(files.filter((file) => pureFiles.test(file.path)));
  for (const file of closure) {
    for (const { target, typeOnly } of findImports(file)) {
      const imported = byPath.get(target);
      if (!typeOnly && imported !== undefined && !target.startsWith('schemas/')) closure.add(imported);
    }
  }
  return [...closure];
}
