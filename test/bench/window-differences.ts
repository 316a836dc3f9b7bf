import type { WindowInput } from '../../clickhouse/queries/alert-inputs.ts';

/** Where two accounts of the same windows differ, subject by subject and field by field. */
export interface WindowDifferences {
  /** Subjects that both know, and of these how many are alike in everything. */
  shared: number;
  alike: number;
  /** How often a field, or a subject as a whole, differs, with the first one as an example. */
  kinds: Map<string, { n: number; example: string }>;
}

/** Sums of floats come out a little different in another order; nothing that is judged is as fine. */
const leastRelative = 1e-9;

type Subject = Readonly<Record<string, unknown>>;

const parts: { [Part in keyof WindowInput]?: readonly string[] } = {
  runs: ['workspace', 'source', 'workflowId', 'taskId'],
  reports: ['workspace', 'source', 'kind', 'orchestratorId', 'id'],
  open: ['workspace', 'source', 'executionId'],
  scheduled: ['workspace', 'source', 'workflowId'],
};

export const noDifferences = (): WindowDifferences => ({ shared: 0, alike: 0, kinds: new Map() });

export function compareWindows(folded: WindowInput, stored: WindowInput, found: WindowDifferences): void {
  const at = new Date(folded.startMs).toISOString();
  for (const [part, names] of Object.entries(parts)) {
    const [mine, other] = [folded, stored].map((window) => window[part as keyof WindowInput] as unknown as Subject[]);
    const others = new Map(other?.map((subject) => [nameOf(subject, names), subject]));
    const [mineInOrder, otherInOrder] = [mine, other].map((some) =>
      some?.map((subject) => nameOf(subject, names)).join(),
    );
    if (mineInOrder !== otherInOrder)
      note(found, `${part}: order`, `${at} folded ${mineInOrder}, stored ${otherInOrder}`);
    for (const subject of mine ?? []) {
      const name = nameOf(subject, names);
      const twin = others.get(name);
      others.delete(name);
      if (twin === undefined) note(found, `${part}: only folded`, `${at} ${name} ${JSON.stringify(subject)}`);
      else compareSubjects({ part, name: `${at} ${name}`, subject, twin }, found);
    }
    for (const [name, subject] of others)
      note(found, `${part}: only stored`, `${at} ${name} ${JSON.stringify(subject)}`);
  }
}

const nameOf = (subject: Subject, names: readonly string[]): string => names.map((name) => subject[name]).join(' ');

function compareSubjects(
  { part, name, subject, twin }: { part: string; name: string; subject: Subject; twin: Subject },
  found: WindowDifferences,
): void {
  found.shared++;
  const flat = [subject, twin].map((one) => new Map(flatten(one)));
  const [mine, other] = flat as [Map<string, unknown>, Map<string, unknown>];
  const fields = new Set([...mine.keys(), ...other.keys()]);
  const different = [...fields].filter((field) => !isAlike(mine.get(field), other.get(field)));
  if (different.length === 0) found.alike++;
  for (const field of different) {
    note(found, `${part}: ${field}`, `${name}: folded ${show(mine.get(field))}, stored ${show(other.get(field))}`);
  }
}

/** Measures each by themselves; buckets as a whole. */
function* flatten(subject: Subject): Generator<[string, unknown]> {
  for (const [field, value] of Object.entries(subject)) {
    if (field === 'measures') yield* Object.entries(value as object);
    else if (field === 'durations' || field === 'queues') yield [field, JSON.stringify(inOrder(value as object))];
    // By this rows were put into their windows.
    else if (field !== 'windowMs' && field !== 'endedAtMs') yield [field, value];
  }
}

const inOrder = (buckets: object): [string, number][] =>
  Object.entries(buckets).toSorted(([one], [other]) => Number(one) - Number(other));

function isAlike(one: unknown, other: unknown): boolean {
  if (typeof one !== 'number' || typeof other !== 'number') return one === other;
  return Math.abs(one - other) <= leastRelative * Math.max(Math.abs(one), Math.abs(other));
}

const show = (value: unknown): string => (value === undefined ? 'nothing' : String(value));

function note({ kinds }: WindowDifferences, kind: string, example: string): void {
  const known = kinds.get(kind);
  if (known === undefined) kinds.set(kind, { n: 1, example });
  else known.n++;
}
