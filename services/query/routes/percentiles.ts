import { type DistributionName, distributions } from '../../../clickhouse/queries/windows.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { PercentilesAnswer, PercentilesQuery } from '../../../schemas/api/questions.ts';
import { explainIf } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { readFocus } from '../subject.ts';
import { parseRange, wholeRange } from '../time-range.ts';
import { describeMethod, describeRange, meanOf, percentileOf, readWindows, type WindowGroup } from '../windows.ts';

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
            'Merged from the histograms of the rollups, so a long range is as right as a short one. Nearest rank, in milliseconds.',
          querystring: PercentilesQuery,
          response: answers(PercentilesAnswer),
        },
      },
      async ({ query, reader }) => {
        const { metric = 'duration_ms', percentiles: shares = '50,90,95,99' } = query;
        const name = readMetric(metric);
        const wanted = readShares(shares);
        const steps = wholeRange(parseRange(query, '24h', nowMs()));
        const groups = await readWindows(reader, {
          ...readFocus(query),
          steps,
          distributions: [name],
          percentiles: wanted,
        });
        return {
          subject: query.subject,
          metric,
          range: describeRange(steps),
          percentiles: describeMethod(steps),
          groups: groups.map((group) => describeGroup(group, name, wanted, query.group_by !== undefined)),
        };
      },
    );
  },
};

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
  const count = whole[`${name}_n`];
  const values = shares.map((share, at) => [`p${share}`, percentileOf(whole, name, at)] as const);
  return {
    key: isSplit ? key : null,
    count,
    mean: meanOf(whole, name),
    min: whole[`${name}_ms_min`],
    max: whole[`${name}_ms_max`],
    values: Object.fromEntries(values),
    reasons: explainIf(count === 0, { values: 'no source told it of anything that finished in the range' }),
  } as const;
}
