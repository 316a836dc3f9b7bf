import { Type } from 'typebox';
import { alertRuleIds, alertSeverities, alertStates, webhookEvents } from '../alerts.ts';
import {
  Count,
  closed,
  Id,
  Instant,
  maybeInstant,
  maybeNumber,
  maybeText,
  nullable,
  rangeParameters,
} from './parts.ts';

/** Alerts, `/api/v1/alerts`, and webhooks, `/api/v1/webhooks`. */

const oneOf = <const Names extends readonly string[]>(names: Names) =>
  Type.Unsafe<Names[number]>({ type: 'string', enum: [...names] });

/** One change of an alert; the newest is the alert as it stands. */
export const AlertAnswer = Type.Object({
  alert_id: Type.String(),
  notification_id: Type.String({ description: 'of the change: receivers drop repeats by it' }),
  rule_id: Type.String({ examples: ['TASK_HIGH_FAILURE_RATE'] }),
  type: Type.String({ description: 'what it is about, as families name it', examples: ['HIGH_FAILURE_RATE'] }),
  severity: Type.String(),
  state: Type.String({ description: 'pending, firing, acknowledged or resolved' }),
  previous_state: maybeText,
  series: Type.String(),
  source: maybeText,
  subject_kind: Type.String(),
  subject_id: Type.String(),
  workflow_id: maybeText,
  execution_id: maybeText,
  task_id: maybeText,
  orchestrator_id: maybeText,
  metric: maybeText,
  value: maybeNumber,
  threshold: maybeNumber,
  score: nullable(Type.Number({ description: 'how unusual it is, in robust standard deviations' })),
  baseline_id: maybeText,
  window_start: maybeInstant,
  window_end: maybeInstant,
  title: Type.String(),
  description: maybeText,
  recommendations: Type.Array(Type.String()),
  labels: Type.Record(Type.String(), Type.String()),
  changed_at: Instant,
  first_pending_at: maybeInstant,
  fired_at: maybeInstant,
  acknowledged_at: maybeInstant,
  acknowledged_by: maybeText,
  resolved_at: maybeInstant,
  silenced_by: nullable(Type.String({ description: 'silence that keeps it quiet' })),
  cause_alert_id: nullable(Type.String({ description: 'alert that explains this one' })),
});

const someOf = (names: readonly string[]) =>
  Type.Optional(Type.String({ maxLength: 500, description: `some of ${names.join(', ')}, with commas between` }));

export const AlertsQuery = Type.Object(
  {
    ...rangeParameters,
    state: someOf(alertStates),
    severity: someOf(alertSeverities),
    rule_id: someOf(alertRuleIds),
    workflow_id: Type.Optional(Id),
    task_id: Type.Optional(Id),
    orchestrator_id: Type.Optional(Id),
    subject_id: Type.Optional(Id),
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
  },
  closed,
);

export const AlertsAnswer = Type.Object({ items: Type.Array(AlertAnswer), next_cursor: maybeText });

export const AlertPath = Type.Object({ alert_id: Type.String({ minLength: 1, maxLength: 512 }) }, closed);

const Acknowledgement = Type.Object({
  at: Instant,
  by: Type.String(),
  comment: Type.String(),
  revision: Count,
});

const Remedy = Type.Object({
  action: Type.String({ examples: ['restart_task'] }),
  target: Type.String(),
  description: Type.String({ description: 'what would be done' }),
  parameters: Type.Record(Type.String(), Type.Unknown()),
  confidence: Type.Number({ minimum: 0, maximum: 1 }),
  approval_required: Type.Boolean(),
  is_command: Type.Boolean({ description: 'whether an orchestrator can be asked for it' }),
  command: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()], {
    description: 'what POST /api/v1/commands takes to have it done; null where a person must do it',
  }),
});

export const OneAlertAnswer = Type.Object({
  alert: AlertAnswer,
  acknowledgement: Type.Union([Acknowledgement, Type.Null()], {
    description: 'as a person has just made it; the alert itself says so after its next judgement',
  }),
  remedies: Type.Array(Remedy),
});

export const RemediesAnswer = Type.Object({ alert_id: Type.String(), remedies: Type.Array(Remedy) });

export const AlertHistoryAnswer = Type.Object({
  changes: Type.Array(AlertAnswer, { description: 'the first change first; the newest thousand' }),
  acknowledgements: Type.Array(
    Type.Object({
      action: Type.String({ description: 'acknowledged or taken_back' }),
      at: Instant,
      by: Type.String(),
      comment: maybeText,
    }),
  ),
});

const Comment = Type.String({ minLength: 1, maxLength: 2000, description: 'why, for those who come after' });

export const AcknowledgeBody = Type.Object(
  { comment: Comment },
  { ...closed, examples: [{ comment: 'the supplier is told, the columns come back tonight' }] },
);

const shownMatcher = Type.Object({
  rule_id: Type.Optional(Type.String()),
  severity: Type.Optional(Type.String()),
  workflow_id: Type.Optional(Type.String()),
  task_id: Type.Optional(Type.String()),
  orchestrator_id: Type.Optional(Type.String()),
  subject_id: Type.Optional(Type.String()),
});

const matcherMembers = {
  rule_id: Type.Optional(oneOf(alertRuleIds)),
  severity: Type.Optional(oneOf(alertSeverities)),
  workflow_id: Type.Optional(Id),
  task_id: Type.Optional(Id),
  orchestrator_id: Type.Optional(Id),
  subject_id: Type.Optional(Id),
};

const Matcher = Type.Object(matcherMembers, {
  ...closed,
  description: 'which alerts; everything that is given must match',
});

export const Silence = Type.Object({
  id: Type.String(),
  match: shownMatcher,
  starts_at: Instant,
  ends_at: Instant,
  state: Type.String({ description: 'pending, active or ended' }),
  comment: Type.String(),
  created_by: Type.String({ description: 'who made it, or changed it last' }),
  changed_at: Instant,
  revision: Count,
});

export const SilencesQuery = Type.Object({ state: someOf(['pending', 'active', 'ended']) }, closed);
export const SilencesAnswer = Type.Object({ items: Type.Array(Silence) });
export const SilencePath = Type.Object({ silence_id: Type.String({ minLength: 1, maxLength: 512 }) }, closed);

const InstantText = Type.String({ maxLength: 40, description: 'ISO 8601 with its offset' });

export const SilenceBody = Type.Object(
  {
    match: Matcher,
    starts_at: Type.Optional(InstantText),
    ends_at: Type.Optional(InstantText),
    duration_minutes: Type.Optional(Type.Integer({ minimum: 1, maximum: 129_600, description: 'instead of ends_at' })),
    comment: Comment,
  },
  {
    ...closed,
    examples: [
      { match: { workflow_id: 'orders_etl' }, duration_minutes: 120, comment: 'the warehouse is being moved' },
    ],
  },
);

const subscriptionMembers = {
  id: Type.String(),
  target: Type.String({ description: 'scheme, host and port; the rest of the address is as good as a password' }),
  events: Type.Array(Type.String()),
  match: shownMatcher,
  enabled: Type.Boolean(),
  description: maybeText,
  created_at: Instant,
  changed_by: Type.String(),
  revision: Count,
};

const Subscription = Type.Object(subscriptionMembers);
export const SubscriptionsAnswer = Type.Object({ items: Type.Array(Subscription) });
export const NewSubscription = Type.Object({
  ...subscriptionMembers,
  secret: Type.String({
    description: 'checks the signature of each request; shown this once',
    examples: ['whsec_MfKQ9r8G…'],
  }),
});
export const SubscriptionPath = Type.Object({ subscription_id: Type.String({ minLength: 1, maxLength: 512 }) }, closed);

export const SubscriptionBody = Type.Object(
  {
    url: Type.String({
      minLength: 1,
      maxLength: 2000,
      description: 'http or https; not of a private or loopback address',
    }),
    events: Type.Array(oneOf([...webhookEvents, 'alert.*']), {
      minItems: 1,
      maxItems: 10,
      default: ['alert.firing', 'alert.acknowledged', 'alert.resolved'],
    }),
    match: Type.Optional(Matcher),
    enabled: Type.Boolean({ default: true }),
    description: Type.Optional(Type.String({ maxLength: 500 })),
    secret: Type.Optional(
      Type.String({
        pattern: '^whsec_[A-Za-z0-9+/]{32,88}={0,2}$',
        description: 'whsec_ and 24 to 64 bytes in base64; made where it is left out',
      }),
    ),
  },
  {
    ...closed,
    examples: [{ url: 'https://hooks.example.com/weir', events: ['alert.*'], match: { severity: 'critical' } }],
  },
);

export const DeliveriesQuery = Type.Object(
  {
    ...rangeParameters,
    subscription_id: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    alert_id: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    status: Type.Optional(oneOf(['retrying', 'delivered', 'dead', 'dropped'])),
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 3000 })),
  },
  closed,
);

export const DeliveriesAnswer = Type.Object({
  items: Type.Array(
    Type.Object({
      subscription_id: Type.String(),
      notification_id: Type.String({ description: 'of the change that was told' }),
      delivery_id: Type.String({ description: 'webhook-id of the request, which may tell of several changes' }),
      event: Type.String(),
      alert_id: Type.String(),
      rule_id: Type.String(),
      severity: Type.String(),
      status: Type.String({ description: 'retrying, delivered, dead (given up) or dropped (not wanted any more)' }),
      attempts: Count,
      http_status: nullable(Type.Integer({ description: 'null: it did not answer' })),
      last_error: maybeText,
      changed_at: Instant,
      first_tried_at: Instant,
      last_tried_at: Instant,
    }),
  ),
  next_cursor: maybeText,
});

export const Removed = Type.Object({ id: Type.String(), revision: Count });

export const RulePath = Type.Object({ rule_id: Type.String({ minLength: 1, maxLength: 64 }) }, closed);

export const RuleScopeQuery = Type.Object(
  { workflow_id: Type.Optional(Id), orchestrator_id: Type.Optional(Id) },
  { ...closed, description: 'of whom; of the whole workspace where nothing is named' },
);

/** Members of a setting and their types. They are checked by hand, so that everything that is wrong is told at once. */
export const ruleSettingMembers = {
  enabled: 'boolean',
  severity: 'string',
  threshold: 'number',
  metric: 'string',
  unit: 'string',
  for_ms: 'number',
  runbook: 'string',
} as const;
export type RuleSettingMember = keyof typeof ruleSettingMembers;

export const RuleSettingBody = Type.Object(
  {
    enabled: Type.Optional(Type.Unknown({ description: 'false turns the rule off' })),
    severity: Type.Optional(Type.Unknown({ description: 'info, warning or critical' })),
    threshold: Type.Optional(Type.Unknown({ description: 'in the unit of the rule' })),
    metric: Type.Optional(
      Type.Unknown({ description: 'what the author takes the metric to be; refused where mistaken' }),
    ),
    unit: Type.Optional(Type.Unknown({ description: 'what the author takes the unit to be; refused where mistaken' })),
    for_ms: Type.Optional(Type.Unknown({ description: 'how long it has to last before the alert fires' })),
    runbook: Type.Optional(Type.Unknown({ description: 'where to read what to do' })),
    expected_revision: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'of the setting as it was seen, 0 for none: the change counts only if it still is that',
      }),
    ),
    reason: Type.Optional(Type.String({ maxLength: 2000, description: 'why; part of the audit trail' })),
  },
  {
    additionalProperties: true,
    examples: [{ threshold: 0.25, unit: 'ratio', severity: 'warning', reason: 'flaky supplier' }],
  },
);

const RuleValues = Type.Object({
  enabled: Type.Boolean(),
  threshold: Type.Number(),
  for_ms: Count,
  severity: Type.String(),
  runbook: Type.String(),
});

export const RuleAnswer = Type.Object({
  rule_id: Type.String(),
  type: Type.String({ description: 'its name in the family of its subject' }),
  subject_kind: Type.String(),
  condition: Type.String({ description: 'when it fires' }),
  metric: Type.String(),
  unit: Type.String({ description: 'of the threshold: ratio, times what is usual, ms, count or score' }),
  breaches: Type.String({ description: 'above or below the threshold' }),
  range: Type.Object({ least: Type.Number(), most: Type.Number() }, { description: 'what a threshold may be' }),
  message: Type.String(),
  remedy: Type.String(),
  defaults: RuleValues,
  effective: RuleValues,
  origins: Type.Record(Type.String(), Type.String(), {
    description: 'where each effective value comes from: default, workspace, orchestrator or workflow',
  }),
  settings: Type.Array(
    Type.Object({
      scope: Type.String({ description: 'workspace, workflow or orchestrator' }),
      subject_id: maybeText,
      value: Type.Record(Type.String(), Type.Unknown()),
      revision: Count,
      changed_by: Type.String(),
      changed_at: Instant,
    }),
    { description: 'everything that the workspace has changed of the rule' },
  ),
});

export const RulesAnswer = Type.Object({ items: Type.Array(RuleAnswer) });

export const backTestBounds = { mostDays: 31, mostIncidents: 1000 } as const;

export const BackTestQuery = Type.Object({ ...rangeParameters }, closed);

const LabelledIncident = Type.Object(
  {
    from: InstantText,
    to: InstantText,
    workflow_id: Type.Optional(Id),
    task_id: Type.Optional(Id),
    subject_id: Type.Optional(Id),
  },
  { ...closed, description: 'something that is known to have happened; what is left out may be anything' },
);

export const BackTestBody = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean()),
    severity: Type.Optional(oneOf(alertSeverities)),
    threshold: Type.Optional(Type.Number({ description: 'in the unit of the rule' })),
    metric: Type.Optional(Type.String({ maxLength: 200, description: 'refused where mistaken' })),
    unit: Type.Optional(Type.String({ maxLength: 200, description: 'refused where mistaken' })),
    for_ms: Type.Optional(Type.Number({ description: 'how long it has to last before the alert fires' })),
    incidents: Type.Optional(Type.Array(LabelledIncident, { maxItems: backTestBounds.mostIncidents })),
  },
  {
    ...closed,
    examples: [
      {
        threshold: 0.3,
        incidents: [{ from: '2026-11-27T09:00:00Z', to: '2026-11-27T10:00:00Z', workflow_id: 'orders_etl' }],
      },
    ],
  },
);

export const BackTestAnswer = Type.Object({
  rule_id: Type.String(),
  windows: Count,
  told_from: Instant,
  alerts: Type.Array(
    Type.Object({
      alert_id: Type.String({ description: 'that of the live alert, where the rule was as the draft has it' }),
      title: Type.String(),
      subject_id: Type.String(),
      workflow_id: maybeText,
      task_id: maybeText,
      fired_at: Instant,
      resolved_at: maybeInstant,
      value: maybeNumber,
      threshold: maybeNumber,
      is_right: Type.Union([Type.Boolean(), Type.Null()], {
        description: 'whether it tells of one of the incidents; null without any',
      }),
    }),
  ),
  pages_per_week: Type.Number({ minimum: 0 }),
  precision: maybeNumber,
  recall: maybeNumber,
  suggested_threshold: maybeNumber,
});
