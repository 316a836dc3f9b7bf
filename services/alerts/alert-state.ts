import {
  type AlertAcknowledgement,
  type AlertRuleSetting,
  type AlertSilence,
  alertCollections,
} from '../../schemas/alerts.ts';
import type { StateRecord } from '../../schemas/records.ts';
import { findSettingProblems, RuleBook } from './rules.ts';
import type { PeopleActs } from './state.ts';

interface WorkspaceState {
  settings: Map<string, AlertRuleSetting>;
  acknowledgements: Map<string, AlertAcknowledgement & { by: string }>;
  silences: Map<string, AlertSilence>;
}

/** What people set up of alerts, kept in step with the topic of state: rules by workspace, acknowledgements and silences. */
export class AlertState {
  readonly #workspaces = new Map<string, WorkspaceState>();
  readonly #refused: (record: StateRecord, problems: readonly string[]) => void;
  #book: RuleBook | null = null;

  /** Settings that cannot work are left out, and told: they may stand on the topic, whoever wrote them. */
  constructor(refused: (record: StateRecord, problems: readonly string[]) => void = () => undefined) {
    this.#refused = refused;
  }

  take(record: StateRecord): void {
    const { collection, key, deleted, value } = record;
    const collections: readonly string[] = Object.values(alertCollections);
    if (!collections.includes(collection)) return;
    const state = this.#workspace(record.workspace ?? 'default');
    const maps: Partial<Record<string, Map<string, unknown>>> = {
      [alertCollections.rules]: state.settings,
      [alertCollections.acknowledgements]: state.acknowledgements,
      [alertCollections.silences]: state.silences,
    };
    const entries = maps[collection];
    if (entries === undefined) return;
    if (collection === alertCollections.rules) this.#book = null;
    if (deleted === true || value === null || value === undefined) entries.delete(key);
    else this.#put(record, entries, value);
  }

  bookOf = (): RuleBook => {
    this.#book ??= new RuleBook(
      new Map([...this.#workspaces].map(([workspace, { settings }]) => [workspace, settings])),
    );
    return this.#book;
  };

  actsOf = (workspace: string): PeopleActs => this.#workspace(workspace);

  #put(record: StateRecord, entries: Map<string, unknown>, value: string): void {
    const parsed = parseObject(value);
    const [ruleId = ''] = record.key.split('/');
    const problems =
      parsed === null
        ? ['the value is no JSON object']
        : record.collection === alertCollections.rules
          ? findSettingProblems(ruleId, parsed)
          : [];
    if (problems.length > 0) this.#refused(record, problems);
    else entries.set(record.key, { ...parsed, by: record.changed_by });
  }

  #workspace(name: string): WorkspaceState {
    let known = this.#workspaces.get(name);
    if (known === undefined) {
      known = { settings: new Map(), acknowledgements: new Map(), silences: new Map() };
      this.#workspaces.set(name, known);
    }
    return known;
  }
}

function parseObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    return null;
  }
}
