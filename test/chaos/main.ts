import { parseArgs } from 'node:util';
import type { Fault } from './faults.ts';
import { invariants } from './judge.ts';
import { type Mutant, mutants } from './mutants.ts';
import { allFaults, planFaults } from './plan.ts';
import { type RunOptions, type RunResult, runChaos } from './run.ts';
import { Servers } from './servers.ts';

/**
 * `npm run chaos -- --seed N --seconds S [--faults a,b]`: real pipelines, a real Kafka and a real ClickHouse, telemetry of the
 * worst kind and everything going wrong at once; then peace, and a recomputation that must find nothing different.
 * `--mutant M` does the same to code with a slip in it, and `--mutants` to each: the numbers have to show every one.
 */
const usage = `npm run chaos -- [--seed N] [--seconds S] [--faults a,b]
npm run chaos -- [--seed N] --mutant M,... [--control]
npm run chaos -- [--seed N] --mutants [--control]

  --faults    of these, not of all: ${allFaults.map(({ name }) => name).join(' ')}
  --mutant    one of: ${mutants.map(({ name }) => name).join(' ')}
  --control   leaves out the slip: the same circumstances must show nothing then
`;
const { values: args } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '60' },
    faults: { type: 'string', default: '' },
    mutant: { type: 'string', default: '' },
    mutants: { type: 'boolean', default: false },
    control: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function fail(message: string): never {
  process.stderr.write(`${message}\n\n${usage}`);
  process.exit(2);
}

function readNumber(name: 'seed' | 'seconds'): number {
  const value = Number(args[name]);
  if (!Number.isInteger(value) || value < 0) fail(`--${name} takes a whole number, not ${args[name]}`);
  return value;
}

function findNamed<Item extends { name: string }>(what: string, items: readonly Item[], name: string): Item {
  return items.find((item) => item.name === name) ?? fail(`there is no ${what} ${name}`);
}

const seed = readNumber('seed');

function report({ verdict, faults, sent }: RunResult): void {
  say(`faults: ${[...faults].map(([name, times]) => `${name} ${times}`).join(', ')}`);
  say(
    `records: ${sent} sent, ${verdict.records} in the log, ${verdict.lostToRetention} lost to retention and on the books`,
  );
  say(`cells: ${verdict.cells} compared`);
  for (const [invariant, problems] of verdict.problems) {
    say(`invariant ${invariant} is broken (seed ${seed}): ${invariants[invariant - 1]}`);
    for (const problem of problems.slice(0, 5)) say(`  ${problem}`);
  }
  for (const record of verdict.feeding) say(`  fed by ${record}`);
  say(verdict.line);
}

async function runFaults(faults: readonly Fault[]): Promise<boolean> {
  const seconds = readNumber('seconds');
  const result = await runChaos({ seed, seconds, plan: planFaults(seed, seconds, faults), say });
  report(result);
  return result.verdict.isClean;
}

/** True when the numbers show the slip, or, without it, show nothing. */
async function runMutant(mutant: Mutant, shared?: Servers): Promise<boolean> {
  const { name: mutantName, patches, upgrades, ...circumstances } = mutant;
  const slip = args.control ? { patches: [], statements: [] } : { patches };
  const name = mutantName.replaceAll('-', '_');
  const options: RunOptions = {
    ...circumstances,
    ...slip,
    name,
    seed,
    say,
    replays: false,
    hours: mutant.hours === true,
  };
  const { verdict } = await runChaos(upgrades === true ? { ...options, upgrades: 'same fold' } : options, shared);
  const [problem = 'nothing'] = [...verdict.problems.values()].flat();
  const isRight = verdict.isClean === args.control;
  const what = args.control ? 'control' : 'mutant';
  say(`${what} ${mutantName}: ${verdict.isClean ? 'not caught' : 'caught'}, ${verdict.line}; ${problem}`);
  return isRight;
}

async function runMutants(chosen: readonly Mutant[]): Promise<boolean> {
  const wrong: string[] = [];
  const servers = await Servers.start(seed);
  try {
    for (const mutant of chosen) if (!(await runMutant(mutant, servers))) wrong.push(mutant.name);
  } finally {
    await servers.stop();
  }
  const right = chosen.length - wrong.length;
  const outcome = args.control ? 'show nothing without their slip' : 'caught';
  say(`mutants: ${right} of ${chosen.length} ${outcome}${wrong.length === 0 ? '' : `, but not ${wrong.join(', ')}`}`);
  return wrong.length === 0;
}

if (args.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const names = args.faults === '' ? allFaults.map(({ name }) => name) : args.faults.split(',');
const isGood = args.mutants
  ? await runMutants(mutants)
  : args.mutant !== ''
    ? await runMutants(args.mutant.split(',').map((name) => findNamed('mutant', mutants, name)))
    : await runFaults(names.map((name) => findNamed('fault', allFaults, name)));
process.exit(isGood ? 0 : 1);
