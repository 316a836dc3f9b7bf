/** What the views of analyses show, and what their columns mean; shared columns are those of `workflow_analyses`. */

interface AnalysisView {
  purpose: string;
  columns: Record<string, string>;
}

const tasks = 'tasks that it is made of';
const success = 'executions in which none of its tasks ended in failure, per cent';

export const analysisViews: Record<string, AnalysisView> = {
  workflow_patterns: {
    purpose: 'Structural patterns of workflows: chains, branches, choices, loops, maps, scatterings and sagas.',
    columns: {
      pattern_id: 'kind, split and tasks of the pattern, which tell it from others',
      pattern_type: 'sequential, parallel, conditional, loop, map_reduce, scatter_gather or saga',
      tasks,
      split_task: 'task after which it begins, empty where it begins with the execution',
      join_task: 'task in which it ends, empty where it ends with the execution',
      confidence: 'how well executions agree with it, 0 to 1',
      frequency: 'executions in which any of its tasks ran',
      frequency_pct: 'their share of all that were looked at, per cent',
      duration_ms_mean: 'mean time from the first start to the last end of its tasks, milliseconds',
      success_pct: success,
      efficiency_pct:
        'work done by what could have been done, had as many tasks run all the time as ever did, per cent',
      common_errors: 'classes of its most frequent errors',
      hints: 'what could be better about it',
    },
  },
  workflow_variants: {
    purpose: 'Ways through a workflow, told by the tasks that ran.',
    columns: {
      tasks: 'tasks that ran',
      variant_executions: 'executions that went this way',
      share_pct: 'their share, per cent',
      duration_ms_p50: 'median duration of these executions, milliseconds',
      success_pct: 'those that completed, per cent',
    },
  },
  workflow_failure_patterns: {
    purpose: 'Failures of one kind: the same task, and the same error once numbers and ids are masked.',
    columns: {
      message_template: 'message with numbers and ids masked',
      failures: 'attempts that failed so',
      share_pct: 'their share of all failed attempts, per cent',
      recovered_pct: 'those that another attempt made good, per cent',
      attempt_ms_p50: 'median run time of these attempts, milliseconds',
      first_seen_at: 'first of them',
      last_seen_at: 'last of them',
    },
  },
  dependency_graphs: {
    purpose: 'Dependency graphs, one for each version that was computed.',
    columns: {
      tasks: 'tasks of the graph; two thousand at most are kept',
      edges: 'edges of the graph; two thousand at most are kept',
      critical_path: 'longest path by medians',
      critical_path_ms: 'its length, milliseconds',
      parallelization_factor: 'work of all tasks by that of the critical path',
      max_depth: 'tasks of the longest chain',
      max_width: 'most tasks of one depth',
      cycles: 'tasks that wait for each other in a circle',
      is_inferred: 'edges were read from the times, because nobody told them',
    },
  },
  dependency_graph_tasks: {
    purpose: 'Tasks of dependency graphs.',
    columns: {
      depth: 'place in the longest chain before it, from 1',
      duration_ms_mean: 'mean time from its first start to its last end, milliseconds',
      duration_ms_p50: 'median of the same, milliseconds',
      duration_ms2_variance: 'variance of the same, square milliseconds',
      criticality: '1 on the critical path, less with more slack',
      slack_ms: 'how much longer it could take without a longer whole, milliseconds',
      is_parallelizable: 'something may run beside it, or it has several instances',
      run_pct: 'executions in which it ran, per cent',
      memory_bytes_p50: 'median memory that it was given or used, bytes; NULL where nobody told',
      cpu_cores_p50: 'median of the cores that it kept busy; NULL where nobody told',
    },
  },
  dependency_graph_edges: {
    purpose: 'What waits for what in a workflow.',
    columns: {
      from_task: 'task that is waited for',
      to_task: 'task that waits',
      dependency_type: 'data, control, resource or temporal',
      weight: 'share of the executions with both that tell of it or show it, 0 to 1',
      is_optional: 'the source says that it may be missing',
      condition: 'condition as the source told it, empty where there is none',
      is_inferred: 'it was read from the times, because nobody told it',
    },
  },
  workflow_critical_paths: {
    purpose: 'What usually holds a workflow up.',
    columns: {
      path: 'the path that most executions took',
      path_pct: 'executions that took it, per cent',
      duration_ms_mean: 'mean duration of these, milliseconds',
      makespan_ms_p50: 'median duration of all executions, milliseconds',
      path_ms_by_kind: 'mean time on paths by what it was spent on, milliseconds',
      without_waiting_ms: 'mean duration had nothing waited for a slot or a decision, milliseconds',
      without_retries_ms: 'mean duration had nothing been tried again, milliseconds',
      least_makespan_ms: 'what dependencies alone demand, milliseconds',
      reducible_pct: 'how much less that is than the mean, per cent',
    },
  },
  critical_path_tasks: {
    purpose: 'How often each task is on the critical path, and for how long.',
    columns: {
      critical_pct: 'executions that have it on their path, per cent',
      path_ms_mean: 'mean time on the path, waiting included, milliseconds',
      path_pct: 'the same by the whole duration, per cent',
      slack_ms_mean: 'mean time that it could have ended later without a longer whole, milliseconds',
      cruciality: 'rank correlation of its duration with the whole, -1 to 1',
      halved_gain_ms:
        'by how much executions would be shorter if it took half as long, milliseconds; NULL where little could be',
    },
  },
  workflow_bottlenecks: {
    purpose: 'Tasks that make executions longer than they need be, why, and what to do.',
    columns: {
      score: 'gain by that of the first bottleneck, 0 to 1',
      gain_ms: 'by how much executions would be shorter without what is unusual about it, milliseconds',
      gain_pct: 'the same by their duration, per cent',
      reasons: 'slow, retries, skewed_work, slot_wait or starved_resource',
      details: 'the same in words, with the values they stand on',
      recommendations: 'what to do',
    },
  },
  workflow_anti_patterns: {
    purpose: 'Habits that make workflows slow or fragile.',
    columns: {
      anti_pattern: 'god_workflow, bottleneck_cascade, retry_storm or resource_starvation',
      severity: 'low, medium or high',
      description: 'what was seen, in words',
      recommendation: 'what to do',
      tasks: 'tasks that it is about',
      resources: 'pools that it is about',
      evidence: 'the values that the words stand on, JSON',
    },
  },
  duration_predictions: {
    purpose: 'How long the next execution of a workflow takes.',
    columns: {
      predicted_duration_ms: 'predicted duration, milliseconds',
      low_ms: 'lower end of the interval, milliseconds; NULL where too little is known for one',
      high_ms: 'upper end of the interval, milliseconds; NULL where too little is known for one',
      interval_pct: 'executions that the interval is meant to hold, per cent',
      held_pct: 'past executions that such intervals held, per cent',
      confidence: 'low, medium or high',
      method: 'baseline_estimation, rolling_median, recent_level or regression',
      usual_duration_ms: 'median of the last executions, milliseconds',
      error_pct_mean: 'mean error over the past, per cent of the duration',
    },
  },
};
