import type { Random } from '../../services/simulator/random.ts';

/**
 * Workflows put together from blocks, so that what they contain is known before anything looks at them. It is written
 * from the published meaning of the patterns alone and shares no code with what recognises them.
 */

export const plantedKinds = [
  'sequential',
  'parallel',
  'conditional',
  'loop',
  'map_reduce',
  'scatter_gather',
  'saga',
] as const;
export type PlantedKind = (typeof plantedKinds)[number];

export interface PlantedTask {
  id: string;
  type: string;
  after: string[];
  medianMs: number;
  /** Spread of the logarithm of its durations. */
  spread: number;
  pool: string;
  /** Instances of a mapped task, drawn for each execution. */
  instances: { least: number; most: number } | null;
  /** Runs only where the switch took this branch. */
  branch: { switchId: string; index: number } | null;
  /** Branches of a switch. */
  branches: number;
  /** The loop whose body it is a part of. */
  loopId: string | null;
  /** Runs after a failure, for what it takes back. */
  compensates: string | null;
  failureRatio: number;
}

export interface PlantedPattern {
  kind: PlantedKind;
  /** What the pattern is made of, without the tasks that it forks from and joins in. */
  tasks: string[];
}

export interface PlantedLoop {
  id: string;
  body: string[];
  mostTimes: number;
}

export interface PlantedWorkflow {
  id: string;
  tasks: PlantedTask[];
  loops: PlantedLoop[];
  patterns: PlantedPattern[];
}

export type Block = 'task' | 'chain' | 'parallel' | 'switch' | 'loop' | 'map' | 'scatter' | 'saga';

const types = ['compute', 'io', 'network'];

/** Blocks one after the other, between a first and a last task. */
export function plantWorkflow(id: string, blocks: readonly Block[], random: Random): PlantedWorkflow {
  const builder = new Builder(id, random);
  builder.build(blocks);
  return builder.workflow;
}

/** Where new tasks go. */
interface Place {
  branch: PlantedTask['branch'];
  loopId: string | null;
  depth: number;
}

class Builder {
  readonly workflow: PlantedWorkflow;
  readonly #random: Random;

  constructor(id: string, random: Random) {
    this.workflow = { id, tasks: [], loops: [], patterns: [] };
    this.#random = random;
  }

  build(blocks: readonly Block[]): void {
    const top: Place = { branch: null, loopId: null, depth: 0 };
    let open = [this.#addTask('begin', [], top).id];
    for (const block of blocks) open = this.#addBlock(block, open, top);
    this.#addTask('end', open, top);
    this.#findChains();
  }

  #addTask(role: string, after: string[], place: Place): PlantedTask {
    const random = this.#random;
    const task: PlantedTask = {
      id: `${role}_${this.workflow.tasks.length}`,
      type: random.pick(types),
      after: [...after],
      medianMs: Math.round(random.logNormal(30_000, 0.4)),
      spread: random.between(0.05, 0.25),
      pool: 'main',
      instances: null,
      branch: place.branch,
      branches: 0,
      loopId: place.loopId,
      compensates: null,
      failureRatio: 0,
    };
    this.workflow.tasks.push(task);
    return task;
  }

  #addBlock(block: Block, after: string[], place: Place): string[] {
    switch (block) {
      case 'task':
        return [this.#addTask('work', after, place).id];
      case 'chain':
        return this.#addChain(after, place, 3 + this.#random.below(3));
      case 'parallel':
        return this.#addFork('parallel', after, place, 2);
      case 'scatter':
        return this.#addFork('scatter_gather', after, place, 3 + this.#random.below(6));
      case 'switch':
        return this.#addSwitch(after, place);
      case 'loop':
        return this.#addLoop(after, place);
      case 'map':
        return this.#addMap(after, place);
      case 'saga':
        return this.#addSaga(after, place);
    }
  }

  #addChain(after: string[], place: Place, length: number): string[] {
    let open = after;
    for (let step = 0; step < length; step++) open = [this.#addTask('step', open, place).id];
    return open;
  }

  /** Every task that `add` brings into being. */
  #membersOf(add: () => void): string[] {
    const before = this.workflow.tasks.length;
    add();
    return this.workflow.tasks.slice(before).map((task) => task.id);
  }

  #addFork(kind: 'parallel' | 'scatter_gather', after: string[], place: Place, branches: number): string[] {
    const split = this.#addTask('split', after, place).id;
    const ends: string[] = [];
    const tasks = this.#membersOf(() => {
      for (let branch = 0; branch < branches; branch++) ends.push(...this.#addBranch([split], place));
    });
    this.workflow.patterns.push({ kind, tasks });
    return [this.#addTask('join', ends, place).id];
  }

  /** What stands between a fork and its join: mostly one or two tasks, sometimes another block. */
  #addBranch(after: string[], place: Place): string[] {
    const inner = { ...place, depth: place.depth + 1 };
    if (place.depth === 0 && this.#random.chance(0.15)) {
      return this.#addBlock(this.#random.pick<Block>(['parallel', 'switch', 'map']), after, inner);
    }
    return this.#addChain(after, inner, this.#random.chance(0.3) ? 2 : 1);
  }

  #addSwitch(after: string[], place: Place): string[] {
    const split = this.#addTask('decide', after, place);
    split.type = 'decision';
    split.branches = 2 + this.#random.below(2);
    const ends: string[] = [];
    const tasks = this.#membersOf(() => {
      for (let index = 0; index < split.branches; index++) {
        const branch = { switchId: split.id, index };
        ends.push(...this.#addChain([split.id], { ...place, branch }, this.#random.chance(0.3) ? 2 : 1));
      }
    });
    this.workflow.patterns.push({ kind: 'conditional', tasks });
    return [this.#addTask('merge', ends, place).id];
  }

  #addLoop(after: string[], place: Place): string[] {
    const id = `loop_${this.workflow.loops.length}`;
    const ends: string[] = [];
    const body = this.#membersOf(() => {
      ends.push(...this.#addChain(after, { ...place, loopId: id }, 1 + this.#random.below(2)));
    });
    this.workflow.loops.push({ id, body, mostTimes: 3 + this.#random.below(4) });
    this.workflow.patterns.push({ kind: 'loop', tasks: body });
    return ends;
  }

  #addMap(after: string[], place: Place): string[] {
    const split = this.#addTask('list', after, place).id;
    const mapped = this.#addTask('each', [split], place);
    const least = 3 + this.#random.below(3);
    mapped.instances = { least, most: least + 2 + this.#random.below(12) };
    this.workflow.patterns.push({ kind: 'map_reduce', tasks: [mapped.id] });
    return [this.#addTask('reduce', [mapped.id], place).id];
  }

  #addSaga(after: string[], place: Place): string[] {
    let open = after;
    const steps: PlantedTask[] = [];
    for (let step = 0; step < 3; step++) {
      const task = this.#addTask('book', open, place);
      task.failureRatio = 0.08;
      steps.push(task);
      open = [task.id];
    }
    const undo = steps.slice(0, -1).map((step) => {
      const task = this.#addTask('cancel', [], place);
      task.compensates = step.id;
      return task.id;
    });
    const tasks = [...steps.slice(0, -1).map((step) => step.id), ...undo];
    // A failure takes back all that was done: whatever can be undone in a workflow is one saga.
    const known = this.workflow.patterns.find(({ kind }) => kind === 'saga');
    if (known === undefined) this.workflow.patterns.push({ kind: 'saga', tasks });
    else known.tasks.push(...tasks);
    return open;
  }

  /** A chain is what its definition says: each waits for the one before alone, which nothing else waits for. */
  #findChains(): void {
    const { tasks, patterns } = this.workflow;
    const own = tasks.filter((task) => task.compensates === null);
    const followers = new Map<string, PlantedTask[]>(own.map((task) => [task.id, []]));
    for (const task of own) for (const before of task.after) followers.get(before)?.push(task);
    const nextOf = (task: PlantedTask): PlantedTask | null => {
      const [next, ...others] = followers.get(task.id) ?? [];
      return next !== undefined && others.length === 0 && next.after.length === 1 ? next : null;
    };
    const hasBefore = new Set(own.map(nextOf).filter((task) => task !== null));
    for (const first of own) {
      if (hasBefore.has(first)) continue;
      const chain: string[] = [];
      for (let task: PlantedTask | null = first; task !== null; task = nextOf(task)) chain.push(task.id);
      if (chain.length >= 3) patterns.push({ kind: 'sequential', tasks: chain });
    }
  }
}
