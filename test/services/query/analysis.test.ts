import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keptAnalyses } from '../../../clickhouse/tables/analyses.ts';
import type { ExecutionRecord, TaskRecord } from '../../../schemas/records.ts';
import { type ExecutionTrace, startOf } from '../../../services/analysis/execution-trace.ts';
import { pastDefaults } from '../../../services/insight/past-runs.ts';
import { readPast, writePast } from '../../../services/insight/past-text.ts';
import { launch } from '../../support/launched.ts';
import { QueryStand } from '../../support/query-stand.ts';
import { dayMs, dayStartMs } from '../simulator/simulated-days.ts';
import { exampleNames, simulateExamples } from './example-runs.ts';
import { toMessages } from './sample-runs.ts';

/** A day of the four example workflows, moved by whole weeks to lately: nothing else of an answer depends on the date. */
const movedMs = Math.floor((Date.now() - 2 * dayMs - dayStartMs) / (7 * dayMs)) * 7 * dayMs;
const told = simulateExamples(dayStartMs);
const own = <Record extends { workspace?: string | null }>(records: readonly Record[]) =>
  records.filter(({ workspace }) => (workspace ?? 'default') === 'default');
const executions = own(told.executions);
const tasks = own(told.tasks);

const stand = await QueryStand.create('analysis');
const prefix = '/api/v1/workflow-analytics';
const crasher = path.resolve(import.meta.dirname, '../../support/insight-crasher.ts');
const routes: Record<string, string> = {
  critical_path: 'critical-path',
  bottlenecks: 'bottlenecks',
  patterns: 'patterns',
  anti_patterns: 'anti-patterns',
  dependency_graph: 'dependency-graph',
  prediction: 'prediction',
};

/** Every instant of a record is milliseconds under one of these names. */
const instants =
  /^(event_time|scheduled_at|queued_at|started_at|ready_at|dispatched_at|next_retry_at|trigger_time|at)$/;

function move<Value>(value: Value, byMs: number): Value {
  if (Array.isArray(value)) return value.map((item) => move(item, byMs)) as Value;
  if (typeof value !== 'object' || value === null) return value;
  const moved = Object.entries(value).map(([name, member]) => [
    name,
    instants.test(name) && typeof member === 'number' ? member + byMs : move(member, byMs),
  ]);
  return Object.fromEntries(moved) as Value;
}

const unfinished: ExecutionRecord = {
  workflow_id: 'data_pipeline',
  execution_id: 'running/now',
  source: 'airflow',
  state: 'running',
  event_time: dayStartMs + 23 * 3_600_000 + 3_540_000,
  started_at: dayStartMs + 23 * 3_600_000 + 3_540_000,
};
const unfinishedTask: TaskRecord = {
  ...unfinished,
  task_id: 'validate_source',
  attempt: 1,
  pool: 'io',
};

beforeAll(async () => {
  const send = async (kind: 'executions' | 'tasks', records: readonly (ExecutionRecord | TaskRecord)[]) => {
    const messages = toMessages(move([...records], movedMs));
    // A batch has to fit into what the broker takes.
    for (let at = 0; at < messages.length; at += 300) await stand.telemetry.send(kind, messages.slice(at, at + 300));
  };
  await send('executions', [...told.executions, unfinished]);
  await send('tasks', [...told.tasks, unfinishedTask]);
  await stand.telemetry.startReady();
  await stand.telemetry.waitStored(60_000);
  await stand.startService();
});

type Json = Record<string, unknown>;
const ask = (workflow: string, route: string, query = '') =>
  stand.get<Json>(`${prefix}/workflows/${workflow}/${route}${query}`);

describe('the job', () => {
  const kept = () =>
    stand.telemetry.rows<{ workflow: string; analyses: string; computed: string }>(
      `SELECT workspace || '/' || workflow_id AS workflow, arrayStringConcat(arraySort(groupUniqArray(analysis)), ',') AS analyses,
         uniqExact(computed_at) AS computed
       FROM workflow_analyses GROUP BY workflow ORDER BY workflow`,
    );

  it('goes on wherever it was killed, and computes each workflow once', async () => {
    const codes: (number | null)[] = [];
    for (let steps = 1; steps <= 40 && codes.at(-1) !== 0; steps++) {
      const { exited } = launch(crasher, { args: [String(steps)], env: stand.telemetry.env });
      codes.push((await exited).code);
    }
    expect(codes.filter((code) => code === null).length, 'killed').toBeGreaterThan(3);
    expect(codes.at(-1)).toBe(0);
    const rows = await kept();
    expect(rows.map(({ workflow }) => workflow)).toEqual([
      ...exampleNames.map((name) => `default/${name}`).sort(),
      'research/basic_sequence',
    ]);
    for (const { analyses, computed } of rows) {
      expect(analyses).toBe([...keptAnalyses].sort().join(','));
      expect(Number(computed)).toBe(1);
    }
  });

  it('writes down what an execution learns from', async () => {
    for (const workflow of exampleNames) {
      const [{ executions: count, told: text }] = await pastOf(workflow);
      const newest = runsOf(workflow).slice(-pastDefaults.limit);
      expect(Number(count), workflow).toBe(newest.length);
      expect(
        readPast(text)
          ?.map(({ executionId }) => executionId)
          .sort(),
      ).toEqual(newest.map(({ id }) => id).sort());
    }
  });
});

describe('answers about the example workflows', () => {
  it.each(exampleNames)('are those that were worked out before, and the same computed anew: %s', async (workflow) => {
    const golden: Json = {};
    for (const analysis of keptAnalyses) {
      const { computed_at, from_store, ...answer } = await ask(workflow, routes[analysis]);
      expect([from_store, Date.parse(computed_at as string) > 0]).toEqual([true, true]);
      const fresh = await ask(workflow, routes[analysis], '?fresh=true');
      expect({ ...fresh, computed_at, from_store }).toEqual({ ...answer, computed_at, from_store: true });
      const [row] = await stand.telemetry.rows<{ answer: string }>(
        `SELECT answer FROM workflow_analyses FINAL WHERE workspace = 'default' AND workflow_id = '${workflow}' AND analysis = '${analysis}'`,
      );
      // The schema of the route leaves nothing out.
      expect(answer).toMatchObject(JSON.parse(row.answer) as Json);
      const { thresholds, ...rest } = answer;
      golden[analysis] = rest;
    }
    const text = JSON.stringify(moveInstants(golden, -movedMs), null, 1);
    await expect(`${text}\n`).toMatchFileSnapshot(`golden/${workflow}.golden`);
  });

  /** Instants of answers are text. */
  function moveInstants<Value>(value: Value, byMs: number): Value {
    if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT.*Z$/.test(value)) {
      return new Date(Date.parse(value) + byMs).toISOString() as Value;
    }
    if (Array.isArray(value)) return value.map((item) => moveInstants(item, byMs)) as Value;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, moveInstants(part, byMs)])) as Value;
  }
});

const runsOf = (workflow: string) => {
  const ends = executions.filter(
    ({ workflow_id, state }) => workflow_id === workflow && ['completed', 'failed', 'timeout'].includes(state),
  );
  return ends.map((end) => ({
    id: end.execution_id,
    state: end.state,
    durationMs: end.event_time - (end.started_at ?? 0),
    tasks: tasks.filter(({ execution_id }) => execution_id === end.execution_id),
  }));
};
const pastOf = (workflow: string) =>
  stand.telemetry.rows<{ executions: string; told: string }>(
    `SELECT executions, told FROM past_executions FINAL WHERE workspace = 'default' AND workflow_id = '${workflow}'`,
  );
const median = (values: readonly number[]) => {
  const sorted = values.toSorted((one, other) => one - other);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

describe('what answers say', () => {
  it('follows from the records: the basis', async () => {
    for (const workflow of exampleNames) {
      const { basis } = await ask(workflow, 'critical-path');
      const runs = runsOf(workflow);
      const attempts = tasks.filter(
        ({ workflow_id, state }) => workflow_id === workflow && state !== 'skipped' && state !== 'retrying',
      );
      const ran = new Set(attempts.map((task) => [task.execution_id, task.task_id, task.attempt].join(' ')));
      const isRunning = workflow === 'data_pipeline' ? 1 : 0;
      expect(basis, workflow).toMatchObject({
        executions: runs.length + isRunning,
        usable_executions: runs.length,
        task_attempts: ran.size + isRunning,
        executions_left_out: 0,
      });
    }
  });

  it('follows from the records: paths, makespans and usual durations', async () => {
    for (const workflow of exampleNames) {
      const runs = runsOf(workflow);
      const path = await ask(workflow, 'critical-path');
      expect(path.median_makespan_ms, workflow).toBeCloseTo(median(runs.map(({ durationMs }) => durationMs)), 3);
      const kinds = Object.values(path.by_kind as Record<string, number>);
      const mean = runs.reduce((sum, { durationMs }) => sum + durationMs, 0) / runs.length;
      // What was on paths sums up to the whole.
      expect(kinds.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(mean, 1);
      const prediction = await ask(workflow, 'prediction');
      const lately = runs.filter(({ state }) => state === 'completed').slice(-60);
      const logs = lately.map(({ durationMs }) => Math.log(durationMs));
      expect(prediction.usual_duration, workflow).toBeCloseTo(Math.exp(median(logs)), 0);
    }
  });

  it('has the structure of the definitions', async () => {
    const kindsOf = async (workflow: string) => {
      const { patterns } = await ask(workflow, 'patterns');
      return (patterns as { patternType: string; tasks: string[] }[]).map(({ patternType, tasks: of }) => [
        patternType,
        ...of.toSorted(),
      ]);
    };
    expect(await kindsOf('basic_sequence')).toEqual([['sequential', 'finalize', 'initialize', 'process']]);
    expect(await kindsOf('parallel_processing')).toEqual([['scatter_gather', 'branch_a', 'branch_b', 'branch_c']]);
    expect(await kindsOf('conditional_workflow')).toEqual([
      ['conditional', 'fast_process', 'standard_process', 'thorough_process'],
    ]);
    const [[kind, ...steps]] = await kindsOf('data_pipeline');
    expect([kind, steps.length]).toEqual(['sequential', 7]);
    const { edges, maxDepth, maxWidth } = await ask('parallel_processing', 'dependency-graph');
    expect([maxDepth, maxWidth]).toEqual([3, 3]);
    expect((edges as { from: string; to: string }[]).map(({ from, to }) => `${from}>${to}`).sort()).toEqual([
      'branch_a>merge_results',
      'branch_b>merge_results',
      'branch_c>merge_results',
      'data_preparation>branch_a',
      'data_preparation>branch_b',
      'data_preparation>branch_c',
    ]);
  });

  it('stands in plain columns too', async () => {
    const views = {
      workflow_patterns: ['data_pipeline', 1],
      dependency_graph_tasks: ['data_pipeline', 7],
      dependency_graph_edges: ['data_pipeline', 6],
      critical_path_tasks: ['data_pipeline', 7],
      workflow_critical_paths: ['data_pipeline', 1],
      duration_predictions: ['data_pipeline', 1],
      dependency_graphs: ['conditional_workflow', 1],
    } as const;
    for (const [view, [workflow, rows]] of Object.entries(views)) {
      const found = await stand.telemetry.rows<Json>(
        `SELECT * FROM ${view} WHERE workspace = 'default' AND workflow_id = '${workflow}'`,
      );
      expect(found.length, view).toBe(rows);
      for (const value of Object.values(found[0])) expect(value).not.toBe('nan');
    }
    const [{ low_ms, predicted_duration_ms }] = await stand.telemetry.rows<Json>(
      "SELECT low_ms, predicted_duration_ms FROM duration_predictions WHERE workflow_id = 'parallel_processing'",
    );
    const prediction = await ask('parallel_processing', 'prediction');
    expect([low_ms, predicted_duration_ms]).toEqual([
      (prediction.confidence_interval as number[])[0],
      prediction.predicted_duration,
    ]);
  });
});

describe('one execution', () => {
  it('has a path whose segments sum up to the whole', async () => {
    for (const { id, durationMs } of runsOf('parallel_processing').slice(0, 10)) {
      const answer = await stand.get<Json>(`${prefix}/executions/${encodeURIComponent(id)}/critical-path`);
      const segments = answer.segments as { duration_ms: number }[];
      expect(segments.reduce((sum, { duration_ms }) => sum + duration_ms, 0)).toBe(durationMs);
      expect(answer).toMatchObject({ duration: durationMs, execution_id: id, refused: null, from_store: false });
    }
  });

  it('that runs has an end to expect', async () => {
    const answer = await stand.get<Json>(`${prefix}/executions/${encodeURIComponent(unfinished.execution_id)}/eta`);
    const running = answer.running as { task: string }[];
    expect(running.map(({ task }) => task)).toEqual(['validate_source']);
    const [low, high] = answer.remaining_interval_ms as number[];
    expect(low).toBeLessThanOrEqual(answer.remaining_ms as number);
    expect(high).toBeGreaterThanOrEqual(answer.remaining_ms as number);
    expect(Date.parse(answer.eta as string)).toBeGreaterThanOrEqual(Date.parse(answer.as_of as string));
  });
});

describe('what one execution learns from', () => {
  const basisOf = async (query: string) => {
    const answer = await stand.get<Json>(
      `${prefix}/executions/${encodeURIComponent(unfinished.execution_id)}/eta${query}`,
    );
    const { executions: count, to } = answer.basis as { executions: number; to: string };
    return { executions: count, toMs: Date.parse(to) };
  };
  const startsOf = (runs: readonly ExecutionTrace[]) => runs.map(startOf);

  it('is what the job wrote down, where that is of enough executions and not of long ago', async () => {
    const [{ told: text }] = await pastOf('data_pipeline');
    const past = readPast(text) ?? [];
    const [newestMs] = startsOf(past).slice(-1);
    expect(await basisOf('?limit=6')).toEqual({ executions: 6, toMs: newestMs });
    const oldest = past.slice(0, 7);
    const write = async (count: number, computedAtMs: number) =>
      await stand.telemetry.database.query(
        `INSERT INTO past_executions (workspace, workflow_id, source, executions, told, computed_at) VALUES
          ('default', 'data_pipeline', 'airflow', ${count}, '${writePast(oldest)}', fromUnixTimestamp64Milli(${computedAtMs}))`,
      );
    await stand.telemetry.database.query('TRUNCATE TABLE past_executions');
    await write(7, Date.now() - pastDefaults.writtenMs - 60_000);
    expect(await basisOf('?limit=5')).toEqual({ executions: 5, toMs: newestMs });
    await write(7, Date.now());
    const [sevenMs] = startsOf(oldest).slice(-1);
    expect(await basisOf('?limit=7')).toEqual({ executions: 7, toMs: sevenMs });
    expect(await basisOf('?limit=8')).toEqual({ executions: 8, toMs: newestMs });
  });
});

describe('an execution beside which more others run than are looked at', () => {
  const many = Array.from({ length: 8 }, (_, at): ExecutionRecord => {
    const event_time = unfinished.event_time + 1000 * (at + 1);
    return { ...unfinished, execution_id: `running/${at}`, event_time, started_at: event_time };
  });
  const ofFirst: TaskRecord = { ...unfinishedTask, execution_id: 'running/0', event_time: many[0].event_time };

  beforeAll(async () => {
    await stand.telemetry.send('executions', toMessages(move(many, movedMs)));
    await stand.telemetry.send('tasks', toMessages(move([ofFirst], movedMs)));
    await stand.telemetry.waitStored(60_000);
  });

  it('learns from those that have ended', async () => {
    const answer = await stand.get<Json>(`${prefix}/executions/${encodeURIComponent('running/0')}/eta?limit=8`);
    expect(answer.refused).toBeNull();
    expect(answer.remaining_ms).toBeGreaterThan(0);
  });
});

describe('a workflow of 100 000 tasks', () => {
  const tasksMany = 100_000;

  beforeAll(async () => {
    const about = "'default' AS workspace, 'huge' AS source, 'huge' AS workflow_id, 'huge/1' AS execution_id";
    const endMs = movedMs + dayStartMs + tasksMany;
    const run = (query: string) => stand.telemetry.database.query(query);
    await run(
      `INSERT INTO execution_list (workspace, source, workflow_id, execution_id, at) SELECT ${about}, fromUnixTimestamp64Milli(${endMs - tasksMany})`,
    );
    await run(`INSERT INTO executions (workspace, source, workflow, execution_id, first_seen_at, last_event_at)
      SELECT workspace, source, tuple(1, 1, workflow_id, ''), execution_id, fromUnixTimestamp64Milli(${endMs - tasksMany}), fromUnixTimestamp64Milli(${endMs}) FROM (SELECT ${about})`);
    await run(`INSERT INTO execution_events (workspace, source, workflow_id, execution_id, attempt, state, event_time, started_at)
      SELECT ${about}, 1, 'completed', fromUnixTimestamp64Milli(${endMs}), fromUnixTimestamp64Milli(${endMs - tasksMany})`);
    // Each waits for the one before, and takes a millisecond.
    await run(`INSERT INTO task_events (workspace, source, workflow_id, execution_id, attempt, state, task_id, map_index, offset, event_time, started_at, duration_us, dependencies)
      SELECT ${about}, 1, 'completed', concat('t', toString(number)), -1, number, fromUnixTimestamp64Milli(${endMs - tasksMany} + number + 1),
        fromUnixTimestamp64Milli(${endMs - tasksMany} + number), 1000, if(number = 0, [], [tuple(concat('t', toString(number - 1)), 'control', false, '')])
      FROM numbers(${tasksMany})`);
  });

  it.each(['critical-path', 'dependency-graph', 'bottlenecks', 'patterns', 'anti-patterns', 'prediction'])(
    'is answered, or refused in words, and others meanwhile: %s',
    async (route) => {
      const answering = stand.call(`${prefix}/workflows/huge/${route}`);
      // The service is not held up.
      expect((await ask('basic_sequence', 'prediction')).from_store).toBe(true);
      const response = await answering;
      const text = await response.text();
      expect([200, 422, 504], text.slice(0, 300)).toContain(response.status);
      expect(text).not.toMatch(/NaN|Infinity/);
      if (response.status !== 200 || (JSON.parse(text) as Json).refused !== null) return;
      expect((JSON.parse(text) as { basis: Json }).basis.task_attempts).toBe(tasksMany);
    },
    120_000,
  );

  it('has a path of all its tasks, and says that the list was cut', async () => {
    const answer = await stand.get<Json>(`${prefix}/executions/huge%2F1/critical-path`);
    expect(answer).toMatchObject({ duration: tasksMany, refused: null });
    expect((answer.cut as Json).path).toBe(tasksMany);
    expect((answer.path as string[]).length).toBeLessThan(tasksMany);
  });
});

describe('what cannot be answered', () => {
  it('is refused in words, with the data that was there', async () => {
    const answer = await ask('basic_sequence', 'patterns', '?limit=1');
    expect(answer).toMatchObject({
      patterns: [],
      performance_trends: null,
      refused: { needed: 3, had: 1, message: expect.stringContaining('at least 3 finished executions') },
      basis: { executions: 1 },
      from_store: false,
    });
  });

  it.each([
    ['workflows/nobody/patterns', 404, 'not_found'],
    ['workflows/nobody/patterns?fresh=true', 404, 'not_found'],
    ['workflows/basic_sequence/patterns?source=elsewhere', 404, 'not_found'],
    ['workflows/basic_sequence/dependency-graph?version=9', 404, 'not_found'],
    ['executions/nobody/eta', 404, 'not_found'],
    ['workflows/basic_sequence/bottlenecks?since=yesterday', 400, 'invalid_request'],
    ['workflows/basic_sequence/patterns?limit=0', 400, 'invalid_request'],
  ])('is an error that says so: %s', async (of, status, code) => {
    const response = await stand.call(`${prefix}/${of}`);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code } });
  });
});
