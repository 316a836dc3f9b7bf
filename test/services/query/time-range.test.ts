import { describe, expect, it } from 'vitest';
import {
  parseRange,
  periodBefore,
  planSteps,
  type RangeQuery,
  wholeRange,
} from '../../../services/query/time-range.ts';

const nowMs = Date.parse('2026-11-21T09:30:45.123Z');
const hourMs = 3_600_000;
const steps = (query: RangeQuery) => planSteps(parseRange(query, '24h', nowMs), query.step);
const isos = (startsMs: readonly number[]) => startsMs.map((ms) => new Date(ms).toISOString());

describe('a range', () => {
  it('is a length up to now, or from one instant to another', () => {
    expect(parseRange({}, '24h', nowMs)).toEqual({ fromMs: nowMs - 24 * hourMs, toMs: nowMs, zone: 'UTC' });
    const { fromMs, toMs } = parseRange({ from: '2026-11-20T10:00+02:00', to: '2026-11-20T09:00:00Z' }, '1h', nowMs);
    expect(isos([fromMs, toMs])).toEqual(['2026-11-20T08:00:00.000Z', '2026-11-20T09:00:00.000Z']);
  });

  it('has days of a zone, also those of 23 and 25 hours', () => {
    const days = steps({ from: '2026-10-24', to: '2026-10-27', time_zone: 'Europe/Berlin', step: '1d' });
    expect(isos(days.startsMs)).toEqual([
      '2026-10-23T22:00:00.000Z',
      '2026-10-24T22:00:00.000Z',
      '2026-10-25T23:00:00.000Z',
    ]);
    expect(days).toMatchObject({ level: '1h', toMs: Date.parse('2026-10-26T23:00:00Z') });
    const spring = steps({ from: '2026-03-08', to: '2026-03-10', time_zone: 'America/New_York', step: '1d' });
    expect(isos(spring.startsMs)).toEqual(['2026-03-08T05:00:00.000Z', '2026-03-09T04:00:00.000Z']);
  });

  it('is answered by the coarsest rollup whose windows no step cuts', () => {
    const level = (query: RangeQuery) => steps(query).level;
    expect(level({ step: '5m' })).toBe('1m');
    expect(level({ step: '6h' })).toBe('1h');
    expect(level({ step: '1d', time_range: '7d' })).toBe('1d');
    expect(level({ step: '1d', time_range: '7d', time_zone: 'Asia/Tokyo' })).toBe('1h');
    expect(level({ step: '1d', time_range: '7d', time_zone: 'Asia/Kathmandu' })).toBe('1m');
    expect(level({ step: '1mo', time_range: '90d' })).toBe('1d');
  });

  it('has weeks from Monday and whole months', () => {
    expect(isos(steps({ from: '2026-11-05', to: '2026-11-17', step: '1w' }).startsMs)).toEqual([
      '2026-11-02T00:00:00.000Z',
      '2026-11-09T00:00:00.000Z',
      '2026-11-16T00:00:00.000Z',
    ]);
    expect(isos(steps({ from: '2025-12-15', to: '2026-02-02', step: '1mo' }).startsMs)).toEqual([
      '2025-12-01T00:00:00.000Z',
      '2026-01-01T00:00:00.000Z',
      '2026-02-01T00:00:00.000Z',
    ]);
  });

  it('is cut into about a hundred steps where none is given', () => {
    const chosen = ['10m', '2h', '24h', '7d', '30d', '365d', '1000d'].map((time_range) => steps({ time_range }));
    expect(chosen.map(({ step }) => step)).toEqual(['1m', '1m', '15m', '3h', '6h', '1w', '1mo']);
    for (const { startsMs } of chosen) expect(startsMs.length).toBeLessThanOrEqual(122);
  });

  it('as a whole is cut at windows, and the one before joins on to it', () => {
    const whole = wholeRange(parseRange({ time_range: '7d' }, '', nowMs));
    expect(whole).toMatchObject({
      level: '1h',
      fromMs: Date.parse('2026-11-14T09:00Z'),
      toMs: Date.parse('2026-11-21T10:00Z'),
    });
    const before = periodBefore(whole);
    expect(before.toMs).toBe(whole.fromMs);
    expect(before.toMs - before.fromMs).toBe(whole.toMs - whole.fromMs);
  });

  const mistakes: RangeQuery[] = [
    { time_range: '0h' },
    { time_range: '24' },
    { time_range: '24h', from: '2026-11-20' },
    { to: '2026-11-20' },
    { from: '2026-11-20', to: '2026-11-20' },
    { from: '2026-02-30' },
    { from: '20.11.2026' },
    { from: '0' },
    { from: '2026-13-01T00:00Z' },
    { from: '2026-11-20T25:00' },
    { from: '2014-12-31' },
    { from: '2026-11-20', time_zone: 'Mars/Olympus' },
    { step: '2h' },
  ];
  it.each(mistakes)('is refused by name: %o', (query) => {
    expect(() => steps(query)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
