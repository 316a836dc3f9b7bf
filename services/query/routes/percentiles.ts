import { type DistributionName, distributions } from '../../../clickhouse/queries/windows.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { PercentilesAnswer, PercentilesQuery } from '../../../schemas/api/questions.ts';
import { explainIf } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import { type ExactValues, exactMethod, pickExact, readExactDurations } from '../exact-percentiles.ts';
import type { App, Family, Services } from '../families.ts';
import { readFocus } from '../subject.ts';
import { parseRange, wholeRange } from '../time-range.ts';
import {
  countOf,
  describeMethod,
  describeRange,
  extremesOf,
  meanOf,
  percentileOf,
  readWindows,
  type WindowGroup,
} from '../windows.ts';

/** Percentiles of executions or tasks, of any share, split by what they have in common. */
export const percentiles: Family = {
  prefix: '/api/v1',
  tag: 'questions',
  register(app: App, { nowMs }: Services): void {
    app.get(
      '/percentiles',
      {
        schema: {
          summary: 'Percentiles of durations and waits',
          description:
            'Nearest rank, in milliseconds. Merged from the histograms of the rollups, so a long range is as right as a short one; exact ' +
            'durations of one workflow or task of which only a few hundred ended in the range. The answer says which, and with what error.',
          querystring: PercentilesQuery,
          response: answers(PercentilesAnswer),
        },
      },
      async ({ query, reader }) => {
        const { metric = 'duration_ms', percentiles: shares = '50,90,95,99' } = query;
        const name = readMetric(metric);
        const wanted = readShares(shares);
        const steps = wholeRange(parseRange(query, '24h', nowMs()));
        const focus = readFocus(query);
        const groups = await readWindows(reader, {
          ...focus,
          steps,
          distributions: [name],
          needs: ['extremes'],
        });
        const isOne = name === 'duration' && focus.groupBy === null;
        const whole = groups[0]?.whole;
        const known = { count: countOf(whole, 'duration'), longestMs: extremesOf(whole, 'duration').max ?? 0 };
        const exact = isOne ? await readExactDurations(reader, focus, steps, known) : null;
        return {
          subject: query.subject,
          metric,
          range: describeRange(steps),
          percentiles: exact === null ? describeMethod(steps) : exactMethod,
          groups: groups.map((group) => {
            const answer = describeGroup(group, name, wanted, query.group_by !== undefined);
            return exact === null ? answer : { ...answer, values: describeExact(exact, wanted) };
          }),
        };
      },
    );
  },
};

const describeExact = (values: ExactValues, shares: readonly number[]): Record<string, number> =>
  Object.fromEntries(shares.map((share) => [`p${share}`, pickExact(values, share)]));

function readMetric(metric: string): DistributionName {
  const name = distributions.find((distribution) => `${distribution}_ms` === metric);
  if (name !== undefined) return name;
  const names = distributions.map((distribution) => `${distribution}_ms`);
  throw new ApiError('invalid_request', `parameter metric must be one of ${names.join(', ')}.`);
}

const mostShares = 20;

function readShares(text: string): number[] {
  const shares = [...new Set(text.split(',').map((part) => part.trim()))];
  const bad = shares.find((share) => !/^\d{1,3}(\.\d{1,2})?$/.test(share) || Number(share) > 100);
  if (bad !== undefined || shares.length > mostShares) {
    throw new ApiError(
      'invalid_request',
      `parameter percentiles must be up to ${mostShares} numbers from 0 to 100 with commas between.`,
    );
  }
  return shares.map(Number);
}

function describeGroup({ key, whole }: WindowGroup, name: DistributionName, shares: number[], isSplit: boolean) {
  const count = countOf(whole, name);
  const values = shares.map((share) => [`p${share}`, percentileOf(whole, name, share)] as const);
  return {
    key: isSplit ? key : null,
    count,
    mean: meanOf(whole, name),
    ...extremesOf(whole, name),
    values: Object.fromEntries(values),
    reasons: explainIf(count === 0, { values: 'no source told it of anything that finished in the range' }),
  } as const;
}
