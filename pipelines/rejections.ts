/**
 * Every reason for which a record is not stored: one table, so that the dead-letter page, the metrics and
 * the documentation say the same. A *drop* is counted and gone; a *dead letter* is kept with its bytes and
 * can be replayed when its cause is mended.
 */

export interface RejectionMeaning {
  outcome: 'drop' | 'dead';
  /** What is wrong, in a sentence that a person understands. */
  meaning: string;
  /** What to do about it. */
  remedy: string;
}

const dead = (meaning: string, remedy: string): RejectionMeaning => ({ outcome: 'dead', meaning, remedy });
const drop = (meaning: string, remedy: string): RejectionMeaning => ({ outcome: 'drop', meaning, remedy });

const mendProducer = 'Mend the producer, then send the record again; telemetry that was lost cannot be guessed.';
const mendUnits = 'Check the unit in the schema (milliseconds, bytes, ratios from 0 to 1) and mend the producer.';

export const rejections = {
  tombstone: drop(
    'The record has no value: it marks a key as deleted.',
    'Nothing; telemetry is not deleted by key. If it is unexpected, look at who writes null values to the topic.',
  ),
  duplicate: drop(
    'The same event was already accepted from an earlier offset of the partition.',
    'Nothing; producers may send twice. A steady share of duplicates means that a producer retries too soon.',
  ),
  anonymous_deletion: dead(
    'A record of the state topic has no value: it would remove an entry without saying who did so.',
    'Send a state record that is marked as deleted, with its author.',
  ),
  empty_value: dead('The value has no bytes.', 'Send a value in one of the three encodings, or a tombstone if meant.'),
  too_large: dead(
    'The value is larger than the largest that is decoded.',
    'Send summaries of large inputs and outputs, or raise the setting for the largest value.',
  ),
  wrong_magic: dead(
    'The first bytes are those of none of the encodings: 00 (schema registry), C3 01 (Avro single object) or { (JSON).',
    'Look at the serializer of the producer; a plain Avro or protobuf value needs one of the frames.',
  ),
  registry_missing: dead(
    'The value names a schema of a registry, but no registry is configured.',
    'Set the address of the schema registry, then replay the dead letters.',
  ),
  unknown_schema: dead(
    'The schema registry does not know the schema id of the value.',
    'Check that producer and pipeline use the same registry, register the schema, then replay.',
  ),
  unknown_fingerprint: dead(
    'The value was written with a schema whose fingerprint is not known here.',
    'Upgrade the pipeline to a version that holds the schema, or use a schema registry; then replay.',
  ),
  unreadable_schema: dead(
    'The schema the value was written with cannot be resolved to ours: a name, a type or a required field differs.',
    'Compare both schemas; the record name must match, and required fields need the same types. Then replay.',
  ),
  truncated: dead('The Avro value ends too early, or announces more than it holds.', mendProducer),
  trailing_bytes: dead(
    'Bytes are left over after the Avro value.',
    'The value was probably written with another schema than it names; mend the producer.',
  ),
  malformed_avro: dead('The bytes are no value of the Avro schema that they name.', mendProducer),
  invalid_utf8: dead('A text is not valid UTF-8.', 'Encode text as UTF-8 in the producer.'),
  invalid_json: dead('The value begins like JSON but cannot be parsed.', mendProducer),
  not_an_object: dead(
    'The JSON value is not an object.',
    'Send one object for each record, not a list or a bare value.',
  ),
  unknown_kind: dead(
    'The report about an orchestrator is of no known kind.',
    'Set kind to one of the eight kinds of the contract, such as worker_pool or queue_metrics.',
  ),
  wrong_type: dead('A field holds a value of another type than the contract gives it.', mendProducer),
  missing_id: dead('An id that the record needs is absent or empty.', mendProducer),
  id_too_long: dead('An id is longer than 512 bytes.', 'Use a shorter id, for example a hash of the long one.'),
  id_malformed: dead(
    'An id holds control characters, or is a number too large to be exact.',
    'Send ids as text without control characters.',
  ),
  secret_in_id: dead(
    'An id holds what looks like a credential, so it can neither be stored nor be changed without mixing things up.',
    'Take passwords, tokens and keys out of ids.',
  ),
  missing_state: dead('The record says no state.', mendProducer),
  unknown_state: dead('The state is none of the contract.', 'Map the states of the source to those of the contract.'),
  attempt_out_of_range: dead('The attempt is not a whole number from 1 to 1 000 000.', 'Count attempts from 1.'),
  not_finite: dead('A number is NaN or infinite.', 'Leave a field out when its value is not known.'),
  negative: dead('A duration or quantity is below zero.', mendProducer),
  out_of_range: dead('A number is beyond what the field can mean.', mendUnits),
  missing_time: dead('The record has no event time.', 'Send event_time, the instant of the transition.'),
  malformed_time: dead('A time cannot be read.', 'Send ISO 8601 text or epoch milliseconds.'),
  too_old: dead('The event time lies before 2015, so its clock or its unit is wrong.', mendUnits),
  future: dead(
    'A time lies further ahead of the record time than clocks may differ.',
    'Set the clock of the producer, or check the unit of the time.',
  ),
  too_late: dead(
    'The event is older than the record by more than late telemetry may be.',
    'Load history with the record timestamp set to the event time.',
  ),
  time_out_of_range: dead('A time other than the event time is no plausible instant.', mendUnits),
  finish_before_start: dead('An end says that it started after it ended.', 'Set the clocks, or send the right start.'),
} as const satisfies Record<string, RejectionMeaning>;

export type RejectReason = keyof typeof rejections;

/** The outcome of a record that is not stored; a value, never thrown. */
export class Rejection {
  readonly reason: RejectReason;
  /** What exactly was found; holds no value that could be a secret. */
  readonly detail: string;
  /** Begin of the record, printable and redacted, at most 500 characters. */
  readonly excerpt: string;
  /** Whose record it is, where it could be read far enough to tell; '' where not. */
  readonly workspace: string;

  constructor(reason: RejectReason, detail: string, excerpt: string, workspace = '') {
    this.reason = reason;
    this.detail = detail;
    this.excerpt = excerpt;
    this.workspace = workspace;
  }

  get outcome(): 'drop' | 'dead' {
    // A dead letter read back may carry a reason that only an older release knew.
    return (rejections[this.reason] as RejectionMeaning | undefined)?.outcome ?? 'dead';
  }
}

/** Thrown inside decoding only, and caught there: the short way out of field by field reading. */
export class Refusal extends Error {
  readonly reason: RejectReason;
  constructor(reason: RejectReason, detail: string) {
    super(detail);
    this.reason = reason;
  }
}
