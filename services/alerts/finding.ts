import type { AlertSubject, AlertVerdict } from '../../clickhouse/tables/alerts.ts';
import type { AlertRuleId } from '../../schemas/alerts.ts';
import { FalseDiscovery } from './detectors/false-discovery.ts';
import type { EffectiveRule } from './rules.ts';

/**
 * What a rule sees in one window of one series, before it is decided whether that is worth an alert. A window is strong when
 * it says enough by itself. A weak one goes on with what is known; it begins something only with another one, and where
 * chance is at work not at all: windows of a series are alike, so two unlikely ones say little more than one.
 */
export interface Finding {
  rule: EffectiveRule;
  series: string;
  subject: AlertSubject;
  /** Pool of the subject, empty where it has none or is not known. */
  pool: string;
  metric: string;
  value: number | null;
  threshold: number | null;
  expected: number | null;
  score: number | null;
  effect: number | null;
  baselineId: string;
  facts: string[];
  contributions: number;
  strength: 'strong' | 'weak' | 'none';
  /** Chance of it where nothing is wrong; null where a threshold or a fact decides. */
  p: number | null;
  /** Alike for failures that have one cause. */
  errorKey: string;
  /** Of failures: the task took longer than it may, so that it is slow explains them. */
  isTimeout?: boolean;
  /** Where values of earlier windows were looked at too: the end of the oldest of these. */
  sinceMs?: number;
  /** The subject itself lost something, so nothing else need explain it. */
  isIntrinsic: boolean;
}

/** What is remembered of a rule on a series. */
interface Conduct {
  /** Whether the last windows were at least weak, the newest as the lowest bit. */
  history: number;
  /** Quiet windows that are still to be written. */
  heat: number;
  isAdmitted: boolean;
  /** Chance that was tested last. */
  testedP: number;
}

const policyDefaults = {
  /** So unlikely a window is a discovery, whatever else was tested. */
  certainBelow: 1e-9,
  /** Quiet windows that are told after the last breach, so that the alert can end. */
  quietTold: 4,
} as const;

/** Decides, window by window, which findings are breaches: strong, or weak twice of three where nothing is left to chance, and discoveries where it is. */
export class Policy {
  readonly #conducts = new Map<string, Conduct>();
  readonly #discovery = new Map<string, FalseDiscovery>();

  /** The verdict on a finding; null for a quiet window of which nobody need know. */
  decide(finding: Finding): AlertVerdict | null {
    const name = `${finding.rule.id} ${finding.series}`;
    const known = this.#conducts.get(name);
    if (finding.strength === 'none' && known === undefined) return null;
    const conduct = known ?? { history: 0, heat: 0, isAdmitted: false, testedP: 1 };
    this.#conducts.set(name, conduct);
    const verdict = this.#judge(finding, conduct);
    if (verdict !== 'quiet') {
      conduct.heat = policyDefaults.quietTold;
      return verdict;
    }
    if (conduct.heat > 0) {
      conduct.heat--;
      return 'quiet';
    }
    this.#conducts.delete(name);
    return null;
  }

  /** Whether the rule lately found something in the series. */
  isHot(ruleId: AlertRuleId, series: string): boolean {
    return (this.#conducts.get(`${ruleId} ${series}`)?.heat ?? 0) > 0;
  }

  #judge(finding: Finding, conduct: Conduct): AlertVerdict {
    const before = conduct.history & 0b11;
    conduct.history = ((conduct.history << 1) | (finding.strength === 'none' ? 0 : 1)) & 0b11;
    if (finding.strength === 'none') return 'quiet';
    const begins = finding.strength === 'strong' || (finding.p === null && before !== 0);
    if (begins) conduct.isAdmitted ||= this.#isDiscovery(finding, conduct);
    return conduct.isAdmitted ? 'breach' : 'suspect';
  }

  /** Asked when something begins, and again only when it has become far less likely: what goes on is no new test. */
  #isDiscovery({ p, subject }: Finding, conduct: Conduct): boolean {
    if (p === null || p < policyDefaults.certainBelow) return true;
    if (p > conduct.testedP / 10) return false;
    conduct.testedP = p;
    return this.#admit(subject.workspace, p);
  }

  #admit(workspace: string, p: number): boolean {
    const discovery = this.#discovery.get(workspace) ?? new FalseDiscovery();
    this.#discovery.set(workspace, discovery);
    return discovery.admits(p);
  }
}
