import { followersOf } from './digraph.ts';
import { medianOf } from './robust-statistics.ts';
import type { StructuralPattern } from './structural-patterns.ts';
import type { Structure } from './structure.ts';
import type { WorkflowRuns } from './workflow-runs.ts';

/** @public */
export const repetitionDefaults = {
  instancesLeast: 3,
  /** Share of the executions with a task in which it was repeated, or had instances. */
  repeatedRatioLeast: 0.05,
};

/** Tasks that run again in an execution without having failed, with those that are repeated along with them. */
export function findLoops(workflow: WorkflowRuns, { cycles, names }: Structure): StructuralPattern[] {
  const inside = new Set(names);
  const repeated = new Map<string, { ratio: number; times: number[] }>();
  for (const name of names) {
    const own = describeRepetition(workflow, name);
    if (own !== null) repeated.set(name, own);
  }
  const bodies = groupBodies(workflow, [...repeated.keys()], repeated);
  for (const cycle of cycles) {
    const members = cycle.filter((name) => inside.has(name));
    if (members.length > 0 && !bodies.some((body) => members.some((name) => body.has(name))))
      bodies.push(new Set(members));
  }
  return bodies.map((body) => {
    const ratios = [...body].map((name) => repeated.get(name)?.ratio ?? 1);
    return { kind: 'loop', tasks: [...body], split: null, join: null, confidence: Math.min(1, Math.max(...ratios)) };
  });
}

function describeRepetition({ tasks }: WorkflowRuns, name: string): { ratio: number; times: number[] } | null {
  let present = 0;
  let repeatedRuns = 0;
  const times: number[] = [];
  for (const run of tasks) {
    const own = run.get(name);
    const isPresent = own !== undefined && !own.isSkipped;
    times.push(isPresent ? own.iterations : 0);
    if (!isPresent) continue;
    present++;
    if (own.iterations > 1) repeatedRuns++;
  }
  const ratio = present === 0 ? 0 : repeatedRuns / present;
  return ratio > 0 && ratio >= repetitionDefaults.repeatedRatioLeast ? { ratio, times } : null;
}

/** Tasks are of one body if they lead to each other and are repeated as often as each other. */
function groupBodies(
  { learned }: WorkflowRuns,
  names: readonly string[],
  repeated: ReadonlyMap<string, { times: number[] }>,
): Set<string>[] {
  const bodies: Set<string>[] = [];
  const isLinked = (left: string, right: string) =>
    learned.told.some(({ from, to }) => (from === left && to === right) || (from === right && to === left));
  for (const name of names) {
    const own = bodies.filter((body) => {
      return [...body].some((other) => isLinked(name, other) && areAlike(repeated, name, other));
    });
    const merged = new Set([name, ...own.flatMap((body) => [...body])]);
    for (const body of own) bodies.splice(bodies.indexOf(body), 1);
    bodies.push(merged);
  }
  return bodies;
}

/** A loop may follow another; that both are as long now and then is chance. Inner tasks may be left out at times. */
function areAlike(repeated: ReadonlyMap<string, { times: number[] }>, left: string, right: string): boolean {
  const [a, b] = [repeated.get(left)?.times ?? [], repeated.get(right)?.times ?? []];
  const both = a.map((times, run) => [times, b[run]]).filter(([one, other]) => one > 0 && other > 0);
  const alike = both.filter(([one, other]) => Math.abs(one - other) <= Math.max(1, 0.1 * one)).length;
  const equal = both.filter(([one, other]) => one === other).length;
  return both.length > 0 && alike >= 0.7 * both.length && equal >= 0.5 * both.length;
}

/** Tasks with several instances, which what follows puts together again. */
export function findMaps(workflow: WorkflowRuns, { names, graph, exit }: Structure): StructuralPattern[] {
  const found: StructuralPattern[] = [];
  names.forEach((name, node) => {
    const counts: number[] = [];
    for (const run of workflow.tasks) {
      const own = run.get(name);
      if (own !== undefined && !own.isSkipped && own.iterations <= 1) counts.push(own.instances);
    }
    const mapped = counts.filter((count) => count >= repetitionDefaults.instancesLeast).length;
    if (counts.length === 0 || mapped < counts.length / 2 || medianOf(counts) < repetitionDefaults.instancesLeast)
      return;
    const after = [...followersOf(graph, node)].filter((head) => head !== exit);
    // What nothing waits for is not put together again.
    const kind = after.length > 0 ? 'map_reduce' : 'parallel';
    const join = after.length === 1 ? names[after[0]] : null;
    found.push({ kind, tasks: [name], split: null, join, confidence: mapped / counts.length });
  });
  return found;
}
