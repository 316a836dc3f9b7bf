import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { aMoment, type KeepMs, KeptAnswers } from '../../clickhouse/kept-answers.ts';

const keepMs = 10_000;

/** A clock that is set by hand, and questions that are answered by hand. */
function makeStage() {
  const stage = {
    nowMs: 0,
    asked: [] as { signal: AbortSignal; answer: (rows: number[], bytes?: number) => void; fail: () => void }[],
  };
  const kept = new KeptAnswers(() => stage.nowMs);
  const ask = (key: string, signal?: AbortSignal, ownMs: KeepMs<number> = keepMs, workspace = 'own') =>
    kept.ask<number>(
      workspace,
      key,
      { keepMs: ownMs, signal },
      (own) =>
        new Promise((resolve, reject) => {
          const answer = (rows: number[], bytes = 0) => resolve({ rows, bytes, readRows: rows.length, readBytes: 0 });
          stage.asked.push({ signal: own, answer, fail: () => reject(new Error('failed')) });
          own.addEventListener('abort', () => reject(new Error('aborted')));
        }),
    );
  return { stage, ask, kept };
}

describe('kept answers', () => {
  it('serve all who ask the same at once and a moment later, and are asked for anew after that', async () => {
    const { stage, ask } = makeStage();
    const [first, second] = [ask('a'), ask('a')];
    expect(stage.asked).toHaveLength(1);
    stage.asked[0].answer([1]);
    expect(await first).toMatchObject({ isAsked: true, answer: { rows: [1] } });
    expect(await second).toMatchObject({ isAsked: false, answer: { rows: [1] } });
    stage.nowMs = keepMs - 1;
    expect(await ask('a')).toMatchObject({ isAsked: false });
    stage.nowMs = keepMs;
    const later = ask('a');
    expect(stage.asked).toHaveLength(2);
    stage.asked[1].answer([2]);
    expect(await later).toMatchObject({ isAsked: true, answer: { rows: [2] } });
  });

  it('for a moment are kept a second, or longer where asking took long, and never longer than three', async () => {
    const { stage, ask } = makeStage();
    for (const [at, [tookMs, forMs]] of [
      [20, 1_000],
      [300, 1_500],
      [2_000, 3_000],
    ].entries()) {
      const first = ask('a', undefined, aMoment);
      stage.nowMs += tookMs;
      stage.asked[at].answer([at]);
      expect(await first).toMatchObject({ isAsked: true });
      stage.nowMs += forMs - 1;
      expect(await ask('a', undefined, aMoment)).toMatchObject({ isAsked: false, answer: { rows: [at] } });
      stage.nowMs += 1;
    }
  });

  it('that there is nothing are asked for anew after a second', async () => {
    const { stage, ask } = makeStage();
    const first = ask('a');
    stage.asked[0].answer([]);
    expect(await first).toMatchObject({ answer: { rows: [] } });
    stage.nowMs = 999;
    expect(await ask('a')).toMatchObject({ isAsked: false });
    stage.nowMs = 1_000;
    const second = ask('a');
    stage.asked[1].answer([1]);
    expect(await second).toMatchObject({ isAsked: true, answer: { rows: [1] } });
    stage.nowMs = 1_000 + keepMs - 1;
    expect(await ask('a')).toMatchObject({ isAsked: false, answer: { rows: [1] } });
  });

  it('of a workspace are forgotten at once, also those that are still being asked for, and no others', async () => {
    const { stage, ask, kept } = makeStage();
    const asks = [ask('a'), ask('a', undefined, keepMs, 'own other'), ask('b')];
    stage.asked[0].answer([1]);
    stage.asked[1].answer([2]);
    await Promise.all(asks.slice(0, 2));
    kept.forget('own');
    stage.asked[2].answer([3]);
    // Whoever came before the change may be told what was before it.
    expect(await asks[2]).toMatchObject({ answer: { rows: [3] } });
    const again = [ask('a'), ask('b')];
    expect(stage.asked).toHaveLength(5);
    stage.asked[3].answer([4]);
    stage.asked[4].answer([5]);
    expect(await Promise.all(again)).toMatchObject([{ answer: { rows: [4] } }, { answer: { rows: [5] } }]);
    expect(await ask('a', undefined, keepMs, 'own other')).toMatchObject({ isAsked: false, answer: { rows: [2] } });
  });

  it('are told apart by their keys', async () => {
    const { stage, ask } = makeStage();
    const [one, other] = [ask('a'), ask('b')];
    expect(stage.asked).toHaveLength(2);
    stage.asked[1].answer([2]);
    stage.asked[0].answer([1]);
    expect([(await one).answer.rows, (await other).answer.rows]).toEqual([[1], [2]]);
  });

  it('are not kept where they failed or are large', async () => {
    const { stage, ask } = makeStage();
    const failing = ask('a');
    stage.asked[0].fail();
    await expect(failing).rejects.toThrow('failed');
    const large = ask('a');
    stage.asked[1].answer([1], 2_000_001);
    await large;
    void ask('a');
    expect(stage.asked).toHaveLength(3);
  });

  it('are kept within bounds, the newest of them', async () => {
    const { stage, ask } = makeStage();
    const answerNow = async (key: string, ownMs = keepMs) => {
      const asking = ask(key, undefined, ownMs);
      stage.asked.at(-1)?.answer([1], 2_000_000);
      await asking;
    };
    for (let at = 0; at < 11; at++) await answerNow(`first ${at}`);
    for (const at of [1, 5, 10]) expect(await ask(`first ${at}`)).toMatchObject({ isAsked: false });
    await answerNow('first 0');
    expect(stage.asked).toHaveLength(12);
  });

  it('make room for newer ones when they are too old for anybody, before those that are not', async () => {
    const { stage, ask } = makeStage();
    const answerNow = async (key: string, ownMs: number) => {
      const asking = ask(key, undefined, ownMs);
      stage.asked.at(-1)?.answer([1], 2_000_000);
      await asking;
    };
    await answerNow('long', 60_000);
    for (let at = 0; at < 9; at++) await answerNow(`short ${at}`, keepMs);
    stage.nowMs = keepMs;
    for (let at = 0; at < 9; at++) await answerNow(`new ${at}`, keepMs);
    expect(await ask('long', undefined, 60_000)).toMatchObject({ isAsked: false });
  });

  it('are given up when the last who waits has left, and whoever comes then asks anew', async () => {
    const { stage, ask } = makeStage();
    const [one, other] = [new AbortController(), new AbortController()];
    const left = [ask('a', one.signal), ask('a', other.signal)].map((asking) => asking.catch(({ message }) => message));
    one.abort();
    await turn();
    expect(stage.asked[0].signal.aborted).toBe(false);
    other.abort();
    expect(stage.asked[0].signal.aborted).toBe(true);
    const later = ask('a');
    expect(stage.asked).toHaveLength(2);
    stage.asked[1].answer([1]);
    expect(await later).toMatchObject({ isAsked: true });
    expect(await Promise.all(left)).toEqual(['aborted', 'aborted']);
  });
});
