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

const kinds = { executions: outcomeOfRun, orchestrators: outcomeOfReport };
export type ModelKind = keyof typeof kinds;

/**
 * A log that makes every decision matter: few executions, so that each is spoken of from far apart offsets; times on
 * a coarse grid, so that identities repeat; ends with and without their start; attempts in any order; some more
 * than a week apart; now and then a record that is rejected, a republished one, or a hole in the offsets.
 */
export function createModelLog(kind: ModelKind, random: Random, records: number): ModelRecord[] {
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
    log.push({ record, outcome: isRejected(random) ?? kinds[kind](random) });
  }
  return log;
}

function isRejected(random: Random): Rejection | undefined {
  if (!random.chance(0.04)) return undefined;
  return new Rejection(random.chance(0.3) ? 'tombstone' : 'invalid_json', 'made for the test', '');
}

const foreignOrigin = (random: Random) =>
  random.chance(0.05) ? { topic: 'foreign', partition: 0, offset: random.below(4), item: 0 } : null;

/**
 * Reports of few workers and few coordination events, on a coarse grid of times, so that the same report comes again and
 * again, out of order, with counters that begin anew; names that would run together if parts of a key were only joined.
 */
function outcomeOfReport(random: Random): FoldableEvent {
  const names = ['a', 'b', 'a","b', '"'];
  const shared = {
    workspace: 'w',
    project: '',
    source: 's',
    orchestratorId: 'o',
    instanceId: random.pick(['', 'i-1']),
    eventTimeMs: startMs + random.below(6) * 30_000 + (random.chance(0.05) ? 8 * dayMs : 0),
    origin: foreignOrigin(random),
  };
  const report = random.chance(0.3)
    ? {
        kind: 'coordination_event',
        eventId: '',
        eventType: random.pick(names),
        outcome: random.pick(names),
        consensusUs: random.chance(0.7) ? random.below(1_000_000) : null,
        electionCount: random.below(20),
      }
    : {
        kind: 'worker',
        workerId: random.pick(names),
        poolId: random.pick(names),
        status: random.pick(['busy', 'failed', '', 'odd']),
        tasksCompleted: random.chance(0.8) ? random.below(2 ** 52) : null,
        cpuLoad: random.chance(0.8) ? random.next() * 1.5 : null,
        memoryLoad: random.chance(0.2) ? 0 : null,
        lastHeartbeatAtMs: shared.eventTimeMs - random.below(5000) + 1000,
      };
  return { ...shared, ...report } as unknown as FoldableEvent;
}

function outcomeOfRun(random: Random): FoldableEvent {
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
    origin: foreignOrigin(random),
  };
}
