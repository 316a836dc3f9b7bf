import type { RunWindow, WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import type { JudgementRow } from '../../clickhouse/tables/alerts.ts';
import { Causes } from './causes.ts';
import { Crowds } from './crowds.ts';
import { type Finding, Policy } from './finding.ts';
import { ReportJudge } from './judge-reports.ts';
import { RunJudge, runSeries, type SeasonOf } from './judge-runs.ts';
import { ScheduleJudge } from './judge-schedules.ts';
import type { RuleBook, Rules } from './rules.ts';

interface JudgeOptions {
  /** Rules as they are now; asked anew for each window. */
  bookOf: () => RuleBook;
  seasonOf?: SeasonOf;
}

const noSeason: SeasonOf = () => ({ log: 0, baselineId: '' });
const forgetEveryMs = 86_400_000;

/**
 * Judges windows in their order: what rules see in each series, which of it is a breach, and what explains it. The same
 * windows give the same judgements; time comes from the windows alone.
 */
export class Judge {
  readonly #runs: RunJudge;
  readonly #reports: ReportJudge;
  readonly #schedules: ScheduleJudge;
  readonly #policy = new Policy();
  readonly #crowds: Crowds;
  readonly #causes: Causes;
  /** Where workflows run: the pools of their tasks, and what orchestrates these. */
  readonly #pools = new Map<string, Set<string>>();
  readonly #orchestrators = new Map<string, string>();
  #forgottenMs = 0;

  constructor({ bookOf, seasonOf = noSeason }: JudgeOptions) {
    const book: Rules = { rule: (...names) => bookOf().rule(...names) };
    this.#runs = new RunJudge(book, seasonOf);
    this.#reports = new ReportJudge(book);
    this.#crowds = new Crowds(book);
    this.#schedules = new ScheduleJudge(book, (workspace, series) => this.#runs.usualOf(workspace, series));
    this.#causes = new Causes((workspace, source, workflowId) => this.#poolsOf(workspace, source, workflowId));
  }

  /** Series that are remembered. */
  get series(): number {
    return this.#runs.size + this.#reports.size;
  }

  judge(window: WindowInput): JudgementRow[] {
    this.#learnPlaces(window);
    const judged: { row: JudgementRow; finding: Finding }[] = [];
    for (const finding of this.#find(window)) {
      if (!finding.rule.enabled) continue;
      const verdict = this.#policy.decide(finding);
      if (verdict !== null) judged.push({ row: toRow(finding, verdict, window), finding });
    }
    this.#causes.assign(judged, window.endMs);
    this.#forget(window.endMs);
    return judged.map(({ row }) => row);
  }

  *#find(window: WindowInput): Generator<Finding> {
    const orchestratorOf = (run: Pick<RunWindow, 'workspace' | 'source' | 'workflowId'>) => {
      const [pool = ''] = this.#poolsOf(run.workspace, run.source, run.workflowId);
      return this.#orchestrators.get(`${run.workspace} ${pool}`) ?? '';
    };
    yield* this.#reports.judge(window.reports, window.endMs);
    for (const run of window.runs) {
      for (const finding of this.#runs.judge(run, window.endMs, orchestratorOf(run))) {
        this.#crowds.note(finding);
        yield finding;
      }
    }
    yield* this.#crowds.judge(window.endMs);
    yield* this.#schedules.judge(window, orchestratorOf);
  }

  #learnPlaces({ runs, reports }: WindowInput): void {
    for (const { kind, workspace, id, orchestratorId } of reports) {
      if (kind === 'worker_pool') this.#orchestrators.set(`${workspace} ${id}`, orchestratorId);
    }
    for (const { workspace, source, workflowId, pool } of runs) {
      if (pool === '') continue;
      const key = `${workspace} ${runSeries({ source, workflowId, taskId: '' })}`;
      const known = this.#pools.get(key);
      if (known === undefined) this.#pools.set(key, new Set([pool]));
      else known.add(pool);
    }
  }

  #poolsOf(workspace: string, source: string, workflowId: string): ReadonlySet<string> {
    return this.#pools.get(`${workspace} ${runSeries({ source, workflowId, taskId: '' })}`) ?? new Set();
  }

  #forget(nowMs: number): void {
    if (nowMs - this.#forgottenMs < forgetEveryMs) return;
    this.#forgottenMs = nowMs;
    this.#runs.forget(nowMs);
    this.#reports.forget(nowMs);
  }
}

function toRow(finding: Finding, verdict: JudgementRow['verdict'], { startMs, endMs }: WindowInput): JudgementRow {
  const { rule, subject, series, metric, value, threshold, expected, score, effect, baselineId, facts } = finding;
  return {
    ...subject,
    ruleId: rule.id,
    series,
    windowStartMs: startMs,
    windowEndMs: endMs,
    ver: finding.contributions,
    roundMs: endMs,
    ruleVersion: rule.version,
    verdict,
    severity: rule.severity,
    forMs: rule.forMs,
    metric,
    value,
    threshold,
    expected,
    score,
    effect,
    baselineId,
    cause: '',
    facts: facts.slice(0, 3),
  };
}
