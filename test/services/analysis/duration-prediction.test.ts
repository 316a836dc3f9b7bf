import { describe, expect, it } from 'vitest';
import { cutExecution, estimateCompletion } from '../../../services/analysis/completion-estimate.ts';
import { adaptInterval, predictDuration } from '../../../services/analysis/duration-prediction.ts';
import type { ExecutionTrace } from '../../../services/analysis/execution-trace.ts';
import { fitRidge, predictRidge } from '../../../services/analysis/ridge-regression.ts';
import { timeWorkflow } from '../../../services/analysis/workflow-runs.ts';
import { createRandom } from '../../../services/simulator/random.ts';
import { at, gatherRuns, type ToldRun } from './told-runs.ts';

const sized = (index: number, rows: number, seconds: number): ToldRun => ({
  id: `run-${index}`,
  start: index * 3600,
  end: seconds,
  fields: { input: JSON.stringify({ rows }) },
  tasks: [{ id: 'a', start: 0, end: seconds }],
});

describe('a regression', () => {
  it('is that of the worked example', () => {
    const model = fitRidge(['x'], [[0], [1], [2], [3]], [1, 3, 5, 7], 0);
    expect(predictRidge(model, [10])).toBeCloseTo(21, 9);
  });
});

describe('the prediction of a duration', () => {
  it('follows the size of the input where durations do', () => {
    const random = createRandom(4);
    const rows = Array.from({ length: 120 }, () => Math.round(random.logNormal(1000, 1)));
    const history = gatherRuns(
      ...rows.map((size, index) => sized(index, size, (size / 10) * random.logNormal(1, 0.05))),
    );
    const [next] = gatherRuns(sized(500, 5000, 1));
    const answer = predictDuration(history, next);
    if ('refused' in answer) throw new Error(answer.refused);
    expect(answer.method).toBe('regression');
    expect(answer.predicted_duration / 500_000).toBeGreaterThan(0.8);
    expect(answer.predicted_duration / 500_000).toBeLessThan(1.2);
    const product = answer.factors.reduce((value, { factor }) => value * factor, answer.usual_duration);
    expect(product / answer.predicted_duration).toBeCloseTo(1, 2);
    expect(answer.factors[0].name).toBe('input rows');
  });

  it('is the median, with low confidence and no interval, below five executions', () => {
    const answer = predictDuration(gatherRuns(...[10, 20, 60].map((seconds, index) => sized(index, 1, seconds))));
    expect(answer).toMatchObject({
      method: 'baseline_estimation',
      confidence: 'low',
      predicted_duration: 20_000,
      confidence_interval: [null, null],
    });
    expect(predictDuration([])).toMatchObject({ needed: 1, had: 0 });
  });

  it('has intervals that hold what they say, also after a change', () => {
    let held = 0;
    let judged = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const random = createRandom(seed);
      const errors = Array.from({ length: 400 }, (_, index) => ({
        error: (random.next() - 0.5) * (index < 200 ? 1 : 2),
      }));
      const { coverage } = adaptInterval(errors);
      held += (coverage ?? 0) * 392;
      judged += 392;
    }
    expect(held / judged).toBeGreaterThan(0.87);
    expect(held / judged).toBeLessThan(0.93);
  });
});

/** Six tasks in a row, all of them as slow as the execution is. */
function drawPaced(index: number, random: ReturnType<typeof createRandom>): ToldRun {
  const pace = random.logNormal(1, 0.8);
  let end = 0;
  const tasks = Array.from({ length: 6 }, (_, place) => {
    const start = end;
    end += Math.round(100 * pace * random.logNormal(1, 0.1));
    return { id: `t${place}`, ...(place > 0 ? { after: [`t${place - 1}`] } : {}), ready: start, start, end };
  });
  return { id: `run-${index}`, start: index * 36_000, end, tasks };
}

describe('the expected end of a running execution', () => {
  const steps = (index: number, first: number, second: number): ToldRun => ({
    id: `run-${index}`,
    start: index * 3600,
    end: first + second,
    tasks: [
      { id: 'a', start: 0, end: first },
      { id: 'b', after: ['a'], ready: first, start: first, end: first + second },
    ],
  });
  const history = gatherRuns(...Array.from({ length: 20 }, (_, index) => steps(index, 100, 50)));
  const [late] = gatherRuns(steps(100, 160, 50));
  const estimateAt = (seconds: number) => {
    const nowMs = at(100 * 3600 + seconds);
    const answer = estimateCompletion(cutExecution(late, nowMs), timeWorkflow(history), nowMs);
    if ('refused' in answer) throw new Error(answer.refused);
    return answer;
  };

  it('moves with what happens', () => {
    expect(estimateAt(10).remaining_ms).toBe(140_000);
    expect(estimateAt(90).remaining_ms).toBe(60_000);
    // Longer than ever: the first task is late, and so will be the second.
    const stuck = estimateAt(150);
    expect(stuck.remaining_ms / 80_000).toBeCloseTo(1, 2);
    expect(stuck.running).toEqual([{ task: 'a', age_ms: 150_000, stuck_probability: 0.9524 }]);
    const second = estimateAt(170);
    expect(second.remaining_ms).toBe(40_000);
    expect(second.tasks_over).toBe(1);
    expect(second.progress_ratio).toBe(0.8095);
  });

  it('has an interval that holds what it says, where slow executions are slow throughout', () => {
    let [held, judged] = [0, 0];
    for (let seed = 1; seed <= 60; seed++) {
      const random = createRandom(seed);
      const traces = gatherRuns(...Array.from({ length: 61 }, (_, index) => drawPaced(index, random)));
      const workflow = timeWorkflow(traces.slice(0, 60));
      const one = traces[60] as ExecutionTrace;
      const [startMs, endMs] = [one.startedAtMs ?? 0, one.endedAtMs ?? 0];
      for (const share of [0.3, 0.6, 0.8]) {
        const nowMs = Math.round(startMs + share * (endMs - startMs));
        const answer = estimateCompletion(cutExecution(one, nowMs), workflow, nowMs);
        if ('refused' in answer) throw new Error(answer.refused);
        const [low, high] = answer.remaining_interval_ms;
        judged++;
        if (endMs - nowMs >= low && endMs - nowMs <= high) held++;
      }
    }
    expect(held / judged).toBeGreaterThan(0.82);
    expect(held / judged).toBeLessThan(0.96);
  });

  it('is refused where nothing is known of the workflow', () => {
    expect(estimateCompletion(late, timeWorkflow(history.slice(0, 2)), at(0))).toMatchObject({ needed: 5, had: 2 });
  });
});
