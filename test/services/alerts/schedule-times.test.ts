import { describe, expect, it } from 'vitest';
import { ScheduleTimes } from '../../../services/alerts/schedule-times.ts';

const times = new ScheduleTimes();
const due = (cron: string, zone: string, after: string): string | null => {
  const dueMs = times.nextDue(cron, zone, Date.parse(after));
  return dueMs === null || !Number.isFinite(dueMs) ? String(dueMs) : new Date(dueMs).toISOString();
};

describe('a schedule', () => {
  it('is due by the clock of its zone, on both sides of summer time', () => {
    expect(due('30 2 * * *', '', '2026-03-28T01:30:00Z')).toBe('2026-03-28T02:30:00.000Z');
    expect(due('30 2 * * *', 'Europe/Berlin', '2026-03-28T00:30:00Z')).toBe('2026-03-28T01:30:00.000Z');
    expect(due('30 2 * * *', 'Europe/Berlin', '2026-07-01T12:00:00Z')).toBe('2026-07-02T00:30:00.000Z');
    expect(due('*/15 * * * *', 'Asia/Kathmandu', '2026-06-01T00:07:00Z')).toBe('2026-06-01T00:15:00.000Z');
    expect(due('0 9 * * 1', 'America/New_York', '2026-11-01T20:00:00Z')).toBe('2026-11-02T14:00:00.000Z');
  });

  it('is not waited for at a time that the clock leaves out, and once at one that it shows twice', () => {
    expect(due('30 2 * * *', 'Europe/Berlin', '2026-03-28T01:30:00Z')).toBe('2026-03-30T00:30:00.000Z');
    expect(due('30 2 * * *', 'Europe/Berlin', '2026-10-24T00:30:00Z')).toBe('2026-10-25T00:30:00.000Z');
    expect(due('30 2 * * *', 'Europe/Berlin', '2026-10-25T00:30:00Z')).toBe('2026-10-26T01:30:00.000Z');
  });

  it('that cannot be read is not watched, and one that never comes is never due', () => {
    expect(due('every day', 'UTC', '2026-01-01T00:00:00Z')).toBe('null');
    expect(due('0 0 * * *', 'Mars/Base', '2026-01-01T00:00:00Z')).toBe('null');
    expect(due('0 0 30 2 *', 'Europe/Berlin', '2026-01-01T00:00:00Z')).toBe('Infinity');
  });
});
