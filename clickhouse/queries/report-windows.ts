import type { RowReader } from '../question.ts';
import type { InputRange, ReportKind, ReportWindow } from './alert-inputs.ts';
import { bounded, type InWindow, inRange, inShard, paramsOf, windowOf } from './alert-range.ts';

/** Measures by kind of report, and how the judge calls them; microseconds become milliseconds. */
const wanted: Record<string, readonly string[]> = {
  orchestrator_metrics: ['health_score', 'capacity_load', 'scheduling_latency_us_mean', 'slots_total'],
  worker_pool: [
    'slots_total',
    'slots_used',
    'tasks_queued',
    'workers_failed',
    'workers_total',
    'memory_load',
    'cpu_load',
    'health_mean',
  ],
  queue_metrics: ['size', 'oldest_age_us', 'wait_us_mean'],
  worker: ['health_score', 'cpu_load', 'memory_load'],
};
const kindOf: Record<string, ReportKind> = {
  orchestrator_metrics: 'orchestrator',
  worker_pool: 'worker_pool',
  queue_metrics: 'queue',
  worker: 'worker',
  coordination_event: 'orchestrator',
};

interface MeasureRow {
  workspace: string;
  source: string;
  kind: string;
  orchestratorId: string;
  poolId: string;
  subject: string;
  measure: string;
  windowMs: number;
  value: number | null;
  n: number;
}

export async function readReports(database: RowReader, range: InputRange): Promise<InWindow<ReportWindow>[]> {
  const [means, growths] = await Promise.all([readMeans(database, range), readGrowths(database, range)]);
  const reports = new Map<string, InWindow<ReportWindow> & { measures: Record<string, number> }>();
  for (const row of [...means, ...growths]) {
    const kind = kindOf[row.kind] as ReportKind;
    const id = kind === 'orchestrator' ? row.orchestratorId : kind === 'worker_pool' ? row.poolId : row.subject;
    const key = [row.workspace, row.source, kind, row.orchestratorId, id, row.windowMs].join('\n');
    const pool = kind === 'queue' ? row.subject : kind === 'orchestrator' ? '' : row.poolId;
    const { workspace, source, orchestratorId, windowMs } = row;
    const known = reports.get(key) ?? {
      ...{ workspace, source, kind, id, orchestratorId, pool, windowMs, measures: {}, contributions: 0 },
    };
    reports.set(key, known);
    known.contributions = Math.max(known.contributions, row.n);
    addMeasure(known.measures, row);
  }
  for (const { measures } of reports.values()) {
    if (measures.slots_total !== undefined && measures.slots_used !== undefined && measures.slots_total > 0) {
      measures.slots_load = measures.slots_used / measures.slots_total;
    }
  }
  return [...reports.values()];
}

/** What several instances of an orchestrator report is taken together, as what each of them reports over time is. */
async function readMeans(database: RowReader, range: InputRange): Promise<MeasureRow[]> {
  const measures = Object.entries(wanted).map(
    ([kind, names]) => `(kind = '${kind}' AND measure IN ('${names.join("', '")}'))`,
  );
  return await database.rows<MeasureRow>(
    `SELECT workspace, source, kind, orchestrator_id AS orchestratorId, pool_id AS poolId,
       if(kind IN ('orchestrator_metrics', 'coordination_event'), '', m.subject) AS subject, measure, ${windowOf} AS windowMs,
       toFloat64(sum(value_sum)) / sum(m.n) AS value, toFloat64(sum(m.n)) AS n
     FROM orchestrator_measures_1m AS m
     WHERE ${inRange} AND ${inShard}
       AND (${measures.join(' OR ')} OR (kind = 'coordination_event' AND measure = 'reports' AND label = 'split_brain'))
     GROUP BY workspace, source, kind, orchestratorId, poolId, subject, measure, windowMs
     ORDER BY workspace, source, kind, orchestratorId, poolId, subject`,
    paramsOf(range),
    bounded,
  );
}

/** Reports that are further apart do not belong together: nobody knows what came between them. */
const growthSeconds = 1800;

/**
 * By how much counters have grown since the reading before, which is mostly one of another minute: a minute by itself knows only what
 * came between its own readings. A reading below the one before is a new beginning, and adds itself.
 */
async function readGrowths(database: RowReader, range: InputRange): Promise<MeasureRow[]> {
  return await database.rows<MeasureRow>(
    `SELECT workspace, source, kind, orchestratorId, poolId, subject, measure, ${windowOf} AS windowMs,
       sum(within + multiIf(before IS NULL, 0, earliest >= before, earliest - before, earliest)) AS value, sum(readings) AS n
     FROM (
       SELECT workspace, source, kind, orchestrator_id AS orchestratorId, pool_id AS poolId, subject, measure, window_start,
         toFloat64(m.n) AS readings, toFloat64(m.increase) AS within, toFloat64(m.first.value) AS earliest,
         lagInFrame(toNullable(toFloat64(m.last.value))) OVER (
           PARTITION BY workspace, project, source, kind, orchestrator_id, pool_id, subject, measure ORDER BY window_start
           ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
       FROM orchestrator_measures_1m AS m
       WHERE window_start >= fromUnixTimestamp({from: UInt32} - ${growthSeconds}) AND window_start < fromUnixTimestamp({to: UInt32})
         AND kind = 'worker_pool' AND measure = 'resource_exhaustions' AND ${inShard})
     WHERE ${inRange}
     GROUP BY workspace, source, kind, orchestratorId, poolId, subject, measure, windowMs
     ORDER BY workspace, source, kind, orchestratorId, poolId, subject`,
    paramsOf(range),
    bounded,
  );
}

/** The unit stands last, or before how values were summed up; `slots_used` has none. */
const microseconds = /_us(?=_|$)/;

function addMeasure(measures: Record<string, number>, { kind, measure, value, n }: MeasureRow): void {
  if (kind === 'coordination_event') measures.split_brains = n;
  else if (value === null) return;
  else if (microseconds.test(measure)) measures[measure.replace(microseconds, '_ms')] = value / 1000;
  else measures[measure] = value;
}
