import { expect, it } from 'vitest';
import { KeptRows, keepMsSince } from '../../clickhouse/kept-rows.ts';

const dayMs = 86_400_000;

it('is kept the longer, the longer nothing was heard of it', () => {
  expect(keepMsSince(dayMs - 200_000, dayMs)).toBe(2_000);
  expect(keepMsSince(dayMs - 2_000_000, dayMs)).toBe(20_000);
  // Never for more than half a minute, nor for less than everything is.
  expect(keepMsSince(0, dayMs)).toBe(30_000);
  expect(keepMsSince(dayMs - 50_000, dayMs)).toBe(1_000);
  // Clocks of producers may be ahead.
  expect(keepMsSince(dayMs + 60_000, dayMs)).toBe(1_000);
});

it('is found for so long, in its workspace alone', () => {
  let nowMs = dayMs;
  const kept = new KeptRows(() => nowMs);
  const [own, other] = [kept.of('own'), kept.of('other')];
  for (const [silentMs, keptMs] of [
    [500_000, 5_000],
    // A page of what has just ended is asked for again and again.
    [0, 3_000],
  ] as const) {
    own.keep('run', 'row', nowMs - silentMs);
    expect(other.find('run')).toBeUndefined();
    nowMs += keptMs - 1;
    expect(own.find('run')).toBe('row');
    nowMs += 1;
    expect(own.find('run')).toBeUndefined();
  }
});

it('gives way to what is newer where it is too much', () => {
  const memory = new KeptRows(() => dayMs).of('own');
  for (let at = 0; at < 10_001; at++) {
    if (at === 10_000) memory.keep('0', 'again', 0);
    memory.keep(String(at), at, 0);
  }
  expect([0, 1, 2, 10_000].map((at) => memory.find(String(at)))).toEqual(['again', undefined, 2, 10_000]);
});
