import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Database } from '../../clickhouse/client.ts';
import { alertWindowMs, type WindowInput } from '../../clickhouse/queries/alert-inputs.ts';
import { WindowReader } from '../../services/alerts/window-reader.ts';
import { Delivery, noOddities, type Outgoing } from '../../services/simulator/delivery.ts';
import { byTopic, packMessages } from '../../services/simulator/outgoing-messages.ts';
import { randomFor } from '../../services/simulator/seeds.ts';
import { AlertDrive, collectAlerts, type ToldAlert } from './alert-matching.ts';
import { incidentsPerDay, weekDays } from './alert-tally.ts';
import { dayMs, foldDays, playedMs } from './alert-weeks.ts';
import { durable } from './catch-up.ts';
import { type Bar, finishBench, round } from './report.ts';
import { BenchServers } from './servers.ts';
import { compareWindows, noDifferences, type WindowDifferences } from './window-differences.ts';

/**
 * Whether a week gives the same alerts on both ways: folded by the bench, as `bench -- alerts` judges many of them, and as
 * telemetry through Kafka, a pipeline and ClickHouse, read as the evaluator reads. Every event takes both ways, and both judges begin with
 * the first window and know nothing before it. What is lost, late or sent twice is not part of this.
 *
 * Two things may differ in windows, and are no fault of either way. Records come in another order than they happened in, by seconds, as a
 * start is told later than an end: of two attempts the second may be heard to begin first, so `started` of the task is counted in the next
 * window, and `contributions` counts a correction more or less. Nothing of a task is judged by these. And the pipeline publishes what
 * recurs by the hour, which folding does not know; but a week is too short to find that, and how much was found is told.
 */
const { values: options } = parseArgs({
  options: {
    days: { type: 'string', default: '7' },
    seed: { type: 'string', default: '6000' },
    /** Of the stretches of `bench -- alerts`: on the first seven there are no incidents. */
    'first-day': { type: 'string', default: String(weekDays) },
  },
});
const days = Number(options.days);
const seed = Number(options.seed);
const differencesShown = 20;
const topics = { executions: 'week.executions', tasks: 'week.tasks', orchestrators: 'week.orchestrators' };

/** Brokers refuse what has not happened yet, and storage what is too old: the newest Monday from which on all is over. */
function findStart(): number {
  const mondayMs = 4 * dayMs;
  const latestMs = Date.now() - days * dayMs - playedMs;
  return latestMs - ((latestMs - mondayMs) % (7 * dayMs));
}

const startMs = findStart();
const beganMs = performance.now();
const step = (name: string) => console.log(`${Math.round((performance.now() - beganMs) / 1000)} s: ${name}`);

/** A day at a time to both: folded, and over the demo's way to Kafka on which nothing goes wrong. */
async function playWeek(servers: BenchServers): Promise<{ windows: WindowInput[]; sent: number }> {
  const delivery = new Delivery(noOddities, randomFor(seed, 'delivery', startMs));
  const windows: WindowInput[] = [];
  let sent = 0;
  const spec = {
    seed,
    startMs,
    // Windows of a day are complete when the next was played.
    days: days + 1,
    incidentsPerDay: (day: number) => incidentsPerDay(day + Number(options['first-day'])),
  };
  for (const complete of foldDays(spec, { event: (event) => delivery.add(event), truth: () => {} })) {
    windows.push(...complete);
    for (const messages of packMessages(takeAll(delivery), Date.now())) {
      await servers.producer.sendBatch({ acks: -1, topicMessages: byTopic(messages, topics) });
      sent += messages.length;
    }
    step(`${sent} records sent`);
  }
  return { windows, sent };
}

function* takeAll(delivery: Delivery): Generator<Outgoing> {
  while (delivery.size > 0) yield delivery.take();
}

/** Every record is stored as a row; otherwise the two ways have not been given the same. */
async function waitUntilStored(database: Database, sent: number): Promise<void> {
  while ((await durable(database)) < sent) await sleep(200);
  const [row] = await database.rows<{ rows: number }>(
    `SELECT (SELECT count() FROM execution_events FINAL) + (SELECT count() FROM task_events FINAL)
       + (SELECT sum(stored) FROM chunks FINAL WHERE startsWith(stream, {stream: String})) AS rows`,
    { stream: topics.orchestrators },
  );
  if (row?.rows !== sent) throw new Error(`${sent} records were sent, and ${row?.rows} are stored as rows`);
}

/** Of durations, which alone are judged by what recurs. */
async function countSeasons(database: Database): Promise<number> {
  const [row] = await database.rows<{ n: number }>(
    `SELECT toFloat64(count()) AS n FROM baselines FINAL WHERE measure = 'duration' AND notEmpty(season)`,
  );
  return row?.n ?? 0;
}

interface Way {
  alerts: ToldAlert[];
  /** Every change of every alert, with those that were never told of. */
  changes: Set<string>;
}

function describeWay({ changes }: AlertDrive): Way {
  return {
    alerts: collectAlerts(changes, startMs + days * dayMs),
    changes: new Set(changes.map(({ alertId, state, eventTimeMs }) => `${alertId} ${state} ${eventTimeMs}`)),
  };
}

async function judgeStored(
  database: Database,
  windows: readonly WindowInput[],
): Promise<{ way: Way; differences: WindowDifferences }> {
  const reader = new WindowReader(database);
  const drive = new AlertDrive(reader.seasonOf);
  const differences = noDifferences();
  let at = 0;
  for await (const stored of reader.readFrom(startMs, startMs + days * dayMs)) {
    for (const window of stored) {
      drive.take(window);
      compareWindows(windows[at++] as WindowInput, window, differences);
    }
  }
  return { way: describeWay(drive), differences };
}

function judgeFolded(windows: readonly WindowInput[]): Way {
  const drive = new AlertDrive();
  for (const window of windows) drive.take(window);
  return describeWay(drive);
}

/** What has to be the same of an alert: the id stands for its rule, its series and the window that began it. */
const beginOf = ({ id, firedMs }: ToldAlert): string => `${id} ${firedMs}`;
const describeAlert = ({ ruleId, subjectKind, subjectId, firedMs, endMs, causeAlertId }: ToldAlert): string =>
  `${ruleId} of ${subjectKind} ${subjectId} from ${nameWindow(firedMs)} to ${nameWindow(endMs)}${causeAlertId === null ? '' : `, because of ${causeAlertId}`}`;
const nameWindow = (endMs: number): string => new Date(endMs - alertWindowMs).toISOString().slice(0, 16);

interface Compared {
  both: number;
  whole: number;
  all: number;
  lines: string[];
}

function compareAlerts(folded: readonly ToldAlert[], stored: readonly ToldAlert[]): Compared {
  const others = new Map(stored.map((alert) => [beginOf(alert), alert]));
  const result: Compared = { both: 0, whole: 0, all: 0, lines: [] };
  for (const alert of folded) {
    const twin = others.get(beginOf(alert));
    others.delete(beginOf(alert));
    if (twin === undefined) result.lines.push(`only folded: ${describeAlert(alert)}`);
    else {
      result.both++;
      if (describeAlert(alert) === describeAlert(twin)) result.whole++;
      else result.lines.push(`folded: ${describeAlert(alert)}; stored: ${describeAlert(twin)}`);
    }
  }
  result.lines.push(...[...others.values()].map((alert) => `only stored: ${describeAlert(alert)}`));
  result.all = folded.length + others.size;
  return result;
}

function tellDifferences({ lines }: Compared, { kinds }: WindowDifferences): void {
  for (const line of lines.slice(0, differencesShown)) console.log(line);
  if (lines.length > differencesShown) console.log(`and ${lines.length - differencesShown} more`);
  const inOrder = [...kinds].toSorted(([, one], [, other]) => other.n - one.n);
  for (const [kind, { n, example }] of inOrder) console.log(`${n} times ${kind}, first ${example}`);
}

function makeBars({ both, whole, all }: Compared): Bar[] {
  const share = (part: number) => (all === 0 ? 0 : part / all);
  const atLeastAll = { unit: 'of alerts', direction: 'at least', bound: 1 } as const;
  return [
    { name: 'alert-week-begin', value: share(both), ...atLeastAll },
    { name: 'alert-week-whole', value: share(whole), ...atLeastAll },
  ];
}

const servers = await BenchServers.start();
try {
  for (const topic of Object.values(topics)) await servers.createTopic(topic);
  const database = await servers.createDatabase();
  const pipeline = servers.startPipeline(database, topics, { WEIR_TOPIC_ORCHESTRATORS: topics.orchestrators });
  const { windows, sent } = await playWeek(servers);
  await waitUntilStored(database, sent);
  step('all stored');
  await pipeline.stop();
  const folded = judgeFolded(windows);
  const readFromMs = performance.now();
  const { way: stored, differences } = await judgeStored(database, windows);
  step('judged');
  const seasons = await countSeasons(database);
  const compared = compareAlerts(folded.alerts, stored.alerts);
  tellDifferences(compared, differences);
  finishBench(
    'alert-week',
    [
      { what: 'records sent', value: sent },
      { what: 'windows', value: windows.length },
      { what: 'subjects in windows', value: differences.shared },
      { what: 'of these alike', value: differences.alike },
      { what: 'baselines that know what recurs', value: seasons },
      { what: 'alerts as folded', value: folded.alerts.length },
      { what: 'alerts from ClickHouse', value: stored.alerts.length },
      { what: 'of these that begin alike', value: compared.both },
      { what: 'of these that end alike and have the same cause', value: compared.whole },
      { what: 'changes of alerts as folded', value: folded.changes.size },
      { what: 'changes of alerts from ClickHouse', value: stored.changes.size },
      { what: 'of these the same', value: [...folded.changes].filter((change) => stored.changes.has(change)).length },
      { what: 's to read and judge from ClickHouse', value: round((performance.now() - readFromMs) / 1000) },
    ],
    makeBars(compared),
  );
  await database.close();
} finally {
  await servers.stop();
}
