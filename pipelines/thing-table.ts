import type { Thing } from './fold.ts';
import { type Hash64, hashText, hashTexts } from './hash.ts';

const separator = '\u0000';

/**
 * What a thing is called: an execution, or a task of one with the index of its instance. A report's is one text of its own.
 * Every record is looked up by name, so its texts are hashed and compared where they are rather than joined.
 */
export interface Name extends Hash64 {
  readonly workspace: string;
  readonly source: string;
  readonly ownerId: string;
  /** null where the thing is no task. */
  readonly taskId: string | null;
  readonly mapIndex: number;
}

/** A name that is filled in anew for each record. Ids hold no control characters, so parts cannot run together. */
export class ScratchName implements Name {
  workspace = '';
  source = '';
  ownerId = '';
  taskId: string | null = null;
  mapIndex = -1;
  low = 0;
  high = 0;

  setExecution(workspace: string, source: string, executionId: string): this {
    return this.#set(workspace, source, executionId, null, -1);
  }

  setTask(workspace: string, source: string, executionId: string, taskId: string, mapIndex: number): this {
    return this.#set(workspace, source, executionId, taskId, mapIndex);
  }

  #set(workspace: string, source: string, ownerId: string, taskId: string | null, mapIndex: number): this {
    this.workspace = workspace;
    this.source = source;
    this.ownerId = ownerId;
    this.taskId = taskId;
    this.mapIndex = mapIndex;
    hashTexts(workspace, source, ownerId, taskId, taskId === null ? '' : String(mapIndex), this);
    return this;
  }

  /** Of what has one text for a name. */
  setText(text: string): this {
    this.workspace = '';
    this.source = '';
    this.ownerId = text;
    this.taskId = null;
    this.mapIndex = -1;
    hashText(text, this);
    return this;
  }

  /** The inverse of `keyOf`. */
  setKey(key: string): this {
    const [workspace = '', source = '', ownerId = '', taskId, mapIndex] = key.split(separator);
    if (taskId === undefined) return this.setExecution(workspace, source, ownerId);
    return this.setTask(workspace, source, ownerId, taskId, Number(mapIndex));
  }
}

/** The whole name as one text, of which its hash is also the hash. */
export function keyOf({ workspace, source, ownerId, taskId, mapIndex }: Omit<Name, keyof Hash64>): string {
  if (source === '' && workspace === '') return ownerId;
  const owner = `${workspace}${separator}${source}${separator}${ownerId}`;
  return taskId === null ? owner : `${owner}${separator}${taskId}${separator}${mapIndex}`;
}

const isNamed = (thing: Thing, name: Name): boolean =>
  thing.low === name.low &&
  thing.high === name.high &&
  thing.ownerId === name.ownerId &&
  thing.taskId === name.taskId &&
  thing.mapIndex === name.mapIndex &&
  thing.source === name.source &&
  thing.workspace === name.workspace;

const firstSlots = 1024;

/** Things by name. Those of one slot are a chain through the things themselves, so the table costs a word for each. */
export class ThingTable {
  #slots: (Thing | null)[] = new Array<null>(firstSlots).fill(null);
  size = 0;

  find(name: Name): Thing | undefined {
    const slots = this.#slots;
    for (let thing = slots[name.low & (slots.length - 1)] as Thing | null; thing !== null; thing = thing.next) {
      if (isNamed(thing, name)) return thing;
    }
    return undefined;
  }

  add(thing: Thing): void {
    if (this.size === this.#slots.length) this.#grow();
    this.size++;
    this.#link(thing);
  }

  #link(thing: Thing): void {
    const slot = thing.low & (this.#slots.length - 1);
    thing.next = this.#slots[slot] as Thing | null;
    this.#slots[slot] = thing;
  }

  #grow(): void {
    const things = [...this];
    this.#slots = new Array<null>(this.#slots.length * 2).fill(null);
    for (const thing of things) this.#link(thing);
  }

  delete(thing: Thing): void {
    const slot = thing.low & (this.#slots.length - 1);
    let before: Thing | null = null;
    for (let at = this.#slots[slot] as Thing | null; at !== null; before = at, at = at.next) {
      if (at !== thing) continue;
      if (before === null) this.#slots[slot] = thing.next;
      else before.next = thing.next;
      thing.next = null;
      this.size--;
      return;
    }
  }

  *[Symbol.iterator](): Iterator<Thing> {
    for (const first of this.#slots) for (let thing = first; thing !== null; thing = thing.next) yield thing;
  }
}
