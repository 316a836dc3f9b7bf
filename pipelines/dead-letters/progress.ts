import type { SendTally } from './sender.ts';

const lineEveryMs = 5_000;
const redrawEveryMs = 200;

export interface ProgressScreen {
  isTTY: boolean;
  write(text: string): void;
}

/** Says how far a replay has come: one line that is drawn anew on a terminal, and now and then a line elsewhere. */
export function createProgress(total: number, screen: ProgressScreen, nowMs: () => number): (tally: SendTally) => void {
  const startedMs = nowMs();
  let saidMs = startedMs;
  return ({ sent, bytes, tooLarge }) => {
    const isDone = sent + tooLarge.length >= total;
    if (!isDone && nowMs() - saidMs < (screen.isTTY ? redrawEveryMs : lineEveryMs)) return;
    saidMs = nowMs();
    const seconds = Math.max(0.001, (saidMs - startedMs) / 1000);
    const text = `sent ${sent} of ${total}, ${Math.ceil(bytes / 1024)} KiB, ${Math.round(sent / seconds)}/s`;
    screen.write(screen.isTTY ? `\r${text.padEnd(60)}${isDone ? '\n' : ''}` : `${text}\n`);
  };
}
