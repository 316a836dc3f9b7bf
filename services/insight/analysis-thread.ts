import { parentPort, workerData } from 'node:worker_threads';
import { Database, DatabaseError, type DatabaseOptions } from '../../clickhouse/client.ts';
import { WorkspaceReader } from '../../clickhouse/question.ts';
import { AnalysisFailure } from './analysis-failure.ts';
import type { ThreadAnswer, ThreadAsk, ThreadFailure } from './analysis-threads.ts';
import { makeAnswers } from './analysis-work.ts';
import { PastRuns } from './past-runs.ts';

/**
 * A thread that loads executions and computes, so that whoever asked goes on answering others. It has a connection of
 * its own, because rows handed from thread to thread would be copied. It has one thing to do at a time.
 */
const database = new Database((workerData as { database: DatabaseOptions }).database);
const past = new PastRuns();
const port = parentPort;

port?.on('message', (asked: ThreadAsk) => {
  void answer(asked).then((said) => port.postMessage(said));
});

async function answer({ workspace, requestId, ask }: ThreadAsk): Promise<ThreadAnswer> {
  const questions: ThreadAnswer['questions'] = [];
  const reader = new WorkspaceReader(database, { workspace, requestId }, (asked) => questions.push(asked));
  try {
    return { made: await makeAnswers(reader, ask, past), questions };
  } catch (error) {
    return { failure: describeFailure(error), questions };
  }
}

/** Errors lose their class on the way. */
function describeFailure(error: unknown): ThreadFailure {
  if (error instanceof AnalysisFailure) {
    const { kind, message, details } = error;
    return { kind, message, details };
  }
  if (error instanceof DatabaseError) {
    const { code, retryable, message } = error;
    return { kind: 'database', message, code, retryable };
  }
  return { kind: 'bug', message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
