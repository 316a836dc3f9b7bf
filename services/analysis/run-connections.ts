import { buildDigraph, sortTopologically } from './digraph.ts';
import { groupBy } from './robust-statistics.ts';
import type { RunNode } from './timed-run.ts';

/**
 * Which nodes of an execution waited for which. Dependencies name tasks, while executions have instances and
 * iterations; and where nobody told any, the times say what may have been waited for.
 */
export interface Connections {
  before: number[][];
  isGuessed: boolean;
}

/** Adds the nodes that stand for several instances, and those at the start of loops, to `nodes`. */
export function connectRun(
  nodes: RunNode[],
  prefix: string,
  learned: ReadonlyMap<string, readonly string[]>,
): Connections {
  const named = nodes.map((node) => namesBefore(node, prefix, learned));
  if (nodes.length > 1 && named.every((names) => names.length === 0) && nodes.every((node) => !isIterated(node))) {
    return { before: guessBefore(nodes), isGuessed: true };
  }
  const connector = new Connector(nodes, named);
  connector.connect();
  return { before: connector.before, isGuessed: false };
}

function namesBefore(
  node: RunNode,
  prefix: string,
  learned: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const told = node.task?.dependencies ?? [];
  const known = learned.get(node.task?.taskId ?? '') ?? [];
  if (told.length === 0 && known.length === 0) return [];
  // Mostly both say the same.
  if (told.length === 1 && known.length <= 1 && (known[0] ?? told[0].taskId) === told[0].taskId) {
    return told[0].taskId === node.task?.taskId ? [] : [prefix + told[0].taskId];
  }
  const saysTheSame = known.length === told.length && told.every(({ taskId }, place) => taskId === known[place]);
  if (prefix === '' && saysTheSame && !known.includes(node.taskId)) return known;
  const names = new Set<string>();
  for (const { taskId } of told) names.add(prefix + taskId);
  for (const taskId of known) names.add(prefix + taskId);
  names.delete(node.taskId);
  return [...names];
}

const isIterated = ({ loopIteration }: RunNode): boolean => loopIteration !== null;

/** Rules such as `any_success` or `4_of_6_success` do not wait for all. */
const waitsForSome = (rule: string): boolean => /^(any|one|first|\d+_of)/.test(rule);

/** Each waits for what ended last before it began. */
function guessBefore(nodes: readonly RunNode[]): number[][] {
  const byEnd = nodes.map((_, index) => index).sort((left, right) => nodes[left].endMs - nodes[right].endMs);
  const byStart = [...byEnd].sort((left, right) => nodes[left].startMs - nodes[right].startMs);
  const before: number[][] = nodes.map(() => []);
  let ended = 0;
  for (const index of byStart) {
    while (ended < byEnd.length && nodes[byEnd[ended]].endMs <= nodes[index].startMs) ended++;
    let latest = ended - 1;
    // What took no time at the same instant may come on either side of it.
    while (latest >= 0 && nodes[byEnd[latest]].startMs >= nodes[index].startMs) latest--;
    if (latest >= 0) before[index].push(byEnd[latest]);
  }
  return before;
}

class Connector {
  readonly before: number[][];
  readonly #nodes: RunNode[];
  readonly #named: readonly (readonly string[])[];
  readonly #own: number;
  readonly #byTask: Map<string, number[]>;
  readonly #gathers = new Map<string, number>();
  /** Made when two nodes cannot be told apart by their times, which is rare. */
  #ranks: Map<string, number> | null = null;
  readonly #loopOf: Map<string, string>;

  constructor(nodes: RunNode[], named: readonly (readonly string[])[]) {
    this.#nodes = nodes;
    this.#named = named;
    this.#own = nodes.length;
    this.before = nodes.map(() => []);
    this.#byTask = groupBy(nodes.keys(), (index) => nodes[index].taskId);
    this.#loopOf = findLoops(nodes, named);
  }

  connect(): void {
    for (let index = 0; index < this.#own; index++) {
      for (const name of this.#named[index]) this.#connectTo(index, name);
    }
    this.#chainIterations();
    this.#holdLoops();
  }

  #connectTo(index: number, name: string): void {
    const instances = this.#byTask.get(name);
    if (instances === undefined) return;
    const node = this.#nodes[index];
    const rule = node.task?.triggerRule ?? '';
    if (node.loopIteration !== null && this.#nodes[instances[0]].loopIteration !== null) {
      const same = instances.filter((other) => this.#nodes[other].loopIteration === node.loopIteration);
      const isForward = same.some((other) => this.#comesBefore(other, index));
      const wanted = node.loopIteration - 1;
      const previous = () => instances.filter((other) => this.#nodes[other].loopIteration === wanted);
      const iteration = isForward ? node.loopIteration : wanted;
      this.#link(this.#gather(`${name}\0${iteration}`, isForward ? same : previous()), index, rule);
    } else this.#link(this.#gather(name, instances), index, rule);
  }

  #link(tail: number | null, head: number, rule: string): void {
    if (tail === null || tail === head || !this.#comesBefore(tail, head)) return;
    // What ended after the start was not waited for; under other rules it is the clocks that disagree.
    if (waitsForSome(rule) && this.#nodes[tail].endMs > this.#nodes[head].startMs) return;
    this.before[head].push(tail);
  }

  /** One order in time for all nodes: edges that go along with it can close no cycle. */
  #comesBefore(left: number, right: number): boolean {
    const [a, b] = [this.#nodes[left], this.#nodes[right]];
    if (a.startMs !== b.startMs) return a.startMs < b.startMs;
    if (a.endMs !== b.endMs) return a.endMs < b.endMs;
    const ranks = this.#rankOf(a) - this.#rankOf(b);
    if (ranks !== 0) return ranks < 0;
    if (a.kind !== b.kind) return b.kind === 'gather';
    return left < right;
  }

  #rankOf({ taskId }: RunNode): number {
    // Of the nodes as they were told: those that were added have no names before them.
    this.#ranks ??= rankTasks(this.#nodes.slice(0, this.#own), this.#named);
    return this.#ranks.get(taskId) ?? 0;
  }

  #gather(key: string, members: readonly number[]): number | null {
    if (members.length === 0) return null;
    if (members.length === 1) return members[0];
    const known = this.#gathers.get(key);
    if (known !== undefined) return known;
    const first = this.#nodes[members[0]];
    const index = this.#nodes.length;
    const startMs = members.reduce((latest, member) => Math.max(latest, this.#nodes[member].startMs), first.startMs);
    const endMs = members.reduce((latest, member) => Math.max(latest, this.#nodes[member].endMs), first.endMs);
    // It takes no time: where clocks disagree it may stand before the start of what waits for it, never after.
    this.#nodes.push({ ...first, kind: 'gather', mapIndex: -1, startMs, endMs, attempts: [] });
    this.before.push([...members]);
    this.#gathers.set(key, index);
    return index;
  }

  /** What begins an iteration waits for the one before. */
  #chainIterations(): void {
    const byIteration = groupBy(
      [...Array(this.#own).keys()].filter((index) => isIterated(this.#nodes[index])),
      (index) => `${this.#loopOf.get(this.#nodes[index].taskId)}\0${this.#nodes[index].loopIteration}`,
    );
    for (const [key, members] of byIteration) {
      const [loop, iteration] = key.split('\0');
      const previous = byIteration.get(`${loop}\0${Number(iteration) - 1}`);
      if (previous === undefined) continue;
      for (const index of members) {
        const isInner = this.before[index].some((tail) => isIterated(this.#nodes[tail]));
        if (!isInner) this.#link(this.#gather(`loop\0${loop}\0${Number(iteration) - 1}`, previous), index, '');
      }
    }
  }

  /** Some sources tell a loop as a task of its own, which lasts as long as its iterations. */
  #holdLoops(): void {
    const bodies = groupBy(
      [...Array(this.#own).keys()].filter((index) => isIterated(this.#nodes[index])),
      (index) => this.#loopOf.get(this.#nodes[index].taskId) as string,
    );
    for (const members of bodies.values()) {
      const roots = members.filter((index) => this.before[index].length === 0);
      if (roots.length === 0) continue;
      const holder = this.#findHolder(members);
      if (holder === null) continue;
      const node = this.#nodes[holder];
      const begin = this.#nodes.length;
      this.#nodes.push({ ...node, kind: 'begin', endMs: node.startMs, attempts: [] });
      this.before.push(this.before[holder]);
      for (const root of roots) this.before[root].push(begin);
      const last = this.#gather(`loop\0${members[0]}\0all`, members) as number;
      this.#nodes[holder] = { ...node, startMs: node.endMs };
      this.before[holder] = [last];
    }
  }

  #findHolder(members: readonly number[]): number | null {
    const startMs = members.reduce((least, index) => Math.min(least, this.#nodes[index].startMs), Infinity);
    const endMs = members.reduce((most, index) => Math.max(most, this.#nodes[index].endMs), -Infinity);
    let best: number | null = null;
    for (let index = 0; index < this.#own; index++) {
      const node = this.#nodes[index];
      if (node.kind !== 'task' || isIterated(node) || node.startMs > startMs || node.endMs < endMs) continue;
      if (best === null || this.#isBetterHolder(node, this.#nodes[best])) best = index;
    }
    return best;
  }

  #isBetterHolder(left: RunNode, right: RunNode): boolean {
    const isLoop = ({ task }: RunNode) => /loop|each|while|repeat/i.test(`${task?.operator} ${task?.taskType}`);
    if (isLoop(left) !== isLoop(right)) return isLoop(left);
    return left.endMs - left.startMs < right.endMs - right.startMs;
  }
}

/** A place for each task along its dependencies; those on a cycle keep the place in which they were told. */
function rankTasks(nodes: readonly RunNode[], named: readonly (readonly string[])[]): Map<string, number> {
  const ids = new Map<string, number>();
  // Instances of a task wait for the same: the first of them is enough.
  const firsts: number[] = [];
  nodes.forEach(({ taskId }, index) => {
    if (ids.has(taskId)) return;
    ids.set(taskId, ids.size);
    firsts.push(index);
  });
  const pairs: [number, number][] = [];
  firsts.forEach((index, head) => {
    for (const name of named[index]) {
      const tail = ids.get(name);
      if (tail !== undefined) pairs.push([tail, head]);
    }
  });
  const places = new Int32Array(ids.size).fill(ids.size);
  sortTopologically(buildDigraph(ids.size, pairs)).forEach((node, place) => {
    places[node] = place;
  });
  return new Map([...ids].map(([taskId, index]) => [taskId, places[index]]));
}

/** Tasks of one loop body are those that lead to each other; a body is named after one of them. */
function findLoops(nodes: readonly RunNode[], named: readonly (readonly string[])[]): Map<string, string> {
  const parents = new Map<string, string>();
  for (const node of nodes) if (isIterated(node)) parents.set(node.taskId, node.taskId);
  const rootOf = (name: string): string => {
    let root = name;
    while (parents.get(root) !== root) root = parents.get(root) as string;
    return root;
  };
  nodes.forEach((node, index) => {
    if (!parents.has(node.taskId)) return;
    for (const name of named[index]) {
      if (parents.has(name)) parents.set(rootOf(name), rootOf(node.taskId));
    }
  });
  return new Map([...parents.keys()].map((name) => [name, rootOf(name)]));
}
