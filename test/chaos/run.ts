import path from 'node:path';
import { createRandom } from '../../services/simulator/random.ts';
import { pause, waitUntil } from '../support/launched.ts';
import { makeTree, olderRelease, type Patch, raiseFoldVersion } from './code-tree.ts';
import type { Scene } from './faults.ts';
import { Fleet } from './fleet.ts';
import { judge, type Verdict } from './judge.ts';
import { describePlan, lanesOf, type PlannedFault } from './plan.ts';
import { Producers } from './producers.ts';
import { replayAll } from './replay.ts';
import { Servers } from './servers.ts';
import { Stand } from './stand.ts';
import { Watch } from './watch.ts';

const root = path.join(import.meta.dirname, '../..');
const peaceMs = 180_000;

export interface RunOptions {
  seed: number;
  seconds: number;
  plan: readonly PlannedFault[];
  say(line: string): void;
  /** Changes to the code that is run. */
  patches?: readonly Patch[];
  /** Statements that make the database that of the changed code. */
  statements?: readonly string[];
  /** The run begins with an older release; of the same fold, where it only has another version. */
  upgrades?: 'other fold' | 'same fold';
  env?: Record<string, string>;
  chunkRecords?: number;
  instances?: number;
  /** Of its database. */
  name?: string;
  runsPerSecond?: number;
  reportsPerSecond?: number;
  /** Folds everything once more in the end. */
  replays?: boolean;
  /** Waits for the roll-up job, and compares what it has made. */
  hours?: boolean;
}

export interface RunResult {
  verdict: Verdict;
  faults: Map<string, number>;
  sent: number;
}

/** One run: telemetry and faults for some seconds, then peace, then judgement. On servers of its own where none are given. */
export async function runChaos(options: RunOptions, shared?: Servers): Promise<RunResult> {
  const { seed, plan, say } = options;
  say(`schedule of seed ${seed}`);
  for (const line of describePlan(plan)) say(line);
  const servers = shared ?? (await Servers.start(seed));
  try {
    return await runOn(servers, options);
  } finally {
    if (shared === undefined) await servers.stop();
  }
}

async function runOn(servers: Servers, options: RunOptions): Promise<RunResult> {
  const { seed, env = {}, chunkRecords = 1024, statements = [], name = 'weir' } = options;
  const random = createRandom(seed + 1_000_000);
  const stand = await Stand.prepare(servers, { random, env, chunkRecords, database: name });
  for (const statement of statements) await stand.database.command(statement);
  const scene = await setScene(stand, options);
  try {
    return await play(scene, options);
  } finally {
    await scene.fleet.close();
    await scene.producers.stop().catch(() => undefined);
    await scene.watch.stop();
    await stand.close();
  }
}

async function setScene(stand: Stand, options: RunOptions): Promise<Scene> {
  const { seed, seconds, plan, patches = [], name = 'weir', runsPerSecond = 250, reportsPerSecond = 10 } = options;
  const folder = path.join(stand.servers.folder, `code-of-${name}`);
  const { upgrades = plan.some(({ fault }) => fault.name === 'upgrade') ? 'other fold' : null } = options;
  const own = patches.length === 0 ? root : await makeTree(folder, 'patched', patches);
  const older = upgrades === 'other fold' ? olderRelease : [];
  const trees =
    upgrades === null
      ? null
      : {
          old: await makeTree(folder, 'old', [...patches, ...older]),
          new: await makeTree(folder, 'new', [...patches, ...raiseFoldVersion]),
        };
  const fleet = new Fleet(stand, createRandom(seed + 2_000_000), trees?.old ?? own);
  const producers = new Producers(stand, { seed, seconds, runsPerSecond, reportsPerSecond });
  return { stand, fleet, producers, watch: new Watch(stand), trees };
}

async function play(scene: Scene, options: RunOptions): Promise<RunResult> {
  const { stand, fleet, producers, watch } = scene;
  const { say, plan, seconds, instances = 2, hours = true } = options;
  for (let index = 0; index < instances; index++) fleet.add();
  await watch.start();
  producers.start();
  const faults = await disturb(scene, plan, seconds, say).catch(async (error: Error) => {
    say(`${error.message}\n${await describePipelines(scene)}`);
    throw error;
  });
  await producers.stop();
  const sent = Object.values(producers.sent).reduce((sum, records) => sum + records, 0);
  const peaceSinceMs = Date.now();
  const unsettled = await settle(scene, hours);
  const state = unsettled === '' ? 'all was settled' : `waited in vain for ${unsettled}`;
  say(
    `peace: ${sent} records sent, ${fleet.deaths} deaths of pipelines; ${state} after ${Date.now() - peaceSinceMs} ms`,
  );
  for (const death of fleet.ownDeaths) say(death);
  await watch.stop();
  const verdict = await judge(stand, watch, hours);
  if (unsettled !== '') {
    verdict.breach(6, [`waited in vain for ${unsettled}`]);
    say(await describePipelines(scene));
  }
  if (options.replays !== false && verdict.isClean) verdict.breach(8, await replayAll(stand, fleet));
  say(
    `watched: ${watch.commitsSeen} commits, ${watch.versionsSeen} versions, ${watch.samples.versions.size} moments of cells`,
  );
  if (!verdict.isClean) say(`the end of the pipelines' logs:\n${warningsOf(fleet.logs)}`);
  return { verdict, faults, sent };
}

/** What was sent and not stored, what each process says of itself, and the last lines that it logged. */
async function describePipelines({ stand, fleet, producers }: Scene): Promise<string> {
  const { executions, tasks, orchestrators } = producers.sent;
  const missing = await stand.missing().catch(String);
  const texts = fleet.running.map(async (process) => {
    const why = await process.whyNotReady().catch(String);
    const lag = await process.metric('weir_true_lag_records').catch(String);
    const lines = process.output().trimEnd().split('\n').slice(-12);
    const state = why === '' ? 'ready' : why;
    return [`pipeline ${process.launched.pid} (${state}, ${lag} records behind):`, ...lines].join('\n  ');
  });
  const sent = `sent: ${executions} executions, ${tasks} tasks, ${orchestrators} reports; ${missing} offsets not stored`;
  return [sent, ...fleet.ownDeaths, ...(await Promise.all(texts))].join('\n');
}

const warningsOf = (logs: string): string =>
  logs
    .split('\n')
    .filter((line) => /"level":[456]0/.test(line))
    .slice(-15)
    .join('\n');

/** Lanes go on beside one another; within one, a fault begins when it is due and the one before is over. */
async function disturb(
  scene: Scene,
  plan: readonly PlannedFault[],
  seconds: number,
  say: (line: string) => void,
): Promise<Map<string, number>> {
  const beganMs = Date.now();
  const counts = new Map<string, number>();
  const busy = new Map<string, Promise<void>>();
  const failures: Error[] = [];
  for (const { atMs, fault, params } of plan) {
    const lanes = lanesOf(fault);
    const before = Promise.all(lanes.map((lane) => busy.get(lane)));
    const injected = (async () => {
      await before;
      await pause(Math.max(0, beganMs + atMs - Date.now()));
      if (failures.length > 0) return;
      say(`${((Date.now() - beganMs) / 1_000).toFixed(1)} s: ${fault.name}`);
      await fault.inject(scene, params);
      counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
    })().catch((error: Error) => {
      failures.push(new Error(`${fault.name}: ${error.message}`, { cause: error }));
    });
    for (const lane of lanes) busy.set(lane, injected);
  }
  await Promise.all(busy.values());
  if (failures[0] !== undefined) throw failures[0];
  await pause(Math.max(0, beganMs + seconds * 1_000 - Date.now()));
  return counts;
}

/**
 * Nobody lends a hand: the lag has to go by itself, in the ledger and in what the pipelines say of it, and the roll-up job has to
 * follow. Says for what it waited in vain.
 */
async function settle({ stand, fleet }: Scene, hours: boolean): Promise<string> {
  if (!(await stand.waitStored(peaceMs))) return `${await stand.missing().catch(String)} records to be stored`;
  const lags = () => Promise.all(fleet.living.map((process) => process.metric('weir_true_lag_records').catch(() => 1)));
  if (!(await waitUntil(async () => (await lags()).every((records) => records === 0), peaceMs))) {
    return `the lag that pipelines report (${(await lags()).join(', ')})`;
  }
  return !hours || (await waitUntil(() => isRolledUp(stand), peaceMs)) ? '' : 'the roll-up job';
}

/** The roll-up job has ended a run that began after the last cell was written. */
async function isRolledUp({ database }: Stand): Promise<boolean> {
  const cells = ['execution', 'task', 'orchestrator'].map((kind) => `SELECT max(written_at) AS at FROM ${kind}_cells`);
  const [row] = await database.rows<{ isDone: number }>(
    `SELECT (SELECT min(complete_at) FROM rollup_cursors FINAL) > (SELECT max(at) FROM (${cells.join(' UNION ALL ')})) AS isDone`,
  );
  return row?.isDone === 1;
}
