import { parseArgs } from 'node:util';
import { type Bar, finishBench, percentile, round } from './report.ts';
import { BenchServers } from './servers.ts';
import { measureFreshness } from './steady-load.ts';

/** How long an event takes from the broker's acknowledgement to a minute view, under three steady loads. */
const { values: options } = parseArgs({
  options: { seconds: { type: 'string', default: '30' }, rates: { type: 'string', default: '100,1000,5000' } },
});
const seconds = Number(options.seconds);
const boundAt = 1000;

const servers = await BenchServers.start();
try {
  const rows: Record<string, string | number>[] = [];
  const bars: Bar[] = [];
  for (const rate of options.rates.split(',').map(Number)) {
    const delays = await measureFreshness(servers, seconds, rate);
    const [p50, p99] = [percentile(delays, 0.5), percentile(delays, 0.99)];
    rows.push({ 'events/s': rate, events: delays.length, 'p50 ms': round(p50), 'p99 ms': round(p99) });
    console.log(rows.at(-1));
    if (rate !== boundAt) continue;
    bars.push({ name: `freshness-p99-at-${rate}`, value: p99 / 1000, unit: 's', direction: 'at most', bound: 2 });
  }
  finishBench('freshness', rows, bars);
} finally {
  await servers.stop();
}
