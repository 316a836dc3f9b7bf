import type { ExecutionRecord, TaskRecord } from '../../../schemas/records.ts';
import { exampleWorkflows } from '../../../services/simulator/workflow-catalogue.ts';
import { dayMs, sendSegment } from '../simulator/simulated-days.ts';

export const exampleNames = exampleWorkflows.map(({ id }) => id);

/** Records of the four example workflows on one quiet day that is over, as the simulated fleet tells them. */
export function simulateExamples(startMs: number): { executions: ExecutionRecord[]; tasks: TaskRecord[] } {
  const executions: ExecutionRecord[] = [];
  const tasks: TaskRecord[] = [];
  const place = { startMs, endMs: startMs + dayMs, gridEndMs: startMs + dayMs, firstMs: startMs, seed: 4_711 };
  for (const { topic, record } of sendSegment('quiet-fleet', place)) {
    if (topic === 'orchestrators' || !exampleNames.includes(record.workflow_id)) continue;
    if (topic === 'executions') executions.push(record);
    else tasks.push(record);
  }
  return { executions, tasks };
}
