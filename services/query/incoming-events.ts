import { createDecoder, type Decoder, type TopicKind } from '../../pipelines/decode.ts';
import { type RejectionMeaning, rejections } from '../../pipelines/rejections.ts';
import type { TelemetryEvent } from '../../schemas/events.ts';
import { ApiError } from './errors.ts';
import type { OutgoingEvent } from './publisher.ts';

export interface IncomingEvent {
  kind: TopicKind;
  /** Where it stood in the body, for its sender. */
  place: string;
  value: Record<string, unknown>;
}

interface RefusedEvent {
  event: string;
  reason: string;
  detail: string;
  remedy: string;
}

type Checked = { outgoing: OutgoingEvent } | { refused: RefusedEvent };

/** Refusals that are listed in one answer; the rest are counted. */
const mostListed = 20;

/**
 * Judges events by the very code that will judge them when they are read back from Kafka, so what is accepted here is
 * stored there, and what would become a dead letter is refused while its sender still listens.
 */
export class EventGate {
  readonly #topics: Record<TopicKind, string>;
  readonly #decoders: Record<TopicKind, Decoder>;

  constructor(topics: Record<TopicKind, string>, maxValueBytes: number) {
    this.#topics = topics;
    const decoderOf = (kind: TopicKind) => createDecoder({ kind, registry: null, maxValueBytes });
    this.#decoders = {
      executions: decoderOf('executions'),
      tasks: decoderOf('tasks'),
      orchestrators: decoderOf('orchestrators'),
    };
  }

  /** All events of a request, or none: a request that was taken in part could not be repeated as it is. */
  check(events: readonly IncomingEvent[], workspace: string, nowMs: number): OutgoingEvent[] {
    const checked = events.map((event) => this.#checkOne(event, workspace, nowMs));
    const refused = checked.flatMap((one) => ('refused' in one ? [one.refused] : []));
    if (refused.length > 0) {
      const [{ event, reason, detail }] = refused;
      const message = `${refused.length} of ${events.length} events cannot be taken; ${event}: ${reason}, ${detail}.`;
      throw new ApiError('event_refused', message, { refused: refused.length, events: refused.slice(0, mostListed) });
    }
    return checked.flatMap((one) => ('outgoing' in one ? [one.outgoing] : []));
  }

  #checkOne({ kind, place, value }: IncomingEvent, workspace: string, nowMs: number): Checked {
    const topic = this.#topics[kind];
    const isForeign = typeof value.workspace === 'string' && value.workspace !== '' && value.workspace !== workspace;
    const bytes = Buffer.from(JSON.stringify({ ...value, workspace: isForeign ? value.workspace : workspace }));
    const record = { topic, partition: 0, offset: 0, timestampMs: nowMs, key: null, value: bytes, headers: undefined };
    const event = this.#decoders[kind].decode(record);
    if (!('kind' in event)) {
      const { remedy } = rejections[event.reason] as RejectionMeaning;
      return { refused: { event: place, reason: event.reason, detail: event.detail, remedy } };
    }
    if (event.workspace !== workspace) {
      const remedy = 'Leave the workspace out, or name the same one in X-Workspace-Id.';
      return { refused: { event: place, reason: 'other_workspace', detail: 'it names another workspace', remedy } };
    }
    return { outgoing: { topic, key: keyOf(event), value: bytes } };
  }
}

const keyOf = (event: TelemetryEvent): string =>
  event.kind === 'execution' || event.kind === 'task' ? event.executionId : event.orchestratorId;
