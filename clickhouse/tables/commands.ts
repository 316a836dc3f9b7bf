import type { CommandOutcomeRecord, CommandRequestRecord } from '../../schemas/records.ts';
import { bool, columnsOf, instant, int32, name, nullable, type Table, text, uint32, uint64 } from '../columns.ts';

/** One record of the topic of commands, with its place in the log: a request or an outcome. */
export interface CommandRow {
  workspace: string;
  source: string;
  request: CommandRequestRecord | null;
  outcome: CommandOutcomeRecord | null;
  topic: string;
  partition: number;
  offset: number;
  recordTimeMs: number;
}

const ofCommand = columnsOf<CommandRow>();
const ofRequest = (column: string, field: keyof CommandRequestRecord) =>
  ofCommand(column, text, ({ request }) => String(request?.[field] ?? ''));

export const commandsTable: Table<CommandRow> = {
  name: 'commands',
  columns: [
    ofCommand('workspace', name, (row) => row.workspace),
    ofCommand('command_id', text, (row) => row.request?.command_id ?? row.outcome?.command_id ?? ''),
    ofCommand('record', name, (row) => (row.request === null ? 'outcome' : 'request')),
    ofCommand('source', name, (row) => row.source),
    ofCommand('kind', name, ({ request }) => request?.kind ?? ''),
    ofRequest('orchestrator_id', 'orchestrator_id'),
    ofRequest('workflow_id', 'workflow_id'),
    ofRequest('execution_id', 'execution_id'),
    ofRequest('task_id', 'task_id'),
    ofCommand('map_index', int32, ({ request }) => request?.map_index ?? -1),
    ofRequest('pool_id', 'pool_id'),
    ofRequest('queue_id', 'queue_id'),
    ofRequest('optimization_id', 'optimization_id'),
    ofRequest('parameters', 'parameters'),
    ofRequest('idempotency_key', 'idempotency_key'),
    ofRequest('requested_by', 'requested_by'),
    ofRequest('reason', 'reason'),
    ofCommand('requested_at', instant, ({ request }) => request?.requested_at ?? 0),
    ofCommand('expires_at', instant, ({ request }) => request?.expires_at ?? 0),
    ofCommand('approval_required', bool, ({ request }) => request?.approval_required ?? false),
    ofRequest('approved_by', 'approved_by'),
    ofCommand('approved_at', nullable(instant), ({ request }) => request?.approved_at ?? null),
    ofCommand('dry_run', bool, ({ request }) => request?.dry_run ?? false),
    ofCommand('outcome', name, ({ outcome }) => outcome?.outcome ?? ''),
    ofCommand('message', text, ({ outcome }) => outcome?.message ?? ''),
    ofCommand('reported_by', text, ({ outcome }) => outcome?.reported_by ?? ''),
    ofCommand('at', instant, ({ request, outcome }) => outcome?.at ?? request?.requested_at ?? 0),
    ofCommand('result', text, ({ outcome }) => outcome?.result ?? ''),
    ofCommand('topic', name, (row) => row.topic),
    ofCommand('partition', uint32, (row) => row.partition),
    ofCommand('offset', uint64, (row) => row.offset),
    ofCommand('record_time', instant, (row) => row.recordTimeMs),
  ],
};
