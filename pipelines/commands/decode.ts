import { checkCommandRecord } from '../../schemas/commands.ts';
import { fingerprintBytes } from '../../schemas/fingerprint.ts';
import type { CommandRecord } from '../../schemas/records.ts';
import { commandType, isSingleObject } from '../../schemas/wire.ts';
import { type LogRecord, reasonOfNoise } from '../decode.ts';
import { makeExcerpt } from '../redact.ts';
import { Rejection } from '../rejections.ts';

const ownFingerprint = fingerprintBytes(commandType);

/** From one record of the topic of commands to a request or an outcome, or to the reason why it is none. Never throws on bad data. */
export function decodeCommandRecord(record: LogRecord, maxValueBytes: number): CommandRecord | Rejection {
  const { value } = record;
  if (value === null || value.length === 0) return new Rejection('empty_value', 'no bytes', '');
  const reject = (reason: Rejection['reason'], detail: string) => new Rejection(reason, detail, makeExcerpt(value));
  if (value.length > maxValueBytes) return reject('too_large', `${value.length} bytes, at most ${maxValueBytes}`);
  if (!isSingleObject(value)) return reject('wrong_magic', `the value begins with ${value.toString('hex', 0, 4)}`);
  if (ownFingerprint.compare(value, 2, 10) !== 0) {
    return reject('unknown_fingerprint', `fingerprint ${value.readBigUInt64LE(2).toString(16).padStart(16, '0')}`);
  }
  try {
    const { value: decoded, offset } = commandType.decode(value, 10);
    if (offset < 0) return reject('truncated', 'the Avro value ends too early');
    if (offset < value.length) return reject('trailing_bytes', `${value.length - offset} bytes are left over`);
    const problem = checkCommandRecord(decoded as CommandRecord);
    return problem === null ? (decoded as CommandRecord) : reject(problem.reason, problem.wrong);
  } catch (error) {
    return reject(reasonOfNoise(error), (error as Error).message);
  }
}
