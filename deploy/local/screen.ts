import type { JarProgress } from './fetch-jars.ts';

/** Piped output is for logs and scripts: a line now and then, nothing redrawn. */
const plainStatusEveryMs = 10_000;
const plainProgressEveryMs = 2_000;
const barWidth = 30;

interface ScreenOutput {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** The user's terminal: lines that stay, and below them one that is redrawn. */
export class Screen {
  readonly #out: ScreenOutput;
  #live = '';
  #plainAtMs = 0;
  #ended = false;

  constructor(out: ScreenOutput = process.stdout) {
    this.#out = out;
  }

  say(line: string): void {
    if (!this.#out.isTTY) this.#out.write(`${line}\n`);
    else this.#out.write(`\r\x1b[2K${line}\n${this.#live}`);
  }

  showStatus(line: string): void {
    this.#show(line, plainStatusEveryMs);
  }

  showProgress(progress: JarProgress): void {
    const share = Math.min(1, progress.bytesDone / progress.bytes);
    const filled = Math.round(share * barWidth);
    const bar = this.#out.isTTY ? `[${'='.repeat(filled)}${' '.repeat(barWidth - filled)}] ` : '';
    const megabytes = (bytes: number) => Math.round(bytes / 1_000_000);
    const counts = `${progress.jarsDone} of ${progress.jars} jars, ${megabytes(progress.bytesDone)} of ${megabytes(progress.bytes)} MB`;
    this.#show(`Kafka: ${bar}${counts}`, plainProgressEveryMs);
  }

  clearLive(): void {
    if (this.#live !== '') this.#out.write('\r\x1b[2K');
    this.#live = '';
  }

  /** From here on only lines that stay. */
  endLive(): void {
    this.clearLive();
    this.#ended = true;
  }

  #show(line: string, plainEveryMs: number): void {
    if (this.#ended) return;
    if (this.#out.isTTY) {
      this.#live = line.slice(0, (this.#out.columns ?? 80) - 1);
      this.#out.write(`\r\x1b[2K${this.#live}`);
      return;
    }
    const nowMs = Date.now();
    if (nowMs - this.#plainAtMs < plainEveryMs) return;
    this.#plainAtMs = nowMs;
    this.#out.write(`${line}\n`);
  }
}
