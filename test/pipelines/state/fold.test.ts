import { describe, expect, it } from 'vitest';
import { Rejection } from '../../../pipelines/rejections.ts';
import { decodeState } from '../../../pipelines/state/decode.ts';
import { foldState, type PlacedChange } from '../../../pipelines/state/fold.ts';
import type { StateRecord } from '../../../schemas/records.ts';
import { checkStateRecord, offsetOfRevision, stateLimits, stateRevision } from '../../../schemas/state.ts';
import { encodeStateRecord } from '../../../schemas/wire.ts';

const source = { stream: 'weir.state@2', partition: 0, epoch: 2 };
const at = (offset: number) => stateRevision(2, offset);

const sample: StateRecord = {
  workspace: 'acme',
  collection: 'silences',
  key: 's1',
  value: '{"rule":"slow"}',
  changed_by: 'ann@example.org',
  changed_at: Date.UTC(2026, 5, 1),
};

const place = (records: Partial<StateRecord>[], from = 10): PlacedChange[] =>
  records.map((fields, index) => ({
    record: { ...sample, ...fields },
    offset: from + index,
    recordTimeMs: sample.changed_at,
    recordHash: [0, 0],
  }));

const outcomes = (records: Partial<StateRecord>[], heads: Parameters<typeof foldState>[1] = []) =>
  foldState(place(records), heads, source).map(({ outcome, previousVer }) => [outcome, previousVer]);

describe('a change of an entry', () => {
  it('counts when its author had seen the newest revision, or does not care', () => {
    expect(outcomes([{ revision: 0 }, { revision: at(10) }, { revision: at(10) }, {}, { revision: at(13) }])).toEqual([
      ['applied', 0],
      ['applied', at(10)],
      ['conflict', at(11)],
      ['applied', at(11)],
      ['applied', at(13)],
    ]);
  });

  it('stands on what was stored before it', () => {
    const head = { workspace: 'acme', collection: 'silences', key: 's1', ver: at(3), isDeleted: false, requests: [] };
    expect(outcomes([{ revision: 0 }, { revision: at(3) }], [head])).toEqual([
      ['conflict', at(3)],
      ['applied', at(3)],
    ]);
  });

  it('may create again what was removed', () => {
    const removal = { value: null, deleted: true };
    expect(outcomes([{}, removal, { revision: 0 }, removal, { revision: at(10) }])).toEqual([
      ['applied', 0],
      ['applied', at(10)],
      ['applied', at(11)],
      ['applied', at(12)],
      ['conflict', at(13)],
    ]);
  });

  it('counts once for each request, and other entries are other entries', () => {
    const request = { request_id: 'r1' };
    expect(outcomes([request, {}, request, { ...request, key: 's2' }, { ...request, workspace: 'other' }])).toEqual([
      ['applied', 0],
      ['applied', at(10)],
      ['repeated', at(11)],
      ['applied', 0],
      ['applied', 0],
    ]);
    // A request that was refused may be sent again when it has become right.
    expect(
      outcomes([
        { ...request, revision: 9 },
        { ...request, revision: 0 },
      ]),
    ).toEqual([
      ['conflict', 0],
      ['applied', 0],
    ]);
  });

  it('is the same however the log is cut', () => {
    const records = [
      {},
      { request_id: 'a' },
      { value: null },
      { revision: 0 },
      { request_id: 'a' },
      { revision: at(10) },
    ];
    const whole = foldState(place(records), [], source);
    for (let cut = 1; cut < records.length; cut++) {
      const first = whole.slice(0, cut);
      const applied = first.filter(({ outcome }) => outcome === 'applied');
      const last = applied.at(-1);
      const { workspace, collection, key } = whole[0] as (typeof whole)[number];
      const requests = applied.map(({ requestId }) => requestId).filter((id) => id !== '');
      const head = { workspace, collection, key, ver: last?.ver ?? 0, isDeleted: last?.deleted ?? true, requests };
      expect(foldState(place(records).slice(cut), [head], source)).toEqual(whole.slice(cut));
    }
  });
});

describe('a revision', () => {
  it('grows over logs that were made again, and is exact up to the last of them', () => {
    expect(stateRevision(2, 0)).toBeGreaterThan(stateRevision(1, 2 ** 48 - 1));
    expect(Number.isSafeInteger(stateRevision(31, 2 ** 48 - 1))).toBe(true);
    expect(offsetOfRevision(stateRevision(31, 12_345))).toBe(12_345);
  });
});

describe('a record that is no change', () => {
  const long = 'x'.repeat(stateLimits.idBytes + 1);
  it.each([
    ['missing_id', { workspace: '' }],
    ['missing_id', { collection: '' }],
    ['missing_id', { key: '' }],
    ['missing_id', { changed_by: '' }],
    ['id_malformed', { collection: 'Silences!' }],
    ['id_malformed', { key: 'a\u0000b' }],
    ['id_too_long', { key: long }],
    ['id_too_long', { request_id: long }],
    ['too_large', { value: JSON.stringify('x'.repeat(1_000_000)) }],
    ['too_large', { reason: 'x'.repeat(5_000) }],
    ['invalid_json', { value: '{"half":' }],
    ['out_of_range', { value_version: 0 }],
    ['out_of_range', { revision: -1 }],
    ['time_out_of_range', { changed_at: 1_790_000_000 }],
  ] as const)('is refused as %s: %o', (reason, fields) => {
    const record = { ...sample, ...fields };
    expect(checkStateRecord(record)).toMatchObject({ reason });
    const { value_version = 1 } = record as StateRecord;
    const logged = { topic: 't', partition: 0, offset: 0, timestampMs: 0, key: null, headers: undefined };
    const decoded = decodeState({ ...logged, value: encodeStateRecord({ ...record, value_version }) }, 5_000_000);
    expect(decoded).toBeInstanceOf(Rejection);
    expect(decoded).toMatchObject({ reason });
  });

  const good = encodeStateRecord(sample);
  it.each([
    ['anonymous_deletion', null],
    ['empty_value', Buffer.alloc(0)],
    ['wrong_magic', Buffer.from('{"workspace":"acme"}')],
    ['truncated', good.subarray(0, good.length - 3)],
    ['trailing_bytes', Buffer.concat([good, Buffer.from('x')])],
    ['unknown_fingerprint', Buffer.concat([Buffer.from([0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8]), good.subarray(10)])],
    ['too_large', Buffer.concat([good, Buffer.alloc(2_000)])],
  ] as const)('is refused as %s', (reason, value) => {
    const record = { topic: 't', partition: 0, offset: 0, timestampMs: 0, key: null, value, headers: undefined };
    expect(decodeState(record, 2_000)).toMatchObject({ reason });
  });

  it('is found whatever its bytes are', () => {
    for (let cut = 0; cut < good.length; cut++) {
      for (const bit of [1, 16, 128]) {
        const value = Buffer.from(good);
        value[cut] = (value[cut] as number) ^ bit;
        const record = { topic: 't', partition: 0, offset: 0, timestampMs: 0, key: null, value, headers: undefined };
        expect(() => decodeState(record, 2_000)).not.toThrow();
      }
    }
  });
});

describe('a good record', () => {
  it('comes back whole', () => {
    const record = {
      topic: 't',
      partition: 0,
      offset: 0,
      timestampMs: 0,
      key: null,
      value: encodeStateRecord(sample),
      headers: undefined,
    };
    expect(decodeState(record, 5_000_000)).toMatchObject(sample);
    expect(checkStateRecord({ ...sample, value: null, deleted: true })).toBeNull();
    expect(checkStateRecord({ ...sample, reason: 'two\nlines' })).toBeNull();
  });
});
