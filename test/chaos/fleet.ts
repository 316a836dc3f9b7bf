import type { Random } from '../../services/simulator/random.ts';
import { launch, pause, waitUntil } from '../support/launched.ts';
import { PipelineProcess } from '../support/pipeline-process.ts';
import type { Stand } from './stand.ts';

const assignedLine = 'partitions assigned';

interface Slot {
  process: PipelineProcess;
  /** Which tree of the code it runs; of the repository itself where none is named. */
  tree: string;
  /** Counts its processes; a supervisor cares for the one that it saw start. */
  starts: number;
}

const lives = ({ launched: { child } }: PipelineProcess): boolean =>
  child.exitCode === null && child.signalCode === null;

/** Pipeline processes under a supervisor: whichever dies is started again, as any installation would. */
export class Fleet {
  readonly #stand: Stand;
  readonly #random: Random;
  readonly #slots: Slot[] = [];
  readonly #all: PipelineProcess[] = [];
  #isClosed = false;
  /** Code that new processes run. */
  tree: string;
  deaths = 0;
  /** How processes ended that nobody had killed or stopped, and what they said last. */
  readonly ownDeaths: string[] = [];

  constructor(stand: Stand, random: Random, tree: string) {
    this.#stand = stand;
    this.#random = random;
    this.tree = tree;
  }

  get size(): number {
    return this.#slots.length;
  }

  #at(index: number): PipelineProcess {
    return (this.#slots[index % this.#slots.length] as Slot).process;
  }

  /** That of a slot once it runs: it may have died just now, and its successor is on its way. */
  async alive(index: number, timeoutMs: number): Promise<PipelineProcess> {
    if (!(await waitUntil(() => lives(this.#at(index)), timeoutMs))) throw new Error(`slot ${index} stays empty`);
    return this.#at(index);
  }

  async reading(index: number, timeoutMs: number): Promise<PipelineProcess> {
    const reads = () => lives(this.#at(index)) && Fleet.assignmentsOf(this.#at(index)) > 0;
    if (!(await waitUntil(reads, timeoutMs))) throw new Error(`no process of slot ${index} came to read anything`);
    return this.#at(index);
  }

  /** How often any process was given partitions. */
  get assignments(): number {
    return this.#all.reduce((sum, process) => sum + Fleet.assignmentsOf(process), 0);
  }

  get logs(): string {
    return this.#all.map((process) => process.output()).join('');
  }

  get living(): PipelineProcess[] {
    return this.#slots.map(({ process }) => process).filter(lives);
  }

  /** With those that nobody supervises. */
  get running(): PipelineProcess[] {
    return this.#all.filter(lives);
  }

  /** A process of its own beside the supervised ones. */
  launch(env: Record<string, string> = {}, tree = this.tree): PipelineProcess {
    const launched = launch(`${tree}/test/chaos/pipeline-entry.ts`, {
      env: { ...this.#stand.env, WEIR_LOG_LEVEL: 'debug', ...env, WEIR_PARENT_GUARD: 'stdin' },
      stdin: 'pipe',
    });
    const process = new PipelineProcess(launched);
    this.#all.push(process);
    return process;
  }

  add(tree = this.tree): void {
    this.#start({ tree, starts: 0 } as Slot);
  }

  #start(slot: Slot, env: Record<string, string> = {}): void {
    slot.process = this.launch(env, slot.tree);
    slot.starts++;
    if (!this.#slots.includes(slot)) this.#slots.push(slot);
    void this.#supervise(slot, slot.starts);
  }

  async #supervise(slot: Slot, starts: number): Promise<void> {
    const { process } = slot;
    const { code } = await process.launched.exited;
    this.deaths++;
    if (code !== null && code !== 0) {
      const [last = ''] = process.output().trimEnd().split('\n').slice(-1);
      this.ownDeaths.push(`pipeline ${process.launched.pid} ended with code ${code}: ${last.slice(0, 500)}`);
    }
    await pause(this.#random.between(100, 1_000));
    if (!this.#isClosed && this.#slots.includes(slot) && slot.starts === starts) this.#start(slot);
  }

  /** Kill -9, and a successor with this environment at once. */
  async replace(index: number, env: Record<string, string> = {}): Promise<PipelineProcess> {
    const slot = this.#slots[index % this.#slots.length] as Slot;
    slot.starts++;
    await slot.process.kill();
    this.#start(slot, env);
    return slot.process;
  }

  /** Takes one away in order. */
  async remove(index: number): Promise<void> {
    const [slot] = this.#slots.splice(index, 1);
    await slot?.process.stop();
  }

  async stopAll(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    for (const slot of this.#slots) slot.starts++;
    await Promise.all(this.#slots.map(({ process }) => process[how]()));
  }

  startAll(tree?: string): void {
    for (const slot of this.#slots) {
      slot.tree = tree ?? slot.tree;
      this.#start(slot);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#all.map((process) => process.kill()));
  }

  static assignmentsOf(process: PipelineProcess): number {
    return process.output().split(assignedLine).length - 1;
  }

  /** Some other process than this one has been given partitions since. */
  async waitForOtherOwner(than: PipelineProcess, timeoutMs: number): Promise<boolean> {
    const before = new Map(this.#all.map((process) => [process, Fleet.assignmentsOf(process)]));
    return await waitUntil(
      () => this.#all.some((process) => process !== than && Fleet.assignmentsOf(process) > (before.get(process) ?? 0)),
      timeoutMs,
    );
  }
}
