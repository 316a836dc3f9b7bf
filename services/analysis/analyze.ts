import { parseArgs } from 'node:util';
import { type Analysis, analyses, findAnswers, type Wishes } from './analysis-answers.ts';
import { renderAnswer } from './answer-text.ts';
import { readEventFile } from './event-file.ts';

const help = `npm run analyze: answers from a file of executions, without a server.

  npm run analyze -- ANALYSIS --file FILE [options]

  ANALYSIS        ${analyses.join(', ')}
  --file FILE     JSON lines, one event of an execution or of a task a line,
                  as npm run simulate writes them
  --workflow W    only this workflow; otherwise every workflow of the file
  --execution E   only this execution: its critical path, or its expected end
  --as-of T       predict: what was known of the execution at that instant,
                  as 2026-11-02T10:00:00Z
  --since T       bottlenecks: executions from then on, compared with those before
  --json          the whole answers as JSON, an array with one for each workflow
  --help          this text`;

const badUsageExitCode = 2;

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      file: { type: 'string' },
      workflow: { type: 'string' },
      execution: { type: 'string' },
      'as-of': { type: 'string' },
      since: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    return;
  }
  const analysis = readAnalysis(positionals);
  if (values.file === undefined) throw new Error('--file has to name a file');
  const wishes: Wishes = {
    analysis,
    workflowId: values.workflow ?? null,
    executionId: values.execution ?? null,
    asOfMs: readInstant(values['as-of'], '--as-of'),
    sinceMs: readInstant(values.since, '--since'),
  };
  const { executions, lines, rejected } = await readEventFile(values.file);
  for (const [what, count] of rejected) console.error(`${count} of ${lines} lines are no event: ${what}`);
  if (executions.length === 0) throw new Error(`${values.file} holds no event of an execution or of a task`);
  const answers = findAnswers(executions, wishes);
  console.log(
    values.json
      ? JSON.stringify(answers, null, 2)
      : answers.map((answer) => renderAnswer(analysis, answer)).join('\n\n'),
  );
}

function readAnalysis(positionals: readonly string[]): Analysis {
  const [name, ...others] = positionals;
  const analysis = analyses.find((known) => known === name);
  if (name === undefined) throw new Error('say which analysis');
  if (analysis === undefined) throw new Error(`there is no analysis ${name}; there are ${analyses.join(', ')}`);
  if (others.length > 0) throw new Error(`${others[0]} is one word too many`);
  return analysis;
}

function readInstant(text: string | undefined, option: string): number | null {
  if (text === undefined) return null;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new Error(`${option} has to be an instant such as 2026-11-02T10:00:00Z`);
  return ms;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\n\n${help}`);
  process.exitCode = badUsageExitCode;
}
