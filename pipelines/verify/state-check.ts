import type { Database } from '../../clickhouse/client.ts';
import { stateRevision } from '../../schemas/state.ts';
import type { LogRecord } from '../decode.ts';
import type { Admin, Kafka, KafkaMessage } from '../kafka.ts';
import { Rejection, type RejectReason } from '../rejections.ts';
import { decodeState } from '../state/decode.ts';
import { ExpectedState, entryNameOf, type StateChange } from './expected-state.ts';
import { type LogRange, readLog, readLogRanges } from './read-log.ts';
import { DifferenceList } from './report.ts';

export interface StateCheck {
  kafka: Kafka;
  admin: Admin;
  database: Database;
  topic: string;
  epoch: number;
  maxValueBytes: number;
  /** Dead letters of older records may have expired. */
  deadLetterRetentionDays: number;
  /** How long to wait until everything that the log held at the beginning is stored. */
  waitMs: number;
}

/** What a release or a setting decides besides the record: such dead letters stand, even if the record can be read by now. */
const reasonsOutside: ReadonlySet<string> = new Set<RejectReason>(['unknown_fingerprint', 'too_large']);
const pollMs = 250;

/** What the log says of an offset: a change, or why it is none. */
type Expected = { change: StateChange } | { refusal: string; recordTimeMs: number };

/**
 * Replays the topic of what people set up, and compares every change with the audit trail, every record that is none with
 * its dead letter, and what entries come to with what they are now.
 */
export async function verifyState(check: StateCheck): Promise<DifferenceList[]> {
  const changes = new DifferenceList(`${check.topic} changes`);
  const entries = new DifferenceList(`${check.topic} entries`);
  const [range, ...others] = await readLogRanges(check.admin, check.topic);
  if (range === undefined) return [changes, entries];
  // Changes need one order; pipelines refuse to read such a topic at all.
  if (others.length > 0) changes.differ('partitions', 1, others.length + 1);
  const all = await readRecords(check, range);
  range.end = await awaitStored(check, all, range.end, changes);
  const records = all.filter(({ offset }) => offset < range.end);
  const state = new ExpectedState();
  const seeded = await readEarlier(check, range.first, state);
  if (seeded > 0) changes.note(`${seeded} changes that the log no longer holds are taken as they are stored`);
  const expected = expectAll(check, records, await readLetters(check), state);
  await compareChanges(check, range, expected, changes);
  await compareEntries(check, range, state, entries);
  return [changes, entries];
}

async function readRecords({ kafka, topic }: StateCheck, range: LogRange): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  await readLog(kafka, topic, range, async (messages: KafkaMessage[]) => {
    for (const { offset, timestamp, key, value, headers } of messages) {
      const place = { topic, partition: range.partition, offset: Number(offset) };
      records.push({ ...place, timestampMs: Number(timestamp), key, value, headers });
    }
  });
  return records;
}

const streamOf = ({ topic, epoch }: StateCheck): string => `${topic}@${epoch}`;

/**
 * Gives the end of what is to be compared: all of the log, or, for who did not want to wait, what is stored of it. Reading goes
 * on behind the newest change, so where the last record is none its dead letter has to tell.
 */
async function awaitStored(
  check: StateCheck,
  records: readonly LogRecord[],
  end: number,
  list: DifferenceList,
): Promise<number> {
  const last = records.at(-1);
  if (last === undefined) return end;
  const givenUpMs = performance.now() + check.waitMs;
  for (;;) {
    const [stored] = await check.database.rows<{ last: number }>(
      `SELECT greatest((SELECT if(count() = 0, -1, max(toInt64(offset))) FROM state_changes WHERE stream = {stream: String}),
         (SELECT if(count() = 0, -1, max(toInt64(offset))) FROM dead_letters WHERE stream = {stream: String})) AS last`,
      { stream: streamOf(check) },
    );
    const known = stored?.last ?? -1;
    if (known >= last.offset) return end;
    if (performance.now() >= givenUpMs) {
      list.note(`the log goes on to offset ${last.offset}, and is stored up to offset ${known}`);
      return check.waitMs > 0 ? end : known + 1;
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

const changeColumns = `workspace, collection, key, ver, deleted, value, value_version, changed_by,
  toUnixTimestamp64Milli(changed_at) AS changed_at_ms`;
const outcomeColumns = 'outcome, previous_ver, expected_ver, reason, request_id';

/** What counted before the log begins, in this one and in those before it that were made again. */
async function readEarlier({ database, epoch }: StateCheck, first: number, state: ExpectedState): Promise<number> {
  const earlier = await database.rows<StateChange>(
    `SELECT ${changeColumns}, ${outcomeColumns} FROM state_changes FINAL
     WHERE ver < {first: UInt64} AND outcome = 'applied' ORDER BY ver`,
    { first: stateRevision(epoch, first) },
  );
  for (const change of earlier) state.remember(change);
  return earlier.length;
}

async function readLetters(check: StateCheck): Promise<Map<number, string>> {
  const rows = await check.database.rows<{ offset: number; reason: string }>(
    'SELECT offset, reason FROM dead_letters FINAL WHERE stream = {stream: String}',
    { stream: streamOf(check) },
  );
  return new Map(rows.map(({ offset, reason }) => [offset, reason]));
}

/** Compares dead letters on the way: whether a record is one decides what those behind it mean. */
function expectAll(
  { epoch, maxValueBytes }: StateCheck,
  records: readonly LogRecord[],
  letters: ReadonlyMap<number, string>,
  state: ExpectedState,
): Map<number, Expected & { letter: string | undefined }> {
  const expected = new Map<number, Expected & { letter: string | undefined }>();
  for (const record of records) {
    const { offset, timestampMs: recordTimeMs } = record;
    const letter = letters.get(offset);
    const decoded = decodeState(record, maxValueBytes);
    const standing = letter !== undefined && reasonsOutside.has(letter) ? letter : undefined;
    const refusal = standing ?? (decoded instanceof Rejection ? decoded.reason : undefined);
    if (refusal !== undefined) expected.set(offset, { refusal, recordTimeMs, letter });
    else if (!(decoded instanceof Rejection)) {
      expected.set(offset, { change: state.add(decoded, stateRevision(epoch, offset)), letter });
    }
  }
  return expected;
}

async function compareChanges(
  check: StateCheck,
  { first, end }: LogRange,
  expected: ReadonlyMap<number, Expected & { letter: string | undefined }>,
  list: DifferenceList,
): Promise<void> {
  const rows = await check.database.rows<StateChange & { offset: number }>(
    `SELECT offset, ${changeColumns}, ${outcomeColumns} FROM state_changes FINAL
     WHERE stream = {stream: String} AND offset >= {first: UInt64} AND offset < {end: UInt64}`,
    { stream: streamOf(check), first, end },
  );
  const stored = new Map(rows.map(({ offset, ...row }) => [offset, row]));
  const keptSinceMs = Date.now() - (check.deadLetterRetentionDays - 1) * 86_400_000;
  list.rows += expected.size;
  for (const [offset, what] of expected) {
    const found = stored.get(offset);
    stored.delete(offset);
    const where = `offset ${offset}`;
    if ('change' in what) {
      if (found === undefined) list.differ(where, 'a change', 'none');
      else compareFields(`${where} ${entryNameOf(what.change)}`, what.change, found, list);
      if (what.letter !== undefined) list.differ(`${where} dead letter`, 'none', what.letter);
      continue;
    }
    if (found !== undefined) list.differ(where, `none (${what.refusal})`, 'a change');
    const mayBeGone = what.recordTimeMs < keptSinceMs && what.letter === undefined;
    if (what.letter !== what.refusal && !mayBeGone) {
      list.differ(`${where} dead letter`, what.refusal, what.letter ?? 'none');
    }
  }
  for (const offset of stored.keys()) list.differ(`offset ${offset}`, 'no change', 'one');
}

async function compareEntries(
  { database, epoch }: StateCheck,
  { end }: LogRange,
  state: ExpectedState,
  list: DifferenceList,
): Promise<void> {
  const rows = await database.rows<StateChange>(`SELECT ${changeColumns} FROM state FINAL`);
  const stored = new Map(rows.map((row) => [entryNameOf(row), row]));
  // Whatever has changed since the log was read says nothing about what was read.
  const isNewer = (row: StateChange) => row.ver >= stateRevision(epoch, end);
  for (const entry of state.entries()) {
    const name = entryNameOf(entry);
    const row = stored.get(name);
    stored.delete(name);
    list.rows++;
    if (row === undefined) list.differ(name, 'an entry', 'none');
    else if (!isNewer(row)) compareFields(name, entry, row, list);
  }
  for (const [name, row] of stored) if (!isNewer(row)) list.differ(name, 'no entry', `revision ${row.ver}`);
}

/** Fields that the row has; an entry has fewer than a change. */
function compareFields(where: string, expected: StateChange, found: Partial<StateChange>, list: DifferenceList): void {
  for (const field of Object.keys(found) as (keyof StateChange)[]) {
    const [left, right] = [JSON.stringify(expected[field]), JSON.stringify(found[field])];
    if (left !== right) list.differ(`${where} ${field}`, left, right);
  }
}
