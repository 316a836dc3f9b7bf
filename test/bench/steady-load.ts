import { setTimeout as sleep } from 'node:timers/promises';
import { partitions } from './catch-up.ts';
import type { BenchServers } from './servers.ts';

/** Delay from the broker's acknowledgement to the minute view, by counting: partition n feeds workflow n alone. */
export async function measureFreshness(servers: BenchServers, seconds: number, rate: number): Promise<number[]> {
  const topic = `fresh-${rate}`;
  const empty = `${topic}-none`;
  await servers.createTopic(topic, partitions);
  await servers.createTopic(empty, 1);
  const database = await servers.createDatabase();
  const pipeline = servers.startPipeline(database, { executions: empty, tasks: topic });
  while (!((await pipeline.metric('weir_true_lag_records')) === 0)) await sleep(100);
  const acknowledgedMs: number[][] = Array.from({ length: partitions }, () => []);
  const seen = new Array<number>(partitions).fill(0);
  const delays: number[] = [];
  let sending = true;
  const watch = (async () => {
    while (sending || seen.some((count, partition) => count < (acknowledgedMs[partition] as number[]).length)) {
      const rows = await database.rows<{ workflow: string; n: number }>(
        'SELECT workflow_id AS workflow, sum(contributions) AS n FROM tasks_1m GROUP BY workflow_id',
      );
      const nowMs = Date.now();
      for (const { workflow, n } of rows) {
        const partition = Number(workflow);
        const acknowledged = acknowledgedMs[partition] as number[];
        // The answer may overtake the acknowledgement of the newest records; they are counted at the next look.
        const visible = Math.min(n, acknowledged.length);
        for (let index = seen[partition] as number; index < visible; index++)
          delays.push(nowMs - (acknowledged[index] as number));
        seen[partition] = visible;
      }
      await sleep(20);
    }
  })();
  const tickMs = 20;
  const perTick = (rate * tickMs) / 1000;
  const startMs = Date.now();
  for (let tick = 0; tick < (seconds * 1000) / tickMs; tick++) {
    const waitMs = startMs + tick * tickMs - Date.now();
    if (waitMs > 0) await sleep(waitMs);
    const partition = tick % partitions;
    const messages = Array.from({ length: perTick }, (_, index) => ({
      partition,
      key: `${tick}-${index}`,
      value: JSON.stringify({
        workflow_id: String(partition),
        execution_id: `${tick}-${index}`,
        task_id: 't',
        state: 'running',
        event_time: Date.now(),
      }),
    }));
    void servers.producer.send({ topic, acks: -1, messages }).then(() => {
      const nowMs = Date.now();
      for (let index = 0; index < perTick; index++) (acknowledgedMs[partition] as number[]).push(nowMs);
    });
  }
  await sleep(500);
  sending = false;
  await watch;
  await pipeline.stop();
  return delays;
}
