import type { TaskError } from './play-changes.ts';
import type { Random } from './random.ts';
import type { RetryPolicy } from './workflow-model.ts';

/** How long to wait before the next attempt; null where there will be none. `attempt` counts from 1. */
export function planRetryMs(
  policy: RetryPolicy | undefined,
  attempt: number,
  error: TaskError | null,
  random: Random,
): number | null {
  if (policy === undefined || attempt >= policy.attempts) return null;
  const { errorTypes } = policy;
  const mayHelp = errorTypes === undefined ? (error?.retryable ?? true) : errorTypes.includes(error?.type ?? '');
  return mayHelp ? drawRetryDelayMs(policy, attempt, random) : null;
}

/**
 * The delay after the given attempt: 1 s, 2 s, 4 s, 8 s for an exponential back-off of 1 s and factor 2. Jitter comes
 * after the cap, so that a crowd that has reached the cap is spread as well.
 */
function drawRetryDelayMs(policy: RetryPolicy, attempt: number, random: Random): number {
  const { backoff, delayMs, factor = 2, maxDelayMs = Number.POSITIVE_INFINITY, jitterRatio = 0 } = policy;
  const grown = backoff === 'fixed' ? delayMs : delayMs * factor ** (attempt - 1);
  const capped = Math.min(grown, maxDelayMs);
  return jitterRatio === 0 ? capped : capped * random.between(1 - jitterRatio, 1 + jitterRatio);
}
