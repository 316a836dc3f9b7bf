/** What a job tells people. */
export interface JobLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface JobTurnsOptions {
  /** As it stands in a sentence: the roll-up job. */
  name: string;
  intervalMs: number;
  log: JobLog;
  /** Does some work; true when it left nothing to do. */
  turn(): Promise<boolean>;
  /** A turn is over, well or not. */
  ended?(): void;
  failed(): void;
}

/** A job that is asked to stop waits so long for its statement; the server goes on with it, which is harmless. */
const stopTimeoutMs = 1_000;
/** How soon a turn follows one that left work to do. */
const hurryMs = 100;

/** Lets a job have its turn again and again, beside other work; a failure is told once, and the turn repeated. */
export class JobTurns {
  readonly #options: JobTurnsOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | null = null;
  #stopped = false;
  #failure = '';

  constructor(options: JobTurnsOptions) {
    this.#options = options;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** Why the last turn failed, '' when it did not. */
  get failure(): string {
    return this.#failure;
  }

  start(): void {
    this.#schedule(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    const overdue = new Promise((resolve) => setTimeout(resolve, stopTimeoutMs).unref());
    await Promise.race([this.#running, overdue]);
  }

  #schedule(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#running = this.#takeTurn().then((nextMs) => this.#schedule(nextMs));
    }, delayMs);
  }

  /** Answers when to run next. A turn that takes long is followed by a longer pause: the job leaves room for others. */
  async #takeTurn(): Promise<number> {
    const { name, intervalMs, log, turn, failed, ended } = this.#options;
    const startedMs = performance.now();
    let isDone = true;
    try {
      isDone = await turn();
      if (this.#failure !== '') log.info({}, `${name} goes on`);
      this.#failure = '';
    } catch (error) {
      if (this.#stopped) return 0;
      failed();
      const { message } = error as Error;
      if (message !== this.#failure) log.warn({ error: message }, `${name} failed, and tries again`);
      this.#failure = message;
    }
    ended?.();
    return isDone ? Math.max(intervalMs, 2 * (performance.now() - startedMs)) : Math.min(intervalMs, hurryMs);
  }
}
