/** One place in which two definitions differ. */
export interface Difference {
  path: string;
  change: 'added' | 'removed' | 'changed';
  before: unknown;
  after: unknown;
}

/**
 * Where two definitions differ, place by place. Lists whose members have ids, such as tasks, are compared by these: a
 * task that moved is none that changed. Other lists are compared as a whole.
 */
export function compareDefinitions(before: unknown, after: unknown, path = ''): Difference[] {
  if (isAlike(before, after)) return [];
  if (isObject(before) && isObject(after)) return compareMembers(before, after, (key) => join(path, key));
  const [one, other] = [byId(before), byId(after)];
  if (one !== null && other !== null) return compareMembers(one, other, (id) => `${path}[${id}]`);
  return [{ path, change: 'changed', before, after }];
}

const join = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);
const isAlike = (one: unknown, other: unknown): boolean => canonical(one) === canonical(other);

/** The order of members says nothing. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    isObject(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : inner,
  );
}

function compareMembers(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
  place: (key: string) => string,
): Difference[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return keys.flatMap((key): Difference[] => {
    if (!Object.hasOwn(before, key)) return [{ path: place(key), change: 'added', before: null, after: after[key] }];
    if (!Object.hasOwn(after, key)) return [{ path: place(key), change: 'removed', before: before[key], after: null }];
    return compareDefinitions(before[key], after[key], place(key));
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Null where it is no list whose members all have ids of their own. */
function byId(value: unknown): Record<string, unknown> | null {
  if (!Array.isArray(value)) return null;
  const ids = value.map((member) => (isObject(member) && typeof member.id === 'string' ? member.id : null));
  if (ids.includes(null) || new Set(ids).size !== ids.length) return null;
  return Object.fromEntries(value.map((member, at) => [ids[at] as string, member]));
}
