import { describe, expect, it } from 'vitest';
import { counts, distributions, quantities } from '../../clickhouse/tables/measures.ts';
import { CellTable, type Dims, DimsTable } from '../../pipelines/cells.ts';
import { type Fact, Thing } from '../../pipelines/fold.ts';
import { ScratchName } from '../../pipelines/thing-table.ts';
import { createRandom } from '../../services/simulator/random.ts';

const hourMs = 3_600_000;
const noonMs = Date.UTC(2026, 2, 2, 12);
const place = { stream: 't@1', partition: 0, chunk: 0, foldVersion: 1, ver: 1n };

class Fold {
  readonly cells = new CellTable();
  readonly #dims: Dims = new DimsTable().intern(['w', '', 's', 'flow', '', '']);
  readonly #thing = new Thing(new ScratchName().setExecution('w', 's', 'run'));
  #offset = 0;

  say(state: Fact['state'], atMs: number, fields: Partial<Fact> = {}): this {
    const fact: Fact = {
      offset: this.#offset++,
      state,
      attempt: 1,
      eventTimeMs: noonMs + atMs,
      selfContained: fields.durationUs !== undefined,
      durationUs: null,
      queueUs: null,
      costMicros: null,
      cpuUs: null,
      memoryPeakBytes: null,
      origin: '',
      dims: this.#dims,
      ...fields,
    };
    if (!this.#thing.knows(fact)) this.#thing.accept(fact, this.cells);
    return this;
  }

  /** Sums over all windows of everything that does not depend on the order of arrival. */
  totals(): Record<string, bigint> {
    const totals: Record<string, bigint> = {};
    const add = (field: string, value: bigint | number) => {
      totals[field] = (totals[field] ?? 0n) + BigInt(value);
      if (totals[field] === 0n) delete totals[field];
    };
    for (const cell of this.cells.takeDirty()) {
      const row = cell.row(place);
      counts.forEach((count, index) => {
        if (count !== 'contributions') add(count, row.count(index));
      });
      distributions.forEach((name, index) => {
        add(`${name}_sum`, row.sum(index));
        for (const [bucket, n] of row.histogram(index)) add(`${name}_hist[${bucket}]`, n);
      });
      quantities.forEach((name, index) => {
        add(`${name}_n`, row.reported(index));
        add(`${name}_sum`, row.sum(distributions.length + index));
      });
    }
    return totals;
  }
}

describe('the fold', () => {
  it('counts a run that failed and then succeeded on retry as one success with one retry', () => {
    const totals = new Fold()
      .say('running', 0)
      .say('failed', 1000, { durationUs: 1_000_000 })
      .say('running', 5000, { attempt: 2 })
      .say('completed', 9000, { attempt: 2, durationUs: 4_000_000 })
      .totals();
    expect(totals).toMatchObject({
      started: 1n,
      completed: 1n,
      retries: 1n,
      attempt_failed: 1n,
      attempt_completed: 1n,
    });
    expect(totals.failed).toBeUndefined();
    expect(totals.completed_duration_us_sum).toBe(4_000_000n);
    expect(totals.other_duration_us_sum).toBeUndefined();
    expect(totals.attempt_duration_us_sum).toBe(5_000_000n);
  });

  it('lets an older end that comes late count for attempts only', () => {
    const totals = new Fold()
      .say('completed', 9000, { attempt: 2, durationUs: 4 })
      .say('failed', 1000, { attempt: 1, durationUs: 1 })
      .totals();
    expect(totals).toMatchObject({ completed: 1n, attempt_failed: 1n, attempt_completed: 1n });
    expect(totals.failed).toBeUndefined();
  });

  it('takes the later of two ends of one attempt, at both levels', () => {
    const totals = new Fold()
      .say('running', 0)
      .say('failed', 1000, { durationUs: 1_000_000, costMicros: 7 })
      .say('completed', 2000, { durationUs: 2_000_000, costMicros: 9 })
      .totals();
    expect(totals).toMatchObject({
      completed: 1n,
      attempt_completed: 1n,
      cost_micros_sum: 9n,
      attempt_cost_micros_sum: 9n,
    });
    expect(totals.attempt_failed).toBeUndefined();
  });

  it('moves an outcome out of the window in which it was first counted', () => {
    const fold = new Fold().say('failed', 0, { durationUs: 1 }).say('completed', hourMs, { durationUs: 1 });
    const failed = counts.indexOf('failed');
    const byWindow = new Map(fold.cells.takeDirty().map((cell) => [cell.windowStartMs, cell.row(place).count(failed)]));
    expect(byWindow.get(noonMs)).toBe(0);
    expect(byWindow.get(noonMs + hourMs)).toBe(0);
  });

  it('leaves an end that is more than a week old where it is, and says so', () => {
    const week = 7 * 24 * hourMs;
    const totals = new Fold()
      .say('failed', 0, { durationUs: 1 })
      .say('completed', week + 1, { durationUs: 1 })
      .totals();
    expect(totals).toMatchObject({ failed: 1n, completed: 1n, reopened: 1n });
  });

  it('joins an end to its start whichever comes first', () => {
    const before = new Fold().say('running', 0).say('completed', 3000).totals();
    const after = new Fold().say('completed', 3000).say('running', 0).totals();
    expect(before).toEqual(after);
    expect(before).toMatchObject({ ends_to_join: 1n, joined: 1n, completed_duration_us_sum: 3_000_000n });
  });

  it('does not join a start that lies after the end or more than a week before it', () => {
    const totals = new Fold()
      .say('running', 5000)
      .say('completed', 3000)
      .say('running', 3000 - 7 * 24 * hourMs - 1)
      .totals();
    expect(totals.ends_to_join).toBe(1n);
    expect(totals.joined).toBeUndefined();
  });

  it('asks no start of a skipped task', () => {
    expect(new Fold().say('skipped', 0, { selfContained: true }).totals()).toEqual({
      skipped: 1n,
      attempt_skipped: 1n,
    });
  });

  it('finds an identity again among thousands', () => {
    const fold = new Fold();
    for (let index = 0; index < 3000; index++) fold.say('suspended', index);
    for (let index = 0; index < 3000; index++) fold.say('suspended', index);
    expect(fold.totals().suspended).toBe(3000n);
  });

  it('gives the same totals for every order and repetition of a life, seed by seed', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = createRandom(seed);
      const life: [Fact['state'], number, Partial<Fact>][] = [];
      const attempts = 1 + random.below(3);
      for (let attempt = 1; attempt <= attempts; attempt++) {
        const startMs = attempt * 100_000;
        life.push(['queued', startMs - 5000, { attempt }], ['running', startMs, { attempt }]);
        const state = random.pick(['failed', 'completed', 'timeout'] as const);
        const fields = random.chance(0.5) ? { durationUs: 40_000_000 } : {};
        life.push([state, startMs + 40_000, { attempt, costMicros: random.below(1000), ...fields }]);
      }
      const say = (events: typeof life) => {
        const fold = new Fold();
        for (const [state, atMs, fields] of events) fold.say(state, atMs, fields);
        return fold.totals();
      };
      const inOrder = say(life);
      const shuffled = [...life, ...life]
        .map((event) => ({ event, at: random.next() }))
        .sort((left, right) => left.at - right.at);
      expect(say(shuffled.map(({ event }) => event)), `seed ${seed}`).toEqual(inOrder);
    }
  });
});
