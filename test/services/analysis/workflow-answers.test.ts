import { describe, expect, it } from 'vitest';
import { findAntiPatterns } from '../../../services/analysis/anti-patterns.ts';
import { isRefusal, type Refusal } from '../../../services/analysis/basis.ts';
import { findBottlenecks } from '../../../services/analysis/bottlenecks.ts';
import { buildDependencyGraph } from '../../../services/analysis/dependency-graph.ts';
import { predictDuration } from '../../../services/analysis/duration-prediction.ts';
import { gatherExecutions } from '../../../services/analysis/execution-trace.ts';
import { compareGraphs } from '../../../services/analysis/graph-difference.ts';
import { findWorkflowCriticalPath } from '../../../services/analysis/workflow-critical-path.ts';
import { findWorkflowPatterns } from '../../../services/analysis/workflow-patterns.ts';
import { timeWorkflow } from '../../../services/analysis/workflow-runs.ts';
import { makeHabitCase, plantedHabits } from '../../support/planted-anti-patterns.ts';
import { makeBottleneckCase, makePatternCase } from '../../support/planted-scenarios.ts';
import { gatherRuns, type ToldRun, type ToldTask } from './told-runs.ts';

function answered<Answer extends object>(answer: Answer | Refusal): Answer {
  if (isRefusal(answer)) throw new Error(answer.refused);
  return answer as Answer;
}

const diamond = (id: string, start: number, slower = 0, extra: ToldTask[] = []): ToldRun => ({
  id,
  start,
  end: 35 + slower,
  fields: { workflowVersion: slower > 0 ? '2' : '1' },
  tasks: [
    { id: 'a', ready: 0, start: 0, end: 10 },
    { id: 'b', after: ['a'], ready: 10, start: 10, end: 30 + slower },
    { id: 'c', after: ['a'], ready: 10, start: 10, end: 15 },
    { id: 'd', after: ['b', 'c'], ready: 30 + slower, start: 30 + slower, end: 35 + slower },
    ...extra,
  ],
});

const several = (count: number, tell: (id: string, start: number) => ToldRun) =>
  Array.from({ length: count }, (_, index) => tell(`run-${index}`, index * 3600));

describe('the dependency graph', () => {
  it('is that of the worked example', () => {
    const graph = answered(buildDependencyGraph(timeWorkflow(gatherRuns(...several(4, diamond)))));
    expect(graph.criticalPath).toEqual(['a', 'b', 'd']);
    expect(graph.criticalPathMs).toBe(35_000);
    expect(graph.parallelizationFactor).toBe(1.1429);
    expect([graph.maxDepth, graph.maxWidth, graph.cycles, graph.inferred]).toEqual([3, 2, [], false]);
    expect(graph.edges.map(({ from, to, weight }) => `${from}>${to} ${weight}`)).toEqual([
      'a>b 1',
      'a>c 1',
      'b>d 1',
      'c>d 1',
    ]);
    const c = graph.nodes.find(({ id }) => id === 'c');
    expect(c).toMatchObject({
      avgDuration: 5000,
      slackMs: 15_000,
      criticality: 0.5714,
      parallelizable: true,
      runRatio: 1,
    });
  });

  it('reports cycles and goes on without the edges that run backwards', () => {
    const told: ToldRun = {
      end: 30,
      tasks: [
        { id: 'a', after: ['c'], start: 0, end: 10 },
        { id: 'b', after: ['a'], start: 10, end: 20 },
        { id: 'c', after: ['b'], start: 20, end: 30 },
      ],
    };
    const graph = answered(buildDependencyGraph(timeWorkflow(gatherRuns(told))));
    expect(graph.cycles).toEqual([['a', 'b', 'c']]);
    expect(graph.criticalPath).toEqual(['a', 'b', 'c']);
    expect(graph.criticalPathMs).toBe(30_000);
  });

  it('is read from the times where nobody tells dependencies', () => {
    const untold = (id: string, start: number): ToldRun => {
      const told = diamond(id, start);
      return { ...told, tasks: told.tasks.map((task) => ({ ...task, after: [] })) };
    };
    const graph = answered(buildDependencyGraph(timeWorkflow(gatherRuns(...several(10, untold)))));
    expect(graph.inferred).toBe(true);
    expect(graph.edges.map(({ from, to }) => `${from}>${to}`).sort()).toEqual(['a>b', 'a>c', 'b>d', 'c>d']);
  });

  it('differs between versions by tasks, edges and durations', () => {
    const added: ToldTask = { id: 'e', after: ['d'], start: 55, end: 56 };
    const [before, after] = [several(3, diamond), several(3, (id, start) => diamond(id, start, 20, [added]))].map(
      (runs) => answered(buildDependencyGraph(timeWorkflow(gatherRuns(...runs)))),
    );
    expect(compareGraphs(before, after)).toMatchObject({
      from: '1',
      to: '2',
      nodesAdded: ['e'],
      nodesRemoved: [],
      edgesAdded: [{ from: 'd', to: 'e' }],
      durationsChanged: [{ id: 'b', beforeMs: 20_000, afterMs: 40_000, ratio: 2 }],
      certain: true,
    });
  });
});

describe('the critical path of a workflow', () => {
  it('counts the paths of its executions and what each task would gain', () => {
    const slowC = (id: string, start: number): ToldRun => {
      const told = diamond(id, start);
      const tasks = told.tasks.map((task) =>
        task.id === 'c' ? { ...task, end: 31 } : task.id === 'd' ? { ...task, ready: 31, start: 31, end: 36 } : task,
      );
      return { ...told, end: 36, tasks };
    };
    const traces = gatherRuns(...several(3, diamond), ...several(1, (_, start) => slowC('odd', start + 60)));
    const answer = answered(findWorkflowCriticalPath(timeWorkflow(traces)));
    expect([answer.path, answer.path_share, answer.duration]).toEqual([['a', 'b', 'd'], 0.75, 35_000]);
    const b = answer.tasks.find(({ task }) => task === 'b');
    expect(b).toMatchObject({ criticality_index: 0.75, path_ms: 15_000 });
    // Half of b's 20 s in three executions; in the fourth c is the longer one.
    expect(b?.gains).toEqual([
      { faster_ratio: 0.25, gain_ms: 3750, gain_ratio: 0.1064 },
      { faster_ratio: 0.5, gain_ms: 7500, gain_ratio: 0.2128 },
    ]);
    expect(answer.parallel_opportunities[0]).toMatchObject({ tasks: ['a', 'b'], kind: 'tasks' });
  });
});

describe('bottlenecks', () => {
  it.each([1, 2, 3, 4, 5, 6])('are the planted ones, and none where none is planted: seed %i', (seed) => {
    const timed = (runs: { events: Parameters<typeof gatherExecutions>[0] }[]) =>
      timeWorkflow(gatherExecutions(runs.flatMap(({ events }) => [...events])));
    const planted = makeBottleneckCase(seed, false);
    const past = planted.before.length > 0 ? timed(planted.before) : null;
    const { bottlenecks } = answered(findBottlenecks(timed(planted.runs), past));
    expect(bottlenecks[0]?.task).toBe(planted.cause?.taskId);
    expect(bottlenecks[0].impact.gain_ratio).toBeGreaterThanOrEqual(0.05);
    const healthy = makeBottleneckCase(seed, true);
    const before = healthy.before.length > 0 ? timed(healthy.before) : null;
    expect(answered(findBottlenecks(timed(healthy.runs), before)).bottlenecks).toEqual([]);
  });

  it('are told by values that can be counted again', () => {
    const report = answered(
      findBottlenecks(
        timeWorkflow(gatherRuns(...several(5, (id, start) => diamond(id, start, 20)))),
        timeWorkflow(gatherRuns(...several(5, diamond))),
      ),
    );
    expect(report.bottlenecks).toHaveLength(1);
    expect(report.bottlenecks[0]).toMatchObject({
      task: 'b',
      score: 1,
      impact: { gain_ms: 20_000, gain_ratio: 0.3636 },
      reasons: [{ reason: 'slow', evidence: { median_run_ms: 40_000, median_run_ms_before: 20_000 } }],
      // Half of 40 s, while the other branch takes 5 s.
      halved_gain_ms: 20_000,
    });
  });

  it('are refused where there are too few executions', () => {
    const answer = findBottlenecks(timeWorkflow(gatherRuns(diamond('only', 0))));
    expect(answer).toMatchObject({ needed: 3, had: 1, refused: expect.stringContaining('at least 3') });
  });
});

/** Numbers that are none, anywhere in an answer. */
function findStrayNumbers(value: unknown, path = ''): string[] {
  if (typeof value === 'number') return Number.isFinite(value) ? [] : [path];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => findStrayNumbers(inner, `${path}.${key}`));
}

describe('every answer', () => {
  const odd: [string, ToldRun[]][] = [
    ['no executions', []],
    ['executions without tasks', several(5, (id, start) => ({ id, start, end: 10, tasks: [] }))],
    [
      'executions that took no time',
      several(5, (id, start) => ({ id, start, end: 0, tasks: [{ id: 'a', start: 0, end: 0 }] })),
    ],
    [
      'executions that run still',
      several(5, (id, start) => ({ id, start, end: null, tasks: [{ id: 'a', start: 0, end: null }] })),
    ],
    ['one execution', [diamond('only', 0)]],
    ['two executions', several(2, diamond)],
  ];

  it.each(odd)('is given or refused, without numbers that are none, for %s', (_, told) => {
    const traces = gatherRuns(...told);
    const workflow = timeWorkflow(traces);
    const answers = [
      buildDependencyGraph(workflow),
      findWorkflowCriticalPath(workflow),
      findBottlenecks(workflow),
      findWorkflowPatterns(workflow),
      findAntiPatterns(workflow),
      predictDuration(traces),
    ];
    expect(answers.flatMap((answer) => findStrayNumbers(answer))).toEqual([]);
    for (const answer of answers) expect(answer.basis.executions).toBe(traces.length);
  });

  it('has no such number for noisy workflows either', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const traces = gatherExecutions(makePatternCase(seed).runs.flatMap(({ events }) => events));
      const workflow = timeWorkflow(traces);
      const answers = [
        buildDependencyGraph(workflow),
        findWorkflowCriticalPath(workflow),
        findBottlenecks(workflow),
        findWorkflowPatterns(workflow),
        findAntiPatterns(workflow),
        predictDuration(traces),
      ];
      expect(
        answers.flatMap((answer) => findStrayNumbers(answer)),
        `seed ${seed}`,
      ).toEqual([]);
    }
  });
});

describe('planted habits', () => {
  const typesOf = (seed: number, habit: (typeof plantedHabits)[number] | null) => {
    const answer = answered(findAntiPatterns(timeWorkflow(gatherExecutions(makeHabitCase(seed, habit).events))));
    return answer.anti_patterns.map(({ type }) => type);
  };

  it.each(plantedHabits)('are found: %s', (habit) => {
    for (const seed of [5, 6]) expect(typesOf(seed, habit), `seed ${seed}`).toEqual([habit]);
  });

  it('are not found where there are none', () => {
    for (const seed of [1, 2, 3, 4]) expect(typesOf(seed, null), `seed ${seed}`).toEqual([]);
  });
});
