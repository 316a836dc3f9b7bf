import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listReadableTables } from '../../deploy/local/readable-tables.ts';
import { launch } from '../support/launched.ts';
import { OwnServers } from '../support/own-servers.ts';
import { Telemetry } from '../support/pipeline-process.ts';
import { uniqueTopics, useStack } from '../support/stack.ts';
import { type Answer, expectedAnswers, standstill } from './question-answers.ts';
import { outgoing } from './question-records.ts';

/** Every question of QUESTIONS.md, as the page has it, asked by the user who reads, of telemetry that went all the way. */

const root = path.resolve(import.meta.dirname, '../..');
const page = readFileSync(path.join(root, 'clickhouse/QUESTIONS.md'), 'utf8');
const questions = page
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    heading: section.slice(0, section.indexOf('\n')),
    statements: [...section.matchAll(/^```sql\n([\s\S]*?)^```$/gm)].map(([, sql = '']) => sql),
    prose: section
      .slice(section.indexOf('\n'))
      .replaceAll(/^```sql\n[\s\S]*?^```$/gm, '')
      .replaceAll(/^#.*$/gm, '')
      .trim(),
  }));

const topics = uniqueTopics('questions');
const answers = expectedAnswers(topics);
let servers: OwnServers;
let telemetry: Telemetry;
let query: (statement: string) => Promise<string>;

async function ask(statement: string): Promise<Answer[]> {
  const answer = await query(statement);
  return answer === '' ? [] : answer.split('\n').map((line) => JSON.parse(line) as Answer);
}

/** What every pipeline does from time to time, done to its end. */
async function runToEnd(script: string): Promise<void> {
  const launched = launch(path.join(root, script), { args: ['--once'], env: telemetry.env });
  const { code } = await launched.exited;
  expect(code, launched.output()).toBe(0);
}

beforeAll(async () => {
  servers = await OwnServers.create();
  // The engine learns what readers may see when it starts, so the tables come first.
  await servers.startClickHouse();
  telemetry = new Telemetry(topics, { brokers: useStack().brokers, database: servers.database() }, { partitions: 1 });
  await telemetry.prepare();
  const readable = await listReadableTables(servers.database());
  await servers.clickhouse?.stop();
  const { users } = await servers.startClickHouse(readable);
  query = servers.database(users.reader, {
    default_format: 'JSONEachRow',
    output_format_json_quote_64bit_integers: '0',
  }).query;
  await telemetry.send('executions', outgoing.executions);
  await telemetry.send('tasks', outgoing.tasks);
  await telemetry.send('orchestrators', outgoing.orchestrators);
  await telemetry.startReady();
  await telemetry.waitStored(90_000);
  await runToEnd('pipelines/rollup-command.ts');
  await runToEnd('pipelines/baseline-command.ts');
}, 300_000);

afterAll(async () => {
  await telemetry.close();
  await servers.stop();
});

describe('the page', () => {
  it('has at least twenty questions, each with a sentence on its answer and one statement', () => {
    expect(questions.length).toBeGreaterThanOrEqual(20);
    for (const { heading, statements, prose } of questions) {
      expect(heading).toMatch(/^[A-Z].*\?$/);
      expect(statements, heading).toHaveLength(1);
      expect(prose, heading).toMatch(/^[^\n]{20,}\.$/);
    }
    expect(page.match(/^```/gm)).toHaveLength(2 * questions.length);
  });

  it('and the answers that are expected are about the same questions', () => {
    expect(questions.map(({ heading }) => heading).sort()).toEqual(Object.keys(answers).sort());
    for (const [heading, rows] of Object.entries(answers)) expect(rows, heading).not.toEqual([]);
  });
});

it.each(questions)('$heading', async ({ heading, statements }) => {
  expect(await ask(statements[0] ?? '')).toEqual(answers[heading]);
});

it('a workflow that did not start at all stood still for the whole range', async () => {
  const [statement] = questions.find(({ heading }) => heading.startsWith('In which minutes'))?.statements ?? [];
  expect(statement).toContain("'orders_etl'");
  expect(await ask(statement?.replace('orders_etl', 'never_ran') ?? '')).toEqual(standstill);
});
