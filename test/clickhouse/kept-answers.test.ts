import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { aMoment, type KeepMs, KeptAnswers } from '../../clickhouse/kept-answers.ts';
import { recountKeepMs } from '../../clickhouse/queries/accounting.ts';

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

  it.each([
    [
      'for a moment a second, or longer where asking took long, and never longer than three',
      aMoment,
      [
        [20, 1_000],
        [150, 1_500],
        [2_000, 3_000],
      ],
    ],
    [
      'that count single records as long as counting is worth, a minute at most',
      recountKeepMs,
      [
        [20, 5_000],
        [1_000, 20_000],
        [8_000, 60_000],
      ],
    ],
  ] as const)('are kept %s', async (_what, keepMsOf, times) => {
    const { stage, ask } = makeStage();
    for (const [at, [tookMs, forMs]] of times.entries()) {
      const askOwn = () => ask(`a${at}`, undefined, keepMsOf);
      const first = askOwn();
      stage.nowMs += tookMs;
      stage.asked[2 * at].answer([at]);
      expect(await first).toMatchObject({ isAsked: true });
      stage.nowMs += forMs - 1;
      expect(await askOwn()).toMatchObject({ isAsked: false, answer: { rows: [at] } });
      stage.nowMs += 1;
      const later = askOwn();
      stage.asked[2 * at + 1].answer([at, at]);
      expect(await later).toMatchObject({ answer: { rows: [at, at] } });
    }
  });

  describe('just before they are too old', () => {
    /** Asking took 100 ms, so 200 ms before. */
    async function makeNearlyOld() {
      const made = makeStage();
      const first = made.ask('a');
      made.stage.nowMs = 100;
      made.stage.asked[0].answer([1], 10);
      await first;
      made.stage.nowMs = 100 + keepMs - 201;
      await made.ask('a');
      expect(made.stage.asked).toHaveLength(1);
      made.stage.nowMs += 1;
      // Whoever comes now is told what is there.
      expect(await made.ask('a')).toMatchObject({ isAsked: false, answer: { rows: [1] } });
      expect(made.stage.asked).toHaveLength(2);
      return made;
    }

    it('are asked for anew once, and told until that is answered', async () => {
      const { stage, ask } = await makeNearlyOld();
      expect(await ask('a')).toMatchObject({ isAsked: false, answer: { rows: [1] } });
      expect(stage.asked).toHaveLength(2);
      stage.asked[1].answer([2]);
      await turn();
      expect(await ask('a')).toMatchObject({ isAsked: false, answer: { rows: [2] } });
      stage.nowMs += keepMs - 1;
      expect(await ask('a')).toMatchObject({ isAsked: false, answer: { rows: [2] } });
    });

    it('are waited for by whoever comes when they are', async () => {
      const { stage, ask } = await makeNearlyOld();
      stage.nowMs += 200;
      const late = [ask('a'), ask('a')];
      expect(stage.asked).toHaveLength(2);
      stage.asked[1].answer([2]);
      expect(await Promise.all(late)).toMatchObject([{ answer: { rows: [2] } }, { answer: { rows: [2] } }]);
      expect(await ask('a')).toMatchObject({ isAsked: false, answer: { rows: [2] } });
    });

    it('stay where asking fails, and are asked for again', async () => {
      const { stage, ask } = await makeNearlyOld();
      stage.asked[1].fail();
      await turn();
      expect(await ask('a')).toMatchObject({ isAsked: false, answer: { rows: [1] } });
      expect(stage.asked).toHaveLength(3);
      stage.nowMs += 200;
      const late = ask('a');
      stage.asked[2].answer([2]);
      expect(await late).toMatchObject({ answer: { rows: [2] } });
    });

    it('are forgotten with what was asked before the change', async () => {
      const { stage, ask, kept } = await makeNearlyOld();
      kept.forget('own');
      stage.asked[1].answer([2]);
      await turn();
      const after = ask('a');
      expect(stage.asked).toHaveLength(3);
      stage.asked[2].answer([3]);
      expect(await after).toMatchObject({ isAsked: true, answer: { rows: [3] } });
    });

    it('take the room of one of them when they are told anew', async () => {
      const { stage, ask } = await makeNearlyOld();
      for (let at = 0; at < 9; at++) {
        const asking = ask(`other ${at}`);
        stage.asked.at(-1)?.answer([at], 2_000_000);
        await asking;
      }
      // Eighteen megabytes, two for it, and no room for ten bytes more.
      stage.asked[1].answer([2], 2_000_000);
      await turn();
      expect(await ask('other 0')).toMatchObject({ isAsked: false });
      const more = ask('more');
      stage.asked.at(-1)?.answer([1], 10);
      await more;
      void ask('other 0');
      expect(stage.asked).toHaveLength(13);
    });
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
