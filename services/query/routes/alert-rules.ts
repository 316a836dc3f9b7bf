import type { Static } from 'typebox';
import type { WorkspaceReader } from '../../../clickhouse/question.ts';
import { type AlertRuleSetting, alertCollections } from '../../../schemas/alerts.ts';
import {
  RuleAnswer,
  RulePath,
  RuleScopeQuery,
  RuleSettingBody,
  type RuleSettingMember,
  RulesAnswer,
  ruleSettingMembers,
} from '../../../schemas/api/alerts.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { findSettingProblems, type Rule, rules } from '../../alerts/rules.ts';
import { toInstant } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { listSetUp, readSetUp, type SetUp } from '../state-desk.ts';

type Scope = Static<typeof RuleScopeQuery>;
type Setting = SetUp<AlertRuleSetting>;

const collection = alertCollections.rules;

/** What is watched for, and what a workspace, a workflow or an orchestrator has changed of it. */
export const alertRules: Family = {
  prefix: '/api/v1',
  tag: 'alerts',
  register(app: App, services: Services): void {
    registerReading(app);
    registerSetting(app, services);
  },
};

function registerReading(app: App): void {
  app.get(
    '/alerts/rules',
    {
      schema: {
        summary: 'All rules, as they are and as they hold here',
        description: 'With workflow_id or orchestrator_id, as they hold for that one.',
        querystring: RuleScopeQuery,
        response: answers(RulesAnswer),
      },
    },
    async ({ query, reader }) => {
      const settings = await readSettings(reader);
      return { items: rules.map((rule) => describeRule(rule, settings, query)) };
    },
  );
  app.get(
    '/alerts/rules/:rule_id',
    {
      schema: {
        summary: 'One rule, as it is and as it holds here',
        params: RulePath,
        querystring: RuleScopeQuery,
        response: answers(RuleAnswer),
      },
    },
    async ({ params, query, reader }) => describeRule(findRule(params.rule_id), await readSettings(reader), query),
  );
}

function registerSetting(app: App, { state: desk }: Services): void {
  const config = { role: 'admin' } as const;
  app.put(
    '/alerts/rules/:rule_id',
    {
      config,
      schema: {
        summary: 'Change what a rule says here',
        description:
          'For the workspace, or with workflow_id or orchestrator_id for that one alone. It replaces what was set before; what is left ' +
          'out stays as the rule, or the wider setting, has it. The change holds from the next window on.',
        params: RulePath,
        querystring: RuleScopeQuery,
        body: RuleSettingBody,
        response: answers(RuleAnswer),
      },
    },
    async ({ params, query, body, reader, caller, id: requestId }) => {
      const rule = findRule(params.rule_id);
      const key = keyOf(rule, query);
      const { expected_revision: expectedRevision, reason, ...rest } = body;
      const setting = readSetting(rule, rest);
      await desk.put({ reader, caller, requestId }, { collection, key }, setting, { reason, expectedRevision });
      return describeRule(rule, await readSettings(reader), query);
    },
  );
  app.delete(
    '/alerts/rules/:rule_id',
    {
      config,
      schema: {
        summary: 'Take back what was changed of a rule',
        params: RulePath,
        querystring: RuleScopeQuery,
        response: answers(RuleAnswer),
      },
    },
    async ({ params, query, reader, caller, id: requestId }) => {
      const rule = findRule(params.rule_id);
      const entry = { collection, key: keyOf(rule, query) };
      const known = await readSetUp<AlertRuleSetting>(reader, entry);
      if (known === null) throw new ApiError('not_found', 'Nothing of the rule was changed there.');
      await desk.remove({ reader, caller, requestId }, entry, { expectedRevision: known.revision });
      return describeRule(rule, await readSettings(reader), query);
    },
  );
}

export function findRule(id: string): Rule {
  const rule = rules.find((known) => known.id === id);
  if (rule !== undefined) return rule;
  throw new ApiError('not_found', `There is no rule ${id.slice(0, 64)}.`, { rules: rules.map((known) => known.id) });
}

async function readSettings(reader: WorkspaceReader): Promise<ReadonlyMap<string, Setting>> {
  const entries = await listSetUp<AlertRuleSetting>(reader, collection);
  return new Map(entries.map((entry) => [entry.key, entry]));
}

function keyOf({ id }: Rule, { workflow_id: workflow, orchestrator_id: orchestrator }: Scope): string {
  if (workflow !== undefined && orchestrator !== undefined) {
    throw new ApiError('invalid_request', 'A setting is for a workflow or for an orchestrator, not for both.');
  }
  if (workflow !== undefined) return `${id}/workflow/${workflow}`;
  return orchestrator === undefined ? id : `${id}/orchestrator/${orchestrator}`;
}

/** The setting, or everything that is wrong with it. */
function readSetting(rule: Rule, given: Readonly<Record<string, unknown>>): AlertRuleSetting {
  const problems = Object.keys(given)
    .filter((name) => !Object.hasOwn(ruleSettingMembers, name))
    .map(
      (name) =>
        `${name.slice(0, 64)} is no member of a setting; members are ${Object.keys(ruleSettingMembers).join(', ')}`,
    );
  const sound: Record<string, unknown> = {};
  for (const [name, type] of Object.entries(ruleSettingMembers) as [RuleSettingMember, string][]) {
    const value = given[name];
    if (value === undefined) continue;
    const isSound = typeof value === type && (typeof value !== 'string' || value.length <= 2000);
    if (isSound) sound[name] = value;
    else problems.push(`${name} must be a ${type}${type === 'string' ? ' of up to 2000 letters' : ''}`);
  }
  problems.push(...findSettingProblems(rule.id, sound));
  if (problems.length === 0 && Object.keys(sound).length === 0)
    problems.push('the setting says nothing; DELETE takes one back');
  if (problems.length > 0) throw new ApiError('invalid_request', `body: ${problems.join('; ')}.`, { problems });
  return sound;
}

/** From the widest to the nearest; the nearer wins. */
function listScopes(rule: Rule, { workflow_id: workflow, orchestrator_id: orchestrator }: Scope) {
  return [
    { from: 'workspace', key: rule.id as string },
    ...(orchestrator === undefined ? [] : [{ from: 'orchestrator', key: `${rule.id}/orchestrator/${orchestrator}` }]),
    ...(workflow === undefined ? [] : [{ from: 'workflow', key: `${rule.id}/workflow/${workflow}` }]),
  ];
}

function describeRule(rule: Rule, settings: ReadonlyMap<string, Setting>, scope: Scope): Static<typeof RuleAnswer> {
  const { id: rule_id, type, subjectKind: subject_kind, condition, metric, unit, breaches, message, runbook } = rule;
  const { threshold, forMs: for_ms, severity } = rule;
  const defaults = { enabled: true, threshold, for_ms, severity: severity as string, runbook };
  const effective = { ...defaults };
  const origins: Record<string, string> = {
    enabled: 'default',
    threshold: 'default',
    for_ms: 'default',
    severity: 'default',
    runbook: 'default',
  };
  for (const { from, key } of listScopes(rule, scope)) {
    const value = settings.get(key)?.value ?? {};
    // What cannot work is passed over here as it is where rules are judged.
    if (findSettingProblems(rule_id, value).length > 0) continue;
    for (const name of Object.keys(origins) as (keyof typeof effective)[]) {
      if (value[name] === undefined) continue;
      Object.assign(effective, { [name]: value[name] });
      origins[name] = from;
    }
  }
  return {
    rule_id,
    type,
    subject_kind,
    condition,
    metric,
    unit,
    breaches,
    range: { least: rule.range[0], most: rule.range[1] },
    message,
    remedy: rule.remedy,
    defaults,
    effective,
    origins,
    settings: [...settings.values()]
      .filter(({ key }) => key === rule_id || key.startsWith(`${rule_id}/`))
      .map(describeSetting),
  };
}

function describeSetting({ key, value, revision, changedBy, changedAtMs }: Setting) {
  const [, scope = 'workspace', ...rest] = key.split('/');
  const subject_id = rest.length === 0 ? null : rest.join('/');
  return {
    scope,
    subject_id,
    value: { ...value },
    revision,
    changed_by: changedBy,
    changed_at: toInstant(changedAtMs),
  };
}
