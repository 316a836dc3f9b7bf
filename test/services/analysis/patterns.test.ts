import { describe, expect, it } from 'vitest';
import { findAntiPatterns } from '../../../services/analysis/anti-patterns.ts';
import { gatherExecutions } from '../../../services/analysis/execution-trace.ts';
import { maskMessage, testMore } from '../../../services/analysis/failure-patterns.ts';
import { findPerformanceTrend } from '../../../services/analysis/performance-trend.ts';
import { normalShareBelow } from '../../../services/analysis/rank-trend.ts';
import { chanceOfMore } from '../../../services/analysis/retry-storms.ts';
import { findStructuralPatterns } from '../../../services/analysis/structural-patterns.ts';
import { coherenceOf, findTemporalPatterns } from '../../../services/analysis/temporal-patterns.ts';
import { timeWorkflow } from '../../../services/analysis/workflow-runs.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { noNoise, playRuns } from '../../support/planted-runs.ts';
import { makePatternCase, type PatternCase } from '../../support/planted-scenarios.ts';
import { type Block, plantedKinds, plantWorkflow } from '../../support/planted-workflow.ts';
import { gatherRuns, type ToldRun } from './told-runs.ts';

const find = (runs: PatternCase['runs']) =>
  findStructuralPatterns(timeWorkflow(gatherExecutions(runs.flatMap(({ events }) => events))));
const describeAll = (patterns: readonly { kind: string; tasks: readonly string[] }[]) =>
  patterns.map(({ kind, tasks }) => `${kind}: ${tasks.toSorted().join(' ')}`).sort();

const blocks: [string, Block[]][] = [
  ['a chain', ['chain']],
  ['branches beside each other', ['parallel']],
  ['a choice', ['switch']],
  ['a loop', ['loop']],
  ['a map', ['map']],
  ['a scattering', ['scatter']],
  ['a saga', ['saga']],
  ['all of them', ['chain', 'parallel', 'switch', 'loop', 'map', 'scatter', 'saga']],
];

describe('structural patterns', () => {
  it.each(blocks)('are exactly the planted ones without noise: %s', (_, wanted) => {
    const workflow = plantWorkflow('clean', wanted, createRandom(5));
    const plan = {
      workflow,
      executions: 80,
      seed: 5,
      firstMs: 0,
      everyMs: 3_600_000,
      cause: null,
      causeFrom: 0,
      sizeSpread: 0.1,
    };
    expect(describeAll(find(playRuns({ ...plan, noise: noNoise })))).toEqual(describeAll(workflow.patterns));
  });

  it('are found through noise', () => {
    const missed: string[] = [];
    let planted = 0;
    for (let seed = 501; seed <= 530; seed++) {
      const { workflow, runs, noise } = makePatternCase(seed);
      if (!noise.tellsDependencies) continue;
      const found = new Set(describeAll(find(runs)));
      planted += workflow.patterns.length;
      missed.push(...describeAll(workflow.patterns).filter((pattern) => !found.has(pattern)));
    }
    expect(planted).toBeGreaterThan(40);
    expect(missed.length, missed.join('\n')).toBeLessThanOrEqual(0.05 * planted);
  });

  it('know all kinds', () => {
    expect(plantedKinds).toHaveLength(7);
  });
});

const dayMs = 86_400_000;

describe('temporal patterns', () => {
  it('have a coherence of 1 where all fall on the same point', () => {
    expect(coherenceOf([0, dayMs, 2 * dayMs, 5 * dayMs], dayMs)).toBeCloseTo(1, 12);
    expect(coherenceOf([0, dayMs / 2], dayMs)).toBeCloseTo(0, 12);
  });

  it('tell a daily schedule, and nothing for starts at any time', () => {
    const random = createRandom(3);
    const daily = Array.from({ length: 30 }, (_, day) => day * dayMs + 7_200_000 + random.below(600_000));
    expect(findTemporalPatterns(daily)).toMatchObject([
      { type: 'periodic', period_seconds: 86_400 },
      { type: 'time_of_day', peak_hours: [2] },
    ]);
    const any = Array.from({ length: 500 }, () => random.below(30 * dayMs));
    expect(findTemporalPatterns(any)).toEqual([]);
  });
});

describe('trends', () => {
  const daily = (medians: number[]) => medians.map((durationMs, day) => ({ startMs: day * dayMs, durationMs }));

  it('have the slope of the worked example', () => {
    const trend = findPerformanceTrend(daily([100, 110, 121, 133.1]));
    expect(trend.change_per_week_ratio).toBeCloseTo(1.1 ** 7 - 1, 4);
    expect(trend.direction).toBe('stable');
  });

  it('are told where growth is too orderly for chance', () => {
    expect(findPerformanceTrend(daily(Array.from({ length: 14 }, (_, day) => 100 * 1.05 ** day))).direction).toBe(
      'degrading',
    );
    expect(findPerformanceTrend(daily(Array.from({ length: 14 }, (_, day) => 100 * 0.95 ** day))).direction).toBe(
      'improving',
    );
    expect(findPerformanceTrend(daily([1, 2])).direction).toBe('unknown');
  });
});

describe('chances', () => {
  it('are those of the books', () => {
    expect(normalShareBelow(1.96)).toBeCloseTo(0.9750021, 6);
    // Of 5 drawn from 10 of which 5 are marked, all 5 marked: 1 of 252.
    expect(testMore(5, 5, 5, 10)).toBeCloseTo(1 / 252, 9);
    // A beta-binomial of two attempts with the mean 1/2: E(p²) = 1/4 (1 + rho), with rho = 0.02.
    expect(chanceOfMore(2, 2, 0.5)).toBeCloseTo(0.25 * 1.02, 9);
  });

  it('compare messages without what differs between them', () => {
    expect(maskMessage('order 123 at http://x.y/z?1 failed: 0f3a9c77')).toBe('order <n> at <address> failed: <id>');
  });
});

describe('anti-patterns', () => {
  const attempt = (id: string, start: number, fails: number): ToldRun['tasks'] =>
    Array.from({ length: fails + 1 }, (_, place) => ({
      id,
      ready: start + place * 10,
      start: start + place * 10,
      end: start + place * 10 + 5,
      state: place < fails ? ('failed' as const) : ('completed' as const),
      fields: { attempt: place + 1 },
    }));
  const calm = (id: string, start: number, fails = 0): ToldRun => ({
    id,
    start,
    end: 60,
    tasks: attempt('call', 0, fails),
  });

  it('tell a storm of retries from calm', () => {
    const calmRuns = Array.from({ length: 60 }, (_, index) => calm(`run-${index}`, index * 600, index === 7 ? 1 : 0));
    const stormy = Array.from({ length: 15 }, (_, index) => calm(`storm-${index}`, 30_000 + index * 30, 4));
    const typesOf = (runs: ToldRun[]) => {
      const answer = findAntiPatterns(timeWorkflow(gatherRuns(...runs)));
      return 'refused' in answer ? [] : answer.anti_patterns.map(({ type }) => type);
    };
    expect(typesOf(calmRuns)).toEqual([]);
    expect(typesOf([...calmRuns, ...stormy])).toContain('retry_storm');
  });

  it('tell a pool that is too small', () => {
    const crowded = (id: string, start: number): ToldRun => ({
      id,
      start,
      end: 600,
      tasks: Array.from({ length: 10 }, (_, place) => ({
        id: 'part',
        ready: 0,
        start: place * 60,
        end: place * 60 + 60,
        fields: { mapIndex: place, pool: 'small', dispatchedAtMs: null },
      })),
    });
    const answer = findAntiPatterns(
      timeWorkflow(gatherRuns(...Array.from({ length: 5 }, (_, index) => crowded(`run-${index}`, index * 3600)))),
    );
    expect(answer).toMatchObject({
      anti_patterns: [
        {
          type: 'resource_starvation',
          resources: ['small'],
          evidence: { slots_seen: 1, windows: 5, wait_share: 0.8182 },
        },
      ],
    });
  });

  it('tell a workflow that is several, for its tenant or by default', () => {
    const part = (name: string) => {
      const steps = Array.from({ length: 15 }, (_, place) => ({
        id: `${name}${place}`,
        after: place === 0 ? ['begin'] : [`${name}${place - 1}`, ...(place > 1 ? [`${name}${place - 2}`] : [])],
        start: 1 + place,
        end: 2 + place,
      }));
      return steps;
    };
    const told = (id: string, start: number): ToldRun => ({
      id,
      start,
      end: 20,
      tasks: [{ id: 'begin', start: 0, end: 1 }, ...['p', 'q', 'r', 's', 't'].flatMap(part)],
    });
    const workflow = timeWorkflow(gatherRuns(told('1', 0), told('2', 100), told('3', 200)));
    expect(findAntiPatterns(workflow)).toMatchObject({
      anti_patterns: [{ type: 'god_workflow', evidence: { tasks: 76, tasks_limit: 50 } }],
    });
    expect(findAntiPatterns(workflow, new Array(20).fill(90))).toMatchObject({ anti_patterns: [] });
  });
});
