import { randomUUID } from 'node:crypto';
import type { Static } from 'typebox';
import { type AlertMatcher, type AlertSilence, alertCollections } from '../../../schemas/alerts.ts';
import { Silence, SilenceBody, SilencePath, SilencesAnswer, SilencesQuery } from '../../../schemas/api/alerts.ts';
import { answers } from '../../../schemas/api/parts.ts';
import { toInstant } from '../answer-values.ts';
import { ApiError } from '../errors.ts';
import type { App, Family, Services } from '../families.ts';
import { listSetUp, readSetUp, type SetUp } from '../state-desk.ts';
import { readNames } from './alerts.ts';

const collection = alertCollections.silences;
const config = { role: 'operator' } as const;
const minuteMs = 60_000;
const longestMs = 90 * 86_400_000;
const states = ['pending', 'active', 'ended'] as const;

/** Times in which nobody is told of some alerts; they go on changing meanwhile. */
export const alertSilences: Family = {
  prefix: '/api/v1',
  tag: 'alerts',
  register(app: App, { nowMs, state: desk }: Services): void {
    app.get(
      '/alerts/silences',
      {
        schema: {
          summary: 'Silences, those that end last first',
          querystring: SilencesQuery,
          response: answers(SilencesAnswer),
        },
      },
      async ({ query, reader }) => {
        const wanted = readNames('state', query.state, states);
        const known = await listSetUp<AlertSilence>(reader, collection);
        const items = known.map((entry) => describeSilence(entry, nowMs()));
        const shown = items.filter(({ state }) => wanted.length === 0 || wanted.includes(state));
        return { items: shown.toSorted((one, other) => (one.ends_at < other.ends_at ? 1 : -1)) };
      },
    );
    app.post(
      '/alerts/silences',
      {
        config,
        schema: {
          summary: 'Silence some alerts for a time',
          description: 'Answered when it can be read back; alerts follow with their next judgement.',
          body: SilenceBody,
          response: answers(Silence),
        },
      },
      async ({ body, reader, caller, id: requestId }) => {
        const value = readSilence(body, nowMs());
        const key = randomUUID();
        const { revision } = await desk.put({ reader, caller, requestId }, { collection, key }, value, {
          reason: value.comment,
        });
        return describeSilence({ key, value, revision, changedBy: caller.name, changedAtMs: nowMs() }, nowMs());
      },
    );
    app.delete(
      '/alerts/silences/:silence_id',
      {
        config,
        schema: { summary: 'End a silence now', params: SilencePath, response: answers(Silence) },
      },
      async ({ params, reader, caller, id: requestId }) => {
        const key = params.silence_id;
        const known = await readSetUp<AlertSilence>(reader, { collection, key });
        if (known === null) throw new ApiError('not_found', 'There is no such silence in the workspace.');
        const now = nowMs();
        // Kept, so that it can be seen later why nobody was told.
        const { starts_at: startsAtMs, ends_at: endsAtMs } = known.value;
        const value = { ...known.value, starts_at: Math.min(startsAtMs, now), ends_at: Math.min(endsAtMs, now) };
        const change = { reason: 'ended', expectedRevision: known.revision };
        const { revision } = await desk.put({ reader, caller, requestId }, { collection, key }, value, change);
        return describeSilence({ key, value, revision, changedBy: caller.name, changedAtMs: now }, now);
      },
    );
  },
};

function readSilence(body: Static<typeof SilenceBody>, nowMs: number): AlertSilence {
  const { match, starts_at, ends_at, duration_minutes: minutes, comment } = body;
  const problems: string[] = [];
  const startsAtMs = starts_at === undefined ? nowMs : readInstant('starts_at', starts_at, problems);
  const lastsUntilMs = minutes === undefined ? Number.NaN : startsAtMs + minutes * minuteMs;
  const endsAtMs = ends_at === undefined ? lastsUntilMs : readInstant('ends_at', ends_at, problems);
  if (Object.keys(match).length === 0) problems.push('match names nothing, and would silence every alert');
  if ((ends_at === undefined) === (minutes === undefined)) problems.push('give either ends_at or duration_minutes');
  if (endsAtMs <= Math.max(startsAtMs, nowMs)) problems.push('ends_at must lie ahead, and after starts_at');
  if (endsAtMs - startsAtMs > longestMs) problems.push('a silence may last 90 days at most');
  if (problems.length > 0) throw new ApiError('invalid_request', `body ${problems.join('; ')}.`, { problems });
  return { match: match as AlertMatcher, starts_at: startsAtMs, ends_at: endsAtMs, comment };
}

function readInstant(name: string, text: string, problems: string[]): number {
  const isInstant = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)$/.test(text);
  const ms = isInstant ? Date.parse(text) : Number.NaN;
  if (!(ms >= Date.UTC(2015, 0) && ms < Date.UTC(2100, 0)))
    problems.push(`${name} must be an ISO 8601 instant with its offset`);
  return ms;
}

function describeSilence({ key, value, revision, changedBy, changedAtMs }: SetUp<AlertSilence>, nowMs: number) {
  const { match, starts_at: startsAtMs, ends_at: endsAtMs, comment } = value;
  return {
    id: key,
    match,
    starts_at: toInstant(startsAtMs),
    ends_at: toInstant(endsAtMs),
    state: endsAtMs <= nowMs ? 'ended' : startsAtMs > nowMs ? 'pending' : 'active',
    comment,
    created_by: changedBy,
    changed_at: toInstant(changedAtMs),
    revision,
  };
}
