import type { LogRecord } from '../../../pipelines/decode.ts';
import type { FoldableEvent } from '../../../pipelines/facts.ts';
import { Rejection } from '../../../pipelines/rejections.ts';
import type { ExecutionEvent } from '../../../schemas/events.ts';
import type { Random } from '../../../services/simulator/random.ts';

export interface ModelRecord {
  record: LogRecord;
  outcome: FoldableEvent | Rejection;
}

const startMs = Date.UTC(2026, 0, 5);
const dayMs = 86_400_000;

const blank: ExecutionEvent = {
  kind: 'execution',
  workspace: 'w',
  project: '',
  source: 's',
  sourceVersion: '',
  workflowId: 'flow',
  workflowName: '',
  workflowVersion: '',
  executionId: '',
  attempt: 1,
  eventTimeMs: 0,
  scheduledAtMs: null,
  queuedAtMs: null,
  startedAtMs: null,
  durationUs: null,
  queueUs: null,
  costMicros: null,
  cpuUs: null,
  memoryPeakBytes: null,
  cpuAllocatedCores: null,
  memoryAllocatedBytes: null,
  storageBytes: null,
  networkBytes: null,
  environment: '',
  region: '',
  correlationId: '',
  error: { type: '', code: '', message: '', stack: '' },
  cancelReason: '',
  retryReason: '',
  input: '',
  inputTruncated: false,
  inputBytes: null,
  output: '',
  outputTruncated: false,
  outputBytes: null,
  tags: [],
  labels: {},
  redactedFields: [],
  origin: null,
  state: 'running',
  executionNumber: null,
  progressRatio: null,
  phase: '',
  substatus: '',
  lastCheckpoint: '',
  healthIndicators: [],
  triggerType: '',
  triggerSource: '',
  triggeredBy: '',
  triggerTimeMs: null,
  triggerParameters: '',
  scheduleCron: '',
  scheduleTimezone: '',
  triggerEventType: '',
  triggerEventId: '',
  tenant: '',
  parentExecutionId: '',
  parentTaskId: '',
  rootExecutionId: '',
  childExecutionIds: [],
  variables: '',
  quotaUsage: {},
  artifacts: [],
  errors: [],
};

const states = ['running', 'running', 'completed', 'failed', 'cancelled', 'timeout', 'pending', 'suspended'] as const;

/**
 * A log that makes every decision matter: few executions, so that each is spoken of from far apart offsets; times on
 * a coarse grid, so that identities repeat; ends with and without their start; attempts in any order; some more
 * than a week apart; now and then a record that is rejected, a republished one, or a hole in the offsets.
 */
export function createModelLog(random: Random, records: number): ModelRecord[] {
  const log: ModelRecord[] = [];
  let offset = 0;
  for (let index = 0; index < records; index++) {
    if (random.chance(0.02)) offset += 1 + random.below(3);
    const record: LogRecord = {
      topic: 'executions',
      partition: 0,
      offset,
      timestampMs: startMs + index * 1000,
      key: null,
      value: Buffer.from(`${offset} ${random.below(1000)}`),
      headers: undefined,
    };
    offset++;
    log.push({ record, outcome: outcomeOf(random) });
  }
  return log;
}

function outcomeOf(random: Random): FoldableEvent | Rejection {
  if (random.chance(0.04))
    return new Rejection(random.chance(0.3) ? 'tombstone' : 'invalid_json', 'made for the test', '');
  const state = states[random.below(states.length)] as ExecutionEvent['state'];
  const eventTimeMs = startMs + random.below(6) * 30_000 + (random.chance(0.05) ? 8 * dayMs : 0);
  const isEnd = state !== 'running' && state !== 'pending' && state !== 'suspended';
  const startedAtMs = isEnd && random.chance(0.5) ? eventTimeMs - random.below(5) * 1000 : null;
  return {
    ...blank,
    executionId: `run-${random.below(12)}`,
    workflowId: `flow-${random.below(2)}`,
    attempt: 1 + random.below(2),
    state,
    eventTimeMs,
    startedAtMs: state === 'running' ? eventTimeMs : startedAtMs,
    durationUs: startedAtMs === null ? null : (eventTimeMs - startedAtMs) * 1000,
    queueUs: random.chance(0.5) ? random.below(3_000_000) : null,
    costMicros: isEnd && random.chance(0.5) ? random.below(2 ** 50) : null,
    cpuUs: isEnd && random.chance(0.3) ? random.below(1_000_000) : null,
    memoryPeakBytes: isEnd && random.chance(0.3) ? random.below(2 ** 40) : null,
    origin: random.chance(0.05) ? { topic: 'foreign', partition: 0, offset: random.below(4), item: 0 } : null,
  };
}
