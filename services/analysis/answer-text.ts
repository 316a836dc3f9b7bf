import type { Analysis, Answer, PlacedAnswer } from './analysis-answers.ts';

/** Answers for people at a terminal; `--json` has everything. */
export function renderAnswer(analysis: Analysis, answer: PlacedAnswer): string {
  const title = `${'workflow_id' in answer ? answer.workflow_id : answer.workflowId} of ${answer.source}`;
  if ('refused' in answer) return `${title}\n  ${answer.refused}`;
  const lines = renderLines(answer).map((line) => `  ${line}`);
  return [`${title}: ${analysis}`, ...lines].join('\n');
}

function renderLines(answer: Exclude<Answer, { refused: string }>): string[] {
  if ('segments' in answer) return renderPath(answer);
  if ('path_share' in answer) return renderUsualPath(answer);
  if ('bottlenecks' in answer && 'examined' in answer) return renderBottlenecks(answer);
  if ('temporal_patterns' in answer) return renderPatterns(answer);
  if ('predicted_duration' in answer) return renderPrediction(answer);
  if ('eta' in answer) return renderEstimate(answer);
  if ('anti_patterns' in answer) return renderAntiPatterns(answer);
  return renderGraph(answer as Extract<Answer, { criticalPath: string[] }>);
}

type Of<Key extends string> = Extract<Answer, Record<Key, unknown>>;

const tasksShownMost = 12;

function renderPath({ execution_id, state, duration, segments, by_kind, quality }: Of<'segments'>): string[] {
  const notes = [
    quality.running ? 'it runs still' : '',
    quality.dependencies_guessed ? 'dependencies are guessed from the times' : '',
    quality.tasks_without_end > 0 ? `${quality.tasks_without_end} tasks without an end` : '',
  ].filter((note) => note !== '');
  return [
    `${execution_id}: ${state || 'unknown'}, ${time(duration)} with ${count(quality.tasks, 'task')}`,
    ...segments.map(({ start_ms, duration_ms, kind, task, map_index, held_by }) => {
      const name = task === '' ? '(execution)' : map_index < 0 ? task : `${task}[${map_index}]`;
      const holder = held_by === undefined ? '' : `, slot held by ${held_by}`;
      return `${time(start_ms).padStart(9)}  ${time(duration_ms).padStart(9)}  ${kind.padEnd(14)} ${name}${holder}`;
    }),
    `sum: ${Object.entries(by_kind)
      .map(([kind, ms]) => `${kind} ${time(ms)}`)
      .join(', ')}`,
    ...notes,
  ];
}

function renderUsualPath(answer: Of<'path_share'>): string[] {
  const {
    path,
    path_share,
    duration,
    tasks,
    optimization_potential: potential,
    parallel_opportunities,
    basis,
  } = answer;
  const onPath = tasks.filter(({ path_ms }) => path_ms > 0).slice(0, tasksShownMost);
  return [
    `${path.join(' > ')}`,
    `taken by ${percent(path_share)} of ${count(basis.usable_executions, 'execution')}, ${time(duration)} on average`,
    ...onPath.map(({ task, criticality_index, path_ms, path_ratio, gains }) => {
      const half = gains?.find(({ faster_ratio }) => faster_ratio === 0.5);
      const gain =
        half === undefined ? '' : `, twice as fast saves ${time(half.gain_ms)} (${percent(half.gain_ratio)})`;
      return `${task}: on the path of ${percent(criticality_index)}, ${time(path_ms)} of it (${percent(path_ratio)})${gain}`;
    }),
    `without waiting ${time(potential.without_waiting_ms)}, without retries ${time(potential.without_retries_ms)}, at least ${time(potential.least_makespan_ms)}`,
    ...parallel_opportunities.map(
      ({ tasks: both, gain_ms, condition }) => `${both.join(' beside ')} saves ${time(gain_ms)} if ${condition}`,
    ),
  ];
}

function renderBottlenecks({
  bottlenecks,
  examined,
  mean_makespan_ms,
  compared_with,
  basis,
}: Of<'examined'>): string[] {
  const looked = `${count(examined, 'task')} examined over ${count(basis.usable_executions, 'execution')} of ${time(mean_makespan_ms)}, compared with ${compared_with}`;
  if (bottlenecks.length === 0) return ['none', looked];
  const told = bottlenecks.flatMap(({ task, score, impact, reasons, recommendations }) => [
    `${task}: score ${score}, ${time(impact.gain_ms)} (${percent(impact.gain_ratio)}) of each execution`,
    ...reasons.map(({ reason, detail }) => `  ${reason}: ${detail}`),
    ...recommendations.map(({ detail, expected_gain_ms }) => `  ${detail} Expected: ${time(expected_gain_ms)} less.`),
  ]);
  return [...told, looked];
}

function renderPatterns(answer: Of<'temporal_patterns'>): string[] {
  const { patterns, temporal_patterns, failure_patterns, performance_trends: trend, variants, basis } = answer;
  return [
    ...patterns.map(({ patternType, tasks, frequency, avgDuration, successRate }) => {
      return `${patternType}: ${shorten(tasks)}; ${count(frequency, 'execution')}, ${time(avgDuration)}, ${percent(successRate)} succeed`;
    }),
    ...temporal_patterns.map(({ type, description }) => `${type}: ${description}`),
    ...failure_patterns.slice(0, 5).map(({ task, error_type, count: times, share }) => {
      return `failure: ${error_type} of ${task}, ${times} times, ${percent(share)} of all failed attempts`;
    }),
    `trend: ${trend.direction} over ${count(trend.days, 'day')}`,
    ...variants.slice(0, 3).map(({ tasks, share }) => `variant of ${percent(share)}: ${shorten(tasks)}`),
    `from ${count(basis.usable_executions, 'execution')}`,
  ];
}

function renderPrediction(answer: Of<'predicted_duration'>): string[] {
  const {
    predicted_duration,
    confidence_interval: [low, high],
    confidence,
    method,
    factors,
    mean_error_ratio,
    basis,
  } = answer;
  const interval =
    low === null || high === null
      ? 'no interval yet'
      : `${percent(answer.interval_level)} between ${time(low)} and ${time(high)}`;
  return [
    `${time(predicted_duration)}, ${interval}; confidence ${confidence}, by ${method}`,
    ...factors.map(({ name, factor }) => `x ${factor} ${name}`),
    mean_error_ratio === null ? 'not tried on the past yet' : `mean error over the past ${percent(mean_error_ratio)}`,
    `from ${count(basis.usable_executions, 'execution')}`,
  ];
}

function renderEstimate(answer: Of<'eta'>): string[] {
  const {
    execution_id,
    as_of,
    eta,
    remaining_ms,
    remaining_interval_ms: [low, high],
    progress_ratio,
    running,
  } = answer;
  return [
    `${execution_id} as of ${as_of}: ${percent(progress_ratio)} done`,
    `over at ${eta}, in ${time(remaining_ms)} (between ${time(low)} and ${time(high)})`,
    ...running.map(
      ({ task, age_ms, stuck_probability }) =>
        `${task} runs for ${time(age_ms)}; ${percent(stuck_probability)} were over by then`,
    ),
  ];
}

function renderAntiPatterns({ anti_patterns, basis }: Of<'anti_patterns'>): string[] {
  if (anti_patterns.length === 0) return ['none', `from ${count(basis.usable_executions, 'execution')}`];
  return anti_patterns.flatMap(({ type, severity, description, recommendation }) => [
    `${type} (${severity}): ${description}`,
    `  ${recommendation}`,
  ]);
}

function renderGraph(graph: Of<'criticalPath'>): string[] {
  const { nodes, edges, criticalPath, criticalPathMs, parallelizationFactor, maxDepth, maxWidth, cycles, inferred } =
    graph;
  return [
    `${count(nodes.length, 'task')}, ${count(edges.length, 'edge')}${inferred ? ' (inferred from times)' : ''}, depth ${maxDepth}, width ${maxWidth}`,
    `critical path ${criticalPath.join(' > ')}, ${time(criticalPathMs)}; parallelization factor ${parallelizationFactor}`,
    ...edges.slice(0, 200).map(({ from, to, dependencyType, weight, optional, condition }) => {
      const marks = [dependencyType, optional ? 'optional' : '', condition ?? '', `weight ${weight}`].filter(
        (mark) => mark !== '',
      );
      return `${from} > ${to} (${marks.join(', ')})`;
    }),
    ...cycles.map((cycle) => `cycle: ${cycle.join(', ')}`),
  ];
}

function time(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 7_200_000 ? `${(ms / 60_000).toFixed(1)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
}

const percent = (ratio: number): string => `${Math.round(ratio * 1000) / 10} %`;
const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
const shorten = (tasks: readonly string[]): string =>
  tasks.length <= 8 ? tasks.join(', ') : `${tasks.slice(0, 7).join(', ')} and ${tasks.length - 7} more`;
