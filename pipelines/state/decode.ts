import { fingerprintBytes } from '../../schemas/fingerprint.ts';
import type { StateRecord } from '../../schemas/records.ts';
import { checkStateRecord } from '../../schemas/state.ts';
import { isSingleObject, stateRecordType } from '../../schemas/wire.ts';
import { type LogRecord, reasonOfNoise } from '../decode.ts';
import { makeExcerpt } from '../redact.ts';
import { Rejection } from '../rejections.ts';

const ownFingerprint = fingerprintBytes(stateRecordType);

/**
 * From one record of the state topic to a change, or to the reason why it is none. Only our own publishers write here, so
 * the value is Avro with the fingerprint of our schema. Never throws on bad data.
 */
export function decodeState(record: LogRecord, maxValueBytes: number): StateRecord | Rejection {
  const { value } = record;
  if (value === null) return new Rejection('anonymous_deletion', 'null value', '');
  if (value.length === 0) return new Rejection('empty_value', 'no bytes', '');
  const reject = (reason: Rejection['reason'], detail: string) => new Rejection(reason, detail, makeExcerpt(value));
  if (value.length > maxValueBytes) return reject('too_large', `${value.length} bytes, at most ${maxValueBytes}`);
  if (!isSingleObject(value)) return reject('wrong_magic', `the value begins with ${value.toString('hex', 0, 4)}`);
  if (ownFingerprint.compare(value, 2, 10) !== 0) {
    return reject('unknown_fingerprint', `fingerprint ${value.readBigUInt64LE(2).toString(16).padStart(16, '0')}`);
  }
  try {
    const { value: decoded, offset } = stateRecordType.decode(value, 10);
    if (offset < 0) return reject('truncated', 'the Avro value ends too early');
    if (offset < value.length) return reject('trailing_bytes', `${value.length - offset} bytes are left over`);
    const problem = checkStateRecord(decoded as StateRecord);
    return problem === null ? (decoded as StateRecord) : reject(problem.reason, problem.wrong);
  } catch (error) {
    return reject(reasonOfNoise(error), (error as Error).message);
  }
}
