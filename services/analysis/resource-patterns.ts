import { roundMs, roundRatio } from './basis.ts';
import type { ExecutionTrace } from './execution-trace.ts';
import { groupBy, medianOf, quantileOf } from './robust-statistics.ts';

/** What the attempts of a task use, beside what they were given. */
export interface ResourcePattern {
  task: string;
  attempts: number;
  /** cpu: computing most of the time; io: waiting for disks and networks; mixed; unknown where nobody measured. */
  bound_by: 'cpu' | 'io' | 'mixed' | 'unknown';
  cpu_cores_median: number | null;
  io_wait_ratio_median: number | null;
  memory_peak_bytes_p99: number | null;
  memory_allocated_bytes: number | null;
  memory_used_ratio: number | null;
  finding: 'over_provisioned' | 'near_limit' | 'fits' | 'unknown';
  cost_mean: number | null;
}

/** @public */
export const resourceDefaults = { attemptsLeast: 5, usedRatioLow: 0.4, usedRatioHigh: 0.9, boundRatioLeast: 0.6 };

export function findResourcePatterns(executions: readonly ExecutionTrace[]): ResourcePattern[] {
  const attempts = executions.flatMap(({ tasks }) =>
    tasks.flatMap((task) => task.attempts.map((attempt) => ({ taskId: task.taskId, attempt }))),
  );
  const ended = attempts.filter(({ attempt }) => attempt.endedAtMs !== null && attempt.state !== 'skipped');
  return [...groupBy(ended, ({ taskId }) => taskId)]
    .filter(([, own]) => own.length >= resourceDefaults.attemptsLeast)
    .map(([task, own]) =>
      describeUse(
        task,
        own.map(({ attempt }) => attempt),
      ),
    )
    .filter(({ bound_by, finding }) => bound_by !== 'unknown' || finding !== 'unknown');
}

function describeUse(
  task: string,
  attempts: readonly ExecutionTrace['tasks'][number]['attempts'][number][],
): ResourcePattern {
  const ran = attempts.filter(({ durationMs }) => durationMs !== null && durationMs > 0);
  const cores = known(
    ran.map(({ cpuUs, durationMs }) => (cpuUs === null ? null : cpuUs / 1000 / (durationMs as number))),
  );
  const waits = known(
    ran.map(({ ioWaitUs, durationMs }) => (ioWaitUs === null ? null : ioWaitUs / 1000 / (durationMs as number))),
  );
  const peaks = known(attempts.map(({ memoryPeakBytes }) => memoryPeakBytes));
  const given = known(attempts.map(({ memoryAllocatedBytes }) => memoryAllocatedBytes));
  const costs = known(attempts.map(({ costMicros }) => costMicros));
  const peak = peaks.length === 0 ? null : quantileOf(peaks, 0.99);
  const allocated = given.length === 0 ? null : medianOf(given);
  const used = peak === null || allocated === null || allocated === 0 ? null : roundRatio(peak / allocated);
  const [cpu, io] = [orNull(cores), orNull(waits)];
  return {
    task,
    attempts: attempts.length,
    bound_by: findBound(cpu, io),
    cpu_cores_median: cpu,
    io_wait_ratio_median: io,
    memory_peak_bytes_p99: peak === null ? null : Math.round(peak),
    memory_allocated_bytes: allocated === null ? null : Math.round(allocated),
    memory_used_ratio: used,
    finding: judge(used),
    cost_mean: costs.length === 0 ? null : roundMs(costs.reduce((sum, micros) => sum + micros, 0) / costs.length / 1e6),
  };
}

const known = (values: readonly (number | null)[]): number[] => values.filter((value) => value !== null);
const orNull = (values: readonly number[]): number | null =>
  values.length === 0 ? null : roundRatio(medianOf(values));

function findBound(cpu: number | null, io: number | null): ResourcePattern['bound_by'] {
  if (cpu === null && io === null) return 'unknown';
  if ((cpu ?? 0) >= resourceDefaults.boundRatioLeast) return 'cpu';
  return (io ?? 0) >= resourceDefaults.boundRatioLeast ? 'io' : 'mixed';
}

function judge(used: number | null): ResourcePattern['finding'] {
  if (used === null) return 'unknown';
  if (used >= resourceDefaults.usedRatioHigh) return 'near_limit';
  return used <= resourceDefaults.usedRatioLow ? 'over_provisioned' : 'fits';
}
