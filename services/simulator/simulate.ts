import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { type ScenarioName, scenarioNames, scenarios } from './scenarios.ts';
import { Segment } from './segment.ts';
import { encodeTruth } from './truth.ts';

const help = `npm run simulate: writes the telemetry of a scenario, and what was planted in it, as files.

  npm run simulate -- [options]

  --scenario S   ${scenarioNames.slice(0, 4).join(', ')},
                 ${scenarioNames.slice(4).join(' or ')} (default demo)
  --seed N       the same seed writes the same bytes (default 1)
  --days D       days of arrivals (default 1)
  --start DATE   first day, as 2026-11-02 (default 2026-11-02)
  --out FILE     JSON lines, one record each: {"topic", "key", "timestamp", "record"};
                 what was planted goes to FILE with .truth before its ending
  --help         this text`;

const dayMs = 86_400_000;
const sliceMs = 600_000;
const badUsageExitCode = 2;

interface Wishes {
  scenario: ScenarioName;
  seed: number;
  days: number;
  startMs: number;
  out: string;
}

function readWishes(args: string[]): Wishes {
  const { values } = parseArgs({
    args,
    options: {
      scenario: { type: 'string', default: 'demo' },
      seed: { type: 'string', default: '1' },
      days: { type: 'string', default: '1' },
      start: { type: 'string', default: '2026-11-02' },
      out: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(help);
    process.exit(0);
  }
  const scenario = scenarioNames.find((name) => name === values.scenario);
  if (scenario === undefined) throw new Error(`there is no scenario ${values.scenario}`);
  const [seed, days, startMs] = [Number(values.seed), Number(values.days), Date.parse(`${values.start}T00:00:00Z`)];
  if (!Number.isInteger(seed) || seed < 0) throw new Error('--seed has to be a whole number');
  if (!Number.isInteger(days) || days < 1) throw new Error('--days has to be a whole number from 1');
  if (Number.isNaN(startMs)) throw new Error('--start has to be a date such as 2026-11-02');
  if (values.out === undefined) throw new Error('--out has to name a file');
  return { scenario, seed, days, startMs, out: values.out };
}

async function simulate({ scenario, seed, days, startMs, out }: Wishes): Promise<void> {
  const truthFile = /\.[^./]+$/.test(out) ? out.replace(/(\.[^./]+)$/, '.truth$1') : `${out}.truth`;
  const [telemetry, truth] = [createWriteStream(out), createWriteStream(truthFile)];
  let records = 0;
  let planted = 0;
  for (let day = 0; day < days; day++) {
    const [dayStartMs, endMs] = [startMs + day * dayMs, startMs + (day + 1) * dayMs];
    const place = { startMs: dayStartMs, endMs, gridEndMs: endMs, firstMs: startMs };
    const spec = { ...place, scenario, seed, scale: 1, detailFromMs: Number.POSITIVE_INFINITY };
    const segment = new Segment(spec, scenarios[scenario]);
    while (!segment.isOver) {
      let lines = '';
      for (const { topic, key, eventTimeMs, record } of segment.takeUntil(segment.takenMs + sliceMs)) {
        lines += `${JSON.stringify({ topic, key, timestamp: eventTimeMs, record })}\n`;
        records++;
      }
      await write(telemetry, lines);
      const truths = segment.takeTruths();
      planted += truths.length;
      await write(truth, truths.map((record) => `${encodeTruth(record)}\n`).join(''));
    }
    console.error(`day ${day + 1} of ${days}: ${records} records, ${planted} incidents`);
  }
  await Promise.all([telemetry, truth].map((stream) => new Promise<void>((done) => stream.end(done))));
  console.error(`${out} and ${truthFile} are written`);
}

async function write(stream: WriteStream, text: string): Promise<void> {
  if (text !== '' && !stream.write(text)) await once(stream, 'drain');
}

try {
  await simulate(readWishes(process.argv.slice(2)));
} catch (error) {
  console.error(`${(error as Error).message}\n\n${help}`);
  process.exit(badUsageExitCode);
}
