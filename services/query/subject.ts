import { type FilterName, filtersOf, type Subject } from '../../clickhouse/queries/windows.ts';
import { ApiError } from './errors.ts';

/** What a question of any subject is about: the rollup, the filters that it has, and what to split by. */
interface SubjectQuery extends Partial<Record<FilterName, string>> {
  subject: 'execution' | 'task';
  group_by?: string;
}

export interface Focus {
  subject: Subject;
  filters: Partial<Record<FilterName, string>>;
  groupBy: FilterName | null;
}

const tables: Record<SubjectQuery['subject'], Subject> = { execution: 'executions', task: 'tasks' };

/** A filter that the subject does not have is refused: an answer about everything would be taken for one about it. */
export function readFocus(query: SubjectQuery): Focus {
  const subject = tables[query.subject];
  const known = filtersOf[subject];
  const names = [...new Set([...filtersOf.executions, ...filtersOf.tasks])];
  const strange = names.find((name) => query[name] !== undefined && !known.includes(name));
  if (strange !== undefined) {
    throw new ApiError('invalid_request', `parameter ${strange} is none of the subject ${query.subject}.`);
  }
  const groupBy = known.find((name) => name === query.group_by) ?? null;
  if (query.group_by !== undefined && groupBy === null) {
    throw new ApiError('invalid_request', `parameter group_by must be one of ${known.join(', ')}.`);
  }
  const given = known.filter((name) => query[name] !== undefined);
  return { subject, filters: Object.fromEntries(given.map((name) => [name, query[name]])), groupBy };
}
