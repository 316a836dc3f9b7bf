import type { ProcessExit } from './guarded-process.ts';

/** A started program, embedded server or process of ours; all launchers here return this shape. */
export interface RunningService {
  pid: number;
  exited: Promise<ProcessExit>;
  stop(): Promise<void>;
  kill(): void;
}

interface ServiceSpec {
  name: string;
  /** A start that takes long looks now and then whether it is still wanted. */
  start(isGivenUp: () => boolean): Promise<RunningService>;
  /** How long an orderly stop may take before the service is killed. */
  stopTimeoutMs: number;
  /** No other service needs it, so all such services are stopped at once, before the others. */
  isLeaf?: boolean;
}

interface SuperviseOptions {
  /** Tells the user, one sentence a call. */
  say: (line: string) => void;
  firstBackoffMs?: number;
  longestBackoffMs?: number;
  /** A service that ran this long before it died starts again with the shortest back-off. */
  settledMs?: number;
}

interface Supervised {
  spec: ServiceSpec;
  /** The start under way or done; a stop waits for it, so that nothing is left behind half started. */
  running: Promise<RunningService>;
  startedAtMs: number;
  deaths: number;
  wake?: () => void;
}

/**
 * Keeps services running: one that dies is started again after a back-off, and that is said. Stopping goes in the
 * reverse order of starting, so that users stop before what they use.
 */
export class Supervisor {
  readonly #options: Required<SuperviseOptions>;
  readonly #services: Supervised[] = [];
  #stopping = false;
  readonly #isGivenUp = () => this.#stopping;

  constructor(options: SuperviseOptions) {
    this.#options = { firstBackoffMs: 500, longestBackoffMs: 10_000, settledMs: 30_000, ...options };
  }

  /** Resolves with the service once it runs; a first start that fails is the caller's to handle. */
  async start<Service extends RunningService>(
    spec: ServiceSpec & { start(isGivenUp: () => boolean): Promise<Service> },
  ): Promise<Service> {
    if (this.#stopping) throw new Error(`${spec.name} is not started while everything stops`);
    const service: Supervised = { spec, running: spec.start(this.#isGivenUp), startedAtMs: Date.now(), deaths: 0 };
    this.#services.push(service);
    try {
      const running = await service.running;
      this.#watch(service, running);
      return running as Service;
    } catch (error) {
      this.#services.splice(this.#services.indexOf(service), 1);
      throw error;
    }
  }

  /** Stops a service in order and starts it anew, for instance because its configuration changed. */
  async restart(name: string): Promise<RunningService> {
    const service = this.#services.find(({ spec }) => spec.name === name);
    if (service === undefined) throw new Error(`there is no service ${name}`);
    const before = await service.running;
    service.running = this.#stopOne(service.spec, before).then(() => service.spec.start(this.#isGivenUp));
    const running = await service.running;
    this.#watch(service, running);
    return running;
  }

  isStopping(): boolean {
    return this.#stopping;
  }

  pids(): Promise<{ name: string; pid: number }[]> {
    return Promise.all(
      this.#services.map(async ({ spec, running }) => ({ name: spec.name, pid: (await running).pid })),
    );
  }

  async stopAll(): Promise<void> {
    this.#stopping = true;
    const inOrder = this.#services.toReversed();
    await Promise.all(inOrder.filter(({ spec }) => spec.isLeaf).map((service) => this.#end(service)));
    for (const service of inOrder) if (!service.spec.isLeaf) await this.#end(service);
  }

  async #end(service: Supervised): Promise<void> {
    service.wake?.();
    const running = await service.running.catch(() => undefined);
    if (running) await this.#stopOne(service.spec, running);
  }

  killAll(): void {
    this.#stopping = true;
    for (const service of this.#services) void service.running.then((running) => running.kill()).catch(() => {});
  }

  #watch(service: Supervised, running: RunningService): void {
    service.startedAtMs = Date.now();
    void running.exited.then((exit) => {
      if (!this.#stopping && !exit.expected) void this.#revive(service, exit);
    });
  }

  async #revive(service: Supervised, exit: ProcessExit): Promise<void> {
    const { say, settledMs } = this.#options;
    const { name } = service.spec;
    if (Date.now() - service.startedAtMs > settledMs) service.deaths = 0;
    const waitMs = this.#nextBackoff(service);
    say(`${name} ended (${exit.signal ?? `exit code ${exit.code}`}), starting it again in ${waitMs / 1000} s`);
    service.running = this.#startAgain(service, waitMs);
    // A stop that comes meanwhile gives up the wait, and asks for the outcome itself.
    const running = await service.running.catch(() => undefined);
    if (running === undefined || this.#stopping) return;
    say(`${name} runs again`);
    this.#watch(service, running);
  }

  async #startAgain(service: Supervised, firstWaitMs: number): Promise<RunningService> {
    for (let waitMs = firstWaitMs; ; waitMs = this.#nextBackoff(service)) {
      await this.#pause(service, waitMs);
      if (this.#stopping) throw new Error('stopping');
      try {
        return await service.spec.start(this.#isGivenUp);
      } catch (error) {
        this.#options.say(`${service.spec.name} did not start: ${(error as Error).message}`);
      }
    }
  }

  #nextBackoff(service: Supervised): number {
    const { firstBackoffMs, longestBackoffMs } = this.#options;
    return Math.min(firstBackoffMs * 2 ** service.deaths++, longestBackoffMs);
  }

  #pause(service: Supervised, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, waitMs);
      service.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async #stopOne({ name, stopTimeoutMs }: ServiceSpec, running: RunningService): Promise<void> {
    const overdue = setTimeout(() => {
      this.#options.say(`${name} did not stop within ${stopTimeoutMs / 1000} s, killing it`);
      running.kill();
    }, stopTimeoutMs);
    await running.stop();
    clearTimeout(overdue);
  }
}
