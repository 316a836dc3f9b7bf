import { endStates } from '../schemas/events.ts';
import { type OrchestratorKind, orchestratorKinds } from '../schemas/orchestrator-events.ts';
import type { ExecutionRecord, TaskRecord } from '../schemas/records.ts';
import { executionType, orchestratorBodyTypes, orchestratorType, taskType } from '../schemas/wire.ts';
import { parseInstantMs } from './instants.ts';
import {
  bodyNames,
  endNames,
  executionNames,
  idFields,
  kindNames,
  reportFactors,
  reportNames,
  runFactors,
  taskNames,
} from './json-names.ts';
import { type Lifter, makeLifter } from './json-record.ts';
import type { DecodedReport } from './orchestrator-normalise.ts';
import { Refusal } from './rejections.ts';

/** JSON objects as records of the wire contract, one function for each topic. */

type Json = Record<string, unknown>;

const runOptions = { factors: runFactors, idFields };
const executionLifter = makeLifter(executionType, { ...runOptions, aliases: executionNames });
const taskLifter = makeLifter(taskType, {
  ...runOptions,
  aliases: taskNames,
  bareFields: { dependencies: 'task_id' },
});
const headerLifter = makeLifter(orchestratorType, { aliases: reportNames, idFields });
const bodyLifters = Object.fromEntries(
  orchestratorKinds.map((kind) => [
    kind,
    makeLifter(orchestratorBodyTypes[kind], { aliases: bodyNames[kind], factors: reportFactors, idFields }),
  ]),
) as Record<OrchestratorKind, Lifter>;

const ends: ReadonlySet<string> = new Set(endStates);

export function liftExecution(value: Json): ExecutionRecord {
  const record = executionLifter.lift(value) as unknown as ExecutionRecord;
  // A bare progress may be per cent; progress_ratio says itself that it is not.
  const ratio = record.progress_ratio;
  if (typeof ratio === 'number' && ratio > 1 && ratio <= 100 && value.progress_ratio === undefined) {
    record.progress_ratio = ratio / 100;
  }
  completeEventTime(record, value);
  return record;
}

export function liftTask(value: Json): TaskRecord {
  const record = taskLifter.lift(value) as unknown as TaskRecord;
  if (typeof value.cacheHit === 'boolean' || typeof value.cache_hit === 'boolean') {
    record.cache_status = (value.cacheHit ?? value.cache_hit) === true ? 'hit' : 'miss';
  }
  completeEventTime(record, value);
  return record;
}

/** Producers that send the state of a run, not a transition, give the instant of the transition by another name. */
function completeEventTime(record: ExecutionRecord | TaskRecord, value: Json): void {
  if (record.event_time !== undefined && record.event_time !== null) return;
  const state = String(record.state).split('.').at(-1)?.toLowerCase() ?? '';
  let time: number | null | undefined;
  if (ends.has(state) || state === 'canceled') {
    const name = endNames.find((candidate) => value[candidate] !== undefined && value[candidate] !== null);
    if (name !== undefined) {
      time = parseInstantMs(value[name]);
      if (time === undefined) throw new Refusal('malformed_time', `${name} is no time`);
    }
  } else {
    time = state === 'running' ? record.started_at : (record.queued_at ?? record.scheduled_at);
  }
  if (time !== undefined && time !== null) record.event_time = time;
}

const kinds: ReadonlySet<string> = new Set(orchestratorKinds);

function readKind(value: unknown): OrchestratorKind {
  const plain = String(value ?? '')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll('-', '_');
  if (kinds.has(plain)) return plain as OrchestratorKind;
  const kind = Object.hasOwn(kindNames, plain) ? kindNames[plain] : undefined;
  if (kind === undefined) throw new Refusal('unknown_kind', value === undefined ? 'kind is absent' : 'kind is unknown');
  return kind;
}

/** A report is either flat or keeps what is particular to its kind under `body`, as the Avro form does. */
export function liftOrchestrator(value: Json): DecodedReport {
  const { kind: kindValue, body: bodyValue, ...rest } = value;
  const kind = readKind(kindValue);
  const header: Json = {};
  const particulars: Json = {};
  const isBody = typeof bodyValue === 'object' && bodyValue !== null && !Array.isArray(bodyValue);
  for (const name of Object.keys(rest)) {
    if (name === '__proto__') continue;
    const belongs = headerLifter.knows(name) && !(name === 'timestamp' && isBody);
    (belongs ? header : particulars)[name] = rest[name];
  }
  const body = bodyLifters[kind].lift(isBody ? { ...particulars, ...(bodyValue as Json) } : particulars);
  const unknown: Json = {};
  for (const name of Object.keys({ ...particulars, ...(isBody ? (bodyValue as Json) : {}) })) {
    if (!bodyLifters[kind].knows(name))
      unknown[name] = isBody && name in (bodyValue as Json) ? (bodyValue as Json)[name] : particulars[name];
  }
  return { kind, body, header: headerLifter.lift({ ...unknown, ...header }) };
}
