import type { Finding } from './finding.ts';
import type { Rules } from './rules.ts';
import { rounded } from './wording.ts';

/** A pool in which several tasks are slow at once: what they have in common is to blame, not each of them. */
const crowdDefaults = {
  /** Tasks that have to be slower than usual, lately. */
  leastTasks: 3,
  /** How long a slow window of a task counts. */
  rememberedMs: 20 * 60_000,
  /** Of the tasks that ran in the pool meanwhile, the share that has to be slow. */
  leastShare: 0.4,
} as const;

interface SlowTask {
  seenMs: number;
  effect: number;
  finding: Finding;
}

export class Crowds {
  readonly #book: Rules;
  /** By pool: tasks that ran lately, and of these the slow ones. */
  readonly #ran = new Map<string, Map<string, number>>();
  readonly #slow = new Map<string, Map<string, SlowTask>>();
  readonly #noted: Finding[] = [];

  constructor(book: Rules) {
    this.#book = book;
  }

  note(finding: Finding): void {
    if (finding.rule.id === 'PERFORMANCE_DEGRADATION' && finding.pool !== '') this.#noted.push(finding);
  }

  *judge(endMs: number): Generator<Finding> {
    for (const finding of this.#noted.splice(0)) {
      const key = `${finding.subject.workspace} ${finding.subject.source} ${finding.pool}`;
      of(this.#ran, key).set(finding.series, endMs);
      if (finding.strength !== 'none') {
        of(this.#slow, key).set(finding.series, { seenMs: endMs, effect: finding.effect ?? 1, finding });
      }
    }
    for (const [key, slow] of this.#slow) {
      const ran = of(this.#ran, key);
      forget(slow, (task) => task.seenMs, endMs);
      forget(ran, (seenMs) => seenMs, endMs);
      const [first] = slow.values();
      if (first === undefined) continue;
      yield this.#describe(first.finding, [...slow.values()], ran.size);
    }
  }

  #describe({ subject, pool }: Finding, slow: readonly SlowTask[], ran: number): Finding {
    const { workspace, source, orchestratorId } = subject;
    const rule = this.#book.rule('ANOMALY', workspace, '', orchestratorId);
    const { leastTasks, leastShare } = crowdDefaults;
    const effects = slow.map(({ effect }) => effect).toSorted((one, other) => one - other);
    const effect = effects[effects.length >> 1] as number;
    const place = { executionId: '', taskId: '', workflowId: '', orchestratorId };
    return {
      rule,
      series: `worker_pool:${source}/${pool}`,
      subject: { workspace, source, subjectKind: 'worker_pool', subjectId: pool, ...place },
      pool,
      metric: 'task_duration_ms',
      value: effect,
      threshold: null,
      expected: 1,
      score: null,
      effect,
      baselineId: '',
      facts: [
        `${slow.length} of ${ran} tasks that ran in it are slow at once, ${rounded(effect)} times as usual`,
        `Among them ${slow
          .slice(0, 3)
          .map(({ finding }) => finding.subject.subjectId)
          .join(', ')}`,
      ],
      contributions: slow.length,
      strength: slow.length >= leastTasks && slow.length >= leastShare * ran ? 'strong' : 'none',
      p: null,
      errorKey: '',
      isIntrinsic: false,
    };
  }
}

function of<Value>(maps: Map<string, Map<string, Value>>, key: string): Map<string, Value> {
  const found = maps.get(key) ?? new Map<string, Value>();
  maps.set(key, found);
  return found;
}

function forget<Value>(values: Map<string, Value>, seenMs: (value: Value) => number, nowMs: number): void {
  for (const [name, value] of values) {
    if (nowMs - seenMs(value) > crowdDefaults.rememberedMs) values.delete(name);
  }
}
