import { Worker } from 'node:worker_threads';
import { DatabaseError, type DatabaseOptions } from '../../clickhouse/client.ts';
import type { Asked } from '../../clickhouse/question.ts';
import { AnalysisFailure, type FailureKind } from './analysis-failure.ts';
import type { AnalysisAsk, MadeAnswer } from './analysis-work.ts';

export interface ThreadAsk {
  workspace: string;
  requestId: string;
  ask: AnalysisAsk;
}

export type ThreadFailure =
  | { kind: FailureKind; message: string; details?: Record<string, unknown> | undefined }
  | { kind: 'database'; message: string; code: string; retryable: boolean }
  | { kind: 'bug'; message: string };

/** What a thread says when it is done; either answers or a failure. */
export interface ThreadAnswer {
  made?: MadeAnswer[];
  failure?: ThreadFailure;
  questions: Asked[];
}

export interface ThreadsOptions {
  database: DatabaseOptions;
  /** Analyses at a time. */
  threads: number;
  /** Asked for while all threads are busy; more are refused. */
  waitingMost: number;
  /** A thread that takes longer is ended. */
  timeoutMs: number;
  /** Of each thread. */
  heapMb: number;
}

interface Job {
  asked: ThreadAsk;
  key: string;
  /** What a thread that was asked about the same remembers; null for what none does. */
  subject: string | null;
  observe(asked: Asked): void;
  resolve(made: MadeAnswer[]): void;
  reject(error: Error): void;
}

interface Thread {
  worker: Worker;
  job: Job | null;
  /** Others who would like it best wait for it no longer. */
  isLong: boolean;
  patience: NodeJS.Timeout | undefined;
  overdue: NodeJS.Timeout | undefined;
}

const script = new URL('./analysis-thread.ts', import.meta.url);

/** What takes longer in a thread is not waited for by those who would like that one best. */
const patienceMs = 250;
const mostRemembered = 1_000;

/**
 * Threads that compute analyses, all started when one is first needed. Whatever an analysis does, it ends: by its answer,
 * by the bound of its time, or by that of its memory, and the next one gets a fresh thread.
 */
export class AnalysisThreads {
  readonly #options: ThreadsOptions;
  readonly #threads: Thread[] = [];
  readonly #waiting: Job[] = [];
  /** Who asks for what is being computed already gets the same answer. */
  readonly #running = new Map<string, Promise<MadeAnswer[]>>();
  /** Which thread has learned about what; the oldest first. */
  readonly #knowing = new Map<string, Thread>();
  #closed = false;

  constructor(options: ThreadsOptions) {
    this.#options = options;
  }

  run(asked: ThreadAsk, observe: (asked: Asked) => void = () => undefined): Promise<MadeAnswer[]> {
    const key = JSON.stringify([asked.workspace, nameOf(asked.ask)]);
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const made = this.#enqueue(asked, key, observe).finally(() => this.#running.delete(key));
    this.#running.set(key, made);
    return made;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const failure = new AnalysisFailure('closed', 'The service is stopping.');
    for (const job of this.#waiting.splice(0)) job.reject(failure);
    for (const thread of this.#threads) {
      clearTimers(thread);
      thread.job?.reject(failure);
    }
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  #enqueue(asked: ThreadAsk, key: string, observe: Job['observe']): Promise<MadeAnswer[]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new AnalysisFailure('closed', 'The service is stopping.');
      if (this.#waiting.length >= this.#options.waitingMost) {
        throw new AnalysisFailure('busy', 'Too many analyses are being computed.');
      }
      this.#waiting.push({ asked, key, subject: subjectOf(asked), observe, resolve, reject });
      this.#next();
    });
  }

  /** Has all that can be begun now. */
  #next(): void {
    for (const job of [...this.#waiting]) {
      const thread = this.#chooseThread(job);
      if (thread === undefined) continue;
      this.#waiting.splice(this.#waiting.indexOf(job), 1);
      this.#begin(thread, job);
    }
  }

  /** The one that knows what it is about, unless that is busy for longer. */
  #chooseThread({ subject }: Job): Thread | undefined {
    const knowing = subject === null ? undefined : this.#knowing.get(subject);
    if (knowing?.job === null) return knowing;
    if (knowing?.isLong === false) return undefined;
    this.#startThreads();
    return this.#threads.find(({ job }) => job === null);
  }

  #begin(thread: Thread, job: Job): void {
    thread.job = job;
    thread.isLong = false;
    thread.overdue = setTimeout(() => this.#giveUp(thread), this.#options.timeoutMs);
    thread.patience = setTimeout(() => {
      thread.isLong = true;
      this.#next();
    }, patienceMs);
    thread.worker.postMessage(job.asked);
    if (job.subject === null) return;
    this.#knowing.delete(job.subject);
    this.#knowing.set(job.subject, thread);
    const [oldest] = this.#knowing.keys();
    if (oldest !== undefined && this.#knowing.size > mostRemembered) this.#knowing.delete(oldest);
  }

  /** All that there may be: starting one takes longer than most answers, and whoever asks once asks again. */
  #startThreads(): void {
    while (this.#threads.length < this.#options.threads) this.#startThread();
  }

  #startThread(): void {
    const { database, heapMb } = this.#options;
    const resourceLimits = { maxOldGenerationSizeMb: heapMb };
    const worker = new Worker(script, { workerData: { database }, resourceLimits });
    const thread: Thread = { worker, job: null, isLong: false, patience: undefined, overdue: undefined };
    this.#threads.push(thread);
    worker.on('message', (said: ThreadAnswer) => this.#finish(thread, said));
    worker.on('error', (error: NodeJS.ErrnoException) => this.#lose(thread, error));
    // An idle thread keeps no process alive.
    worker.unref();
  }

  #finish(thread: Thread, { made, failure, questions }: ThreadAnswer): void {
    const { job } = thread;
    clearTimers(thread);
    thread.job = null;
    for (const asked of questions) job?.observe(asked);
    if (made !== undefined) job?.resolve(made);
    else job?.reject(reviveFailure(failure));
    this.#next();
  }

  #giveUp(thread: Thread): void {
    const seconds = this.#options.timeoutMs / 1000;
    this.#drop(thread, new AnalysisFailure('timeout', `The analysis took more than ${seconds} s.`));
  }

  /** The bound of its memory, or a bug of ours. */
  #lose(thread: Thread, error: NodeJS.ErrnoException): void {
    const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
    const message = 'The analysis needs more memory than one may have.';
    this.#drop(thread, isMemory ? new AnalysisFailure('too_large', message) : error);
  }

  #drop(thread: Thread, error: Error): void {
    const at = this.#threads.indexOf(thread);
    if (at < 0) return;
    this.#threads.splice(at, 1);
    for (const [subject, knowing] of this.#knowing) if (knowing === thread) this.#knowing.delete(subject);
    clearTimers(thread);
    void thread.worker.terminate();
    thread.job?.reject(error);
    this.#next();
  }
}

function clearTimers({ overdue, patience }: Thread): void {
  clearTimeout(overdue);
  clearTimeout(patience);
}

/** Without what was read of it, which is the same for all who ask at the same time. */
const nameOf = (ask: AnalysisAsk): object => (ask.about === 'workflow' ? ask : { ...ask, run: ask.run.place });

/** Earlier executions of the workflow, which a thread goes on knowing for a while. */
function subjectOf({ workspace, ask }: ThreadAsk): string | null {
  if (ask.about === 'workflow') return null;
  const { source, workflow_id } = ask.run.place;
  return JSON.stringify([workspace, source, workflow_id]);
}

function reviveFailure(failure: ThreadFailure | undefined): Error {
  if (failure === undefined) return new Error('a thread said nothing');
  switch (failure.kind) {
    case 'database':
      return new DatabaseError(failure.message, failure.code, failure.retryable, undefined);
    case 'bug':
      return new Error(failure.message);
    default:
      return new AnalysisFailure(failure.kind, failure.message, failure.details);
  }
}
