import { columnsOf, instant, name, type Table, text, uint32 } from '../columns.ts';

export interface PastExecutionsRow {
  workspace: string;
  workflowId: string;
  source: string;
  project: string;
  /** 0 where nothing is told, because it would be too much. */
  executions: number;
  told: string;
  computedAtMs: number;
}

const ofPast = columnsOf<PastExecutionsRow>();

export const pastExecutionsTable: Table<PastExecutionsRow> = {
  name: 'past_executions',
  columns: [
    ofPast('workspace', name, (row) => row.workspace),
    ofPast('workflow_id', name, (row) => row.workflowId),
    ofPast('source', name, (row) => row.source),
    ofPast('project', name, (row) => row.project),
    ofPast('executions', uint32, (row) => row.executions),
    ofPast('told', text, (row) => row.told),
    ofPast('computed_at', instant, (row) => row.computedAtMs),
  ],
};
