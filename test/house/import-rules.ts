import { findImports, type SourceFile } from './source-tree.ts';

/** A rule about single files, with a breach that it has to find. */
export interface Rule {
  says: string;
  /** What in the file breaks the rule. */
  find(file: SourceFile): string[];
  breach: SourceFile;
}

/** Files that match `who` may import of ours only what matches `may`. */
interface Reach {
  says: string;
  who: RegExp;
  may: RegExp;
  breach: SourceFile;
}

const ours = /^(schemas|clickhouse|pipelines|services|deploy|test)\//;
/** The one module that processes share, the door to Kafka, turns of a job, and how state that people make is published. */
const processParts = 'pipelines/(job-turns|kafka|metrics-table|process|servers|state/publisher)\\.ts$';
const rim = 'services/simulator/(main|demo-producer|seed|simulate)\\.ts';
/** The command that answers from a file reads its records as the pipelines read theirs. */
const analysisRim = 'services/analysis/(analyze|event-file)\\.ts';

const importing = (path: string, specifier: string): SourceFile => ({
  path,
  text: `import { a } from '${specifier}';\n`,
});

const reaches: Reach[] = [
  {
    says: 'schemas import nothing of ours',
    who: /^schemas\//,
    may: /^schemas\//,
    breach: importing('schemas/events.ts', '../pipelines/fold.ts'),
  },
  {
    says: 'clickhouse imports schemas only',
    who: /^clickhouse\//,
    may: /^(clickhouse|schemas)\//,
    breach: importing('clickhouse/tables/runs.ts', '../../pipelines/facts.ts'),
  },
  {
    says: 'pipelines import schemas and clickhouse only',
    who: /^pipelines\//,
    may: /^(pipelines|clickhouse|schemas)\//,
    breach: importing('pipelines/main.ts', '../services/simulator/delivery.ts'),
  },
  {
    says: 'the simulator imports schemas only',
    who: new RegExp(`^(?!${rim})services/simulator/`),
    may: /^(services\/simulator|schemas)\//,
    breach: importing('services/simulator/delivery.ts', '../../pipelines/kafka.ts'),
  },
  {
    says: "the simulator's process imports the parts that all processes share besides",
    who: new RegExp(`^${rim}`),
    may: new RegExp(`^((services/simulator|schemas)/|${processParts})`),
    breach: importing('services/simulator/main.ts', '../../pipelines/fold.ts'),
  },
  {
    says: 'analysis imports schemas only',
    who: new RegExp(`^(?!${analysisRim})services/analysis/`),
    may: /^(services\/analysis|schemas)\//,
    breach: importing('services/analysis/critical-path.ts', '../simulator/engine.ts'),
  },
  {
    says: "the command of analysis imports the pipelines' reading of records besides",
    who: new RegExp(`^${analysisRim}`),
    may: /^((services\/analysis|schemas)\/|pipelines\/(decode|rejections)\.ts$)/,
    breach: importing('services/analysis/event-file.ts', '../../pipelines/kafka.ts'),
  },
  {
    says: 'the rest of analysis does not import its command',
    who: new RegExp(`^(?!${analysisRim})services/`),
    may: new RegExp(`^(?!${analysisRim})`),
    breach: importing('services/analysis/critical-path.ts', './event-file.ts'),
  },
  {
    says: 'the console imports schemas only',
    who: /^services\/console\//,
    may: /^(services\/console|schemas)\//,
    breach: importing('services/console/api.ts', '../../clickhouse/client.ts'),
  },
  {
    says: 'query, live, alerts and insight meet the pipelines in schemas, clickhouse and the parts that processes share',
    who: /^services\/(query|live|alerts|insight)\//,
    may: new RegExp(
      `^((services/(query|live|alerts|insight|analysis|simulator)|clickhouse|schemas)/|${processParts}|pipelines/(decode|normalise|redact|rejections|schema-registry)\\.ts$)`,
    ),
    breach: importing('services/query/app.ts', '../../pipelines/writer.ts'),
  },
  {
    says: 'verification shares no code with the folding that it checks',
    who: /^pipelines\/verify\//,
    may: /^(?!pipelines\/(fold|cells|history|forgotten|histogram|partition|partition-reader|writer|facts|reports|report-cells|stored-facts|store|clickhouse-store|baseline-job|state\/(fold|reader|writer)|scoring\/.*)\.ts$)/,
    breach: importing('pipelines/verify/recompute.ts', '../fold.ts'),
  },
  {
    says: 'nothing imports tests but tests',
    who: /^(?!test\/)/,
    may: /^(?!test\/)/,
    breach: importing('deploy/local/start.ts', '../../test/support/stack.ts'),
  },
  {
    says: 'nothing imports deploy but deploy and tests',
    who: /^(?!test\/|deploy\/)/,
    may: /^(?!deploy\/)/,
    breach: importing('pipelines/main.ts', '../deploy/local/ports.ts'),
  },
];

function toRule({ says, who, may, breach }: Reach): Rule {
  const find = (file: SourceFile) => {
    if (!who.test(file.path)) return [];
    const targets = findImports(file).map(({ target }) => target);
    return targets
      .filter((target) => ours.test(target) && !may.test(target))
      .map((target) => `${file.path} imports ${target}`);
  };
  return { says, find, breach };
}

/** Packages that have one door each, and where it is. */
const doors: { driver: string; door: RegExp; breach: SourceFile }[] = [
  {
    driver: '@clickhouse/client',
    door: /^clickhouse\/client\.ts$/,
    breach: importing('pipelines/clickhouse-store.ts', '@clickhouse/client'),
  },
  {
    driver: 'kafkajs',
    door: /^(pipelines\/kafka\.ts$|schemas\/examples\/)/,
    breach: importing('test/pipelines/pipeline.test.ts', 'kafkajs'),
  },
  { driver: 'fastify', door: /^services\/query\//, breach: importing('services/alerts/main.ts', 'fastify') },
  { driver: 'jose', door: /^(services\/query\/auth\.ts$|test\/)/, breach: importing('services/query/app.ts', 'jose') },
  { driver: 'lz4js', door: /^pipelines\/kafka\.ts$/, breach: importing('pipelines/decode.ts', 'lz4js') },
  { driver: 'snappyjs', door: /^pipelines\/kafka\.ts$/, breach: importing('pipelines/decode.ts', 'snappyjs') },
  { driver: 'pino-pretty', door: /^pipelines\/process\.ts$/, breach: importing('pipelines/main.ts', 'pino-pretty') },
  {
    driver: 'ffi-rs',
    door: /^deploy\/local\/clickhouse-child\.ts$/,
    breach: importing('deploy/local/clickhouse.ts', 'ffi-rs'),
  },
  {
    driver: 'testcontainers',
    door: /^deploy\/local\/clickhouse-container\.ts$/,
    breach: importing('test/support/stack.ts', 'testcontainers'),
  },
];

function doorRule({ driver, door, breach }: (typeof doors)[number]): Rule {
  const find = (file: SourceFile) =>
    findImports(file)
      .filter(({ target }) => target === driver && !door.test(file.path))
      .map(() => `${file.path} imports ${driver}`);
  return { says: `${driver} has one importer`, find, breach };
}

const withExtension: Rule = {
  says: 'relative imports carry their extension',
  find: (file) =>
    findImports(file)
      .filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier))
      .map(({ specifier }) => `${file.path} imports ${specifier}`),
  breach: importing('pipelines/main.ts', './pipeline'),
};

export const importRules: Rule[] = [...reaches.map(toRule), ...doors.map(doorRule), withExtension];
