import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analyses } from '../../../services/analysis/analysis-answers.ts';

const services = path.join(import.meta.dirname, '../../../services');
const folder = mkdtempSync(path.join(tmpdir(), 'weir-analyze-'));
const day = path.join(folder, 'day.jsonl');

const run = (script: string, ...args: string[]) => {
  const options = { encoding: 'utf8', maxBuffer: 100_000_000 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(services, script), ...args], options);
  return { status, stdout, stderr };
};
const analyze = (...args: string[]) => run('analysis/analyze.ts', ...args);

const task = (id: string, state: string, start: number, end: number, after: string[] = []) => ({
  workflow_id: 'nightly',
  execution_id: 'nightly/1',
  task_id: id,
  state,
  event_time: end,
  started_at: start,
  dependencies: after.map((task_id) => ({ task_id })),
});

describe('npm run analyze', () => {
  beforeAll(() => {
    const { status, stderr } = run('simulator/simulate.ts', '--scenario', 'quiet-fleet', '--seed', '3', '--out', day);
    expect(status, stderr).toBe(0);
    // Few workflows are enough, and each question reads the file anew.
    const wanted = /"workflow_id":"(basic_sequence|parallel_processing|conditional_workflow|data_pipeline)"/;
    const lines = readFileSync(day, 'utf8').split('\n');
    writeFileSync(day, lines.filter((line) => wanted.test(line)).join('\n'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(analyses)('answers %s for every workflow of a simulated day', { timeout: 240_000 }, (analysis) => {
    const { status, stdout, stderr } = analyze(analysis, '--file', day, '--json');
    expect([status, stderr]).toEqual([0, '']);
    const answers = JSON.parse(stdout) as Record<string, unknown>[];
    const names = answers.map((answer) => answer.workflow_id ?? answer.workflowId);
    const wanted = ['basic_sequence', 'conditional_workflow', 'parallel_processing', 'data_pipeline'];
    expect([...new Set(names)]).toEqual(wanted);
    const places = answers.map(({ workspace, source }, index) => `${workspace} ${source} ${names[index]}`);
    expect(new Set(places).size).toBe(answers.length);
    for (const { basis } of answers)
      expect(basis).toMatchObject({ missing_ratio: 0, from: expect.stringMatching(/^2026-11-02T/) });
  });

  it('tells the four example workflows for what they are', { timeout: 240_000 }, () => {
    const shapeOf = (workflow: string) => {
      const { stdout } = analyze('patterns', '--file', day, '--workflow', workflow, '--json');
      const [{ patterns }] = JSON.parse(stdout) as { patterns: { patternType: string; tasks: string[] }[] }[];
      return patterns.map(({ patternType, tasks }) => `${patternType}: ${tasks.toSorted().join(' ')}`).sort();
    };
    expect(shapeOf('basic_sequence')).toEqual(['sequential: finalize initialize process']);
    expect(shapeOf('parallel_processing')).toEqual(['scatter_gather: branch_a branch_b branch_c']);
    expect(shapeOf('conditional_workflow')).toEqual(['conditional: fast_process standard_process thorough_process']);
    expect(shapeOf('data_pipeline')).toEqual([
      'sequential: cleanup extract_data load_data post_load_validation transform_data validate_source validate_transformation',
    ]);
  });

  it('answers from bare records, and says which lines are none', () => {
    const file = path.join(folder, 'bare.jsonl');
    const begin = Date.UTC(2026, 0, 5);
    const execution = {
      workflow_id: 'nightly',
      execution_id: 'nightly/1',
      state: 'completed',
      event_time: begin + 9000,
      started_at: begin,
    };
    const lines = [
      execution,
      task('a', 'completed', begin, begin + 4000),
      task('b', 'completed', begin + 5000, begin + 9000, ['a']),
    ];
    writeFileSync(file, [...lines.map((line) => JSON.stringify(line)), 'no json', '{"task_id":"x"}', ''].join('\n'));
    const { status, stdout, stderr } = analyze('critical-path', '--file', file, '--execution', 'nightly/1');
    expect(status).toBe(0);
    expect(stdout).toContain('nightly/1: completed, 9.0 s with 2 tasks');
    expect(stdout).toContain('sum: run 8.0 s, unknown 1.0 s');
    expect(stderr).toContain('1 of 5 lines are no event: no JSON');
    expect(stderr.split('\n').filter((line) => line.includes('lines are no event'))).toHaveLength(2);
  });

  const empty = path.join(folder, 'empty.jsonl');
  it.each([
    [['bottlenecks'], '--file has to name a file'],
    [['bottlenecks', '--file', '/nowhere/at/all'], 'there is no file /nowhere/at/all'],
    [['guess', '--file', day], 'there is no analysis guess; there are critical-path'],
    [[], 'say which analysis'],
    [['predict', '--file', day, '--as-of', 'soon'], '--as-of has to be an instant'],
    [['graph', '--file', empty], 'holds no event'],
    [['graph', '--file', day, '--workflow', 'nobody'], 'there is no workflow nobody; there are'],
    [['graph', '--file', day, '--execution', 'nobody'], 'there is no execution nobody'],
  ])('refuses %j with a clear word', { timeout: 120_000 }, (args, message) => {
    writeFileSync(empty, '');
    const { status, stderr, stdout } = analyze(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });
});
