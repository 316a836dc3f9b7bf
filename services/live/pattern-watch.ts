import { type LivePatternsRow, livePatternsQuestion } from '../../clickhouse/queries/live-patterns.ts';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import { type FoundPattern, isPatternType, listPatterns } from './found-patterns.ts';
import type { LiveHub } from './live-hub.ts';
import type { Place, SnapshotContent } from './subscription.ts';
import type { Message } from './tellings.ts';

interface PatternWatchOptions {
  hub: LiveHub;
  readerOf: (workspace: string) => WorkspaceReader;
  log: { warn(fields: Record<string, unknown>, message: string): void };
  intervalMs: number;
}

/** What is known of one workspace. */
interface Known {
  sinceMs: number;
  /** Keys of the patterns that each workflow of each source had when it was last looked at. */
  keys: Map<string, Set<string>>;
}

/** Workflows whose patterns are looked at together, the ones that were computed last. */
const mostWorkflows = 500;

/**
 * Analyses are computed again as workflows go on, by other processes. What the newest one found that the one before had
 * not is told to those who follow patterns; only workspaces in which somebody does are looked at.
 */
export class PatternWatch {
  readonly #options: PatternWatchOptions;
  readonly #workspaces = new Map<string, Promise<Known>>();
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: PatternWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setTimeout(() => void this.#turn(), this.#options.intervalMs);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** The patterns that are known now. Whatever is found from before this on is told. */
  async readState(reader: WorkspaceReader, id: string, source: string): Promise<SnapshotContent> {
    await this.#begin(reader.workspace);
    const workflow = isPatternType(id) ? '' : id;
    const rows = await reader.ask(livePatternsQuestion, { workflow, sinceMs: 0, limit: mostWorkflows });
    const found = rows
      .filter((row) => source === '' || row.source === source)
      .flatMap(listPatterns)
      .filter(({ workflowId, patternType }) => workflowId === id || patternType === id);
    const identities = new Set(found.map(identityOf));
    return {
      messages: found.map(toMessage),
      truncated: rows.length === mostWorkflows,
      holds: ({ identity }) => identities.has(identity),
    };
  }

  /** Learns what there is already, once for all who follow patterns of the workspace. */
  #begin(workspace: string): Promise<Known> {
    const known = this.#workspaces.get(workspace);
    if (known !== undefined) return known;
    const begun = this.#look(workspace, { sinceMs: 0, keys: new Map() }, () => undefined);
    this.#workspaces.set(workspace, begun);
    begun.catch(() => this.#workspaces.delete(workspace));
    return begun;
  }

  async #turn(): Promise<void> {
    const followed = this.#options.hub.workspacesWith('pattern');
    for (const workspace of this.#workspaces.keys()) if (!followed.has(workspace)) this.#workspaces.delete(workspace);
    for (const workspace of followed) {
      try {
        const known = await this.#begin(workspace);
        await this.#look(workspace, known, (pattern) => this.#tell(workspace, pattern));
      } catch (error) {
        this.#options.log.warn({ err: error }, 'patterns could not be looked at');
      }
    }
    if (!this.#isStopped) this.start();
  }

  async #look(workspace: string, known: Known, onNew: (pattern: FoundPattern) => void): Promise<Known> {
    const ask = { workflow: '', sinceMs: known.sinceMs, limit: mostWorkflows };
    const rows = await this.#options.readerOf(workspace).ask(livePatternsQuestion, ask);
    for (const row of rows.reverse()) this.#compare(row, known, onNew);
    return known;
  }

  #compare(row: LivePatternsRow, known: Known, onNew: (pattern: FoundPattern) => void): void {
    const place = JSON.stringify([row.workflow_id, row.source]);
    const before = known.keys.get(place);
    const found = listPatterns(row);
    known.keys.set(place, new Set(found.map(({ key }) => key)));
    known.sinceMs = Math.max(known.sinceMs, row.computed_at_ms);
    for (const pattern of found) if (before?.has(pattern.key) !== true) onNew(pattern);
  }

  #tell(workspace: string, pattern: FoundPattern): void {
    const { workflowId, patternType, source } = pattern;
    const messages = () => [toMessage(pattern)];
    const tellings = [workflowId, patternType].map((id) => ({ kind: 'pattern' as const, id, messages }));
    const place: Place = {
      log: 'patterns',
      partition: 0,
      offset: 0,
      source,
      thing: '',
      eventTimeMs: 0,
      identity: identityOf(pattern),
    };
    this.#options.hub.tell(workspace, tellings, place);
  }
}

const toMessage = ({ payload }: FoundPattern): Message => ({ type: 'pattern_detected', body: { payload } });
const identityOf = ({ workflowId, source, key }: FoundPattern): string => JSON.stringify([workflowId, source, key]);
