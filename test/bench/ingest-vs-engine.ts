import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Database } from '../../clickhouse/client.ts';
import { taskType } from '../../schemas/wire.ts';
import { catchUp, type Encoding, fillTopic, type Run, taskSchemaId } from './catch-up.ts';
import {
  type EngineFormat,
  type EngineOptions,
  engineSettings,
  fastestQuantiles,
  readEngineProgress,
  startEngine,
  stopEngine,
} from './kafka-engine.ts';
import { type Bar, finishBench, median, round } from './report.ts';
import { BenchServers, cpuSecondsOf } from './servers.ts';

/**
 * Weir against ClickHouse's own Kafka engine with materialized views: the same topic, the same raw columns, the same minute
 * rollups with mergeable percentiles, the same two cores, in both orders, with equal counts at the end. Weir runs as shipped: it
 * also filters duplicates, joins ends with their starts, revises outcomes, keeps a ledger and survives any crash
 * without losing or doubling a record, none of which the engine does.
 */
const { values: options } = parseArgs({
  options: {
    records: { type: 'string', default: '1000000' },
    repeat: { type: 'string', default: '2' },
    consumers: { type: 'string', default: '2' },
  },
});
const records = Number(options.records);
const repeat = Number(options.repeat);

async function catchUpByEngine(servers: BenchServers, engine: EngineOptions, database: Database): Promise<Run> {
  const cpuBefore = cpuSecondsOf(servers.clickhouse.pid);
  await startEngine(database, engine);
  let startedMs = 0;
  // Joining the group is not counted for either side.
  while ((await readEngineProgress(database)) === 0) await sleep(20);
  startedMs = Date.now();
  while ((await countRows(database)) < records) await sleep(20);
  const seconds = (Date.now() - startedMs) / 1000;
  const run: Run = {
    recordsPerSecond: records / seconds,
    cpuMicrosPerRecord: 0,
    clickhouseCpuMicrosPerRecord: ((cpuSecondsOf(servers.clickhouse.pid) - cpuBefore) / records) * 1e6,
    peakMemoryMb: Number.NaN,
  };
  await stopEngine(database);
  await assertEngineCounts(database);
  return run;
}

async function countRows(database: Database): Promise<number> {
  const [row] = await database.rows<{ n: number }>('SELECT count() AS n FROM engine_raw');
  return row?.n ?? 0;
}

/** The second view may still be at its last block when the first has all rows. */
async function assertEngineCounts(database: Database): Promise<void> {
  const [row] = await database.rows<{ raw: number; counted: number; measured: number }>(
    `SELECT (SELECT count() FROM engine_raw) AS raw, sum(completed) + sum(running) AS counted, sum(completed_duration_us_sum) > 0 AS measured
     FROM engine_1m`,
  );
  if (row?.raw !== records || row.counted !== records || !row.measured) {
    throw new Error(`expected ${records} rows, as many starts and ends, and durations; found ${JSON.stringify(row)}`);
  }
}

async function diskBytesPerRecord(database: Database): Promise<number> {
  const [row] = await database.rows<{ bytes: number }>(
    'SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE database = currentDatabase() AND active',
  );
  return (row?.bytes ?? 0) / records;
}

/** The few answers that readers of Kafka ask a schema registry for. */
const registry = createServer((_, response) => {
  response.setHeader('content-type', 'application/vnd.schemaregistry.v1+json');
  response.end(JSON.stringify({ schema: JSON.stringify(taskType.schema({ exportAttrs: true })) }));
});
await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
const { port } = registry.address() as { port: number };
const registryUrl = `http://127.0.0.1:${port}`;
const servers = await BenchServers.start();
try {
  const rows: Record<string, string | number>[] = [];
  const bars: Bar[] = [];
  const quantiles = await fastestQuantiles(await servers.createDatabase());
  console.log(`the engine's percentiles: ${quantiles}; schema ${taskSchemaId} at a registry of the bench`);
  const encodings: { encoding: Encoding; formats: EngineFormat[] }[] = [
    { encoding: 'json', formats: ['JSONEachRow', 'JSONAsString'] },
    { encoding: 'confluent', formats: ['AvroConfluent'] },
  ];
  for (const { encoding, formats } of encodings) {
    const topic = `versus-${encoding}`;
    await fillTopic(servers, topic, encoding, records);
    const engines = formats.map(
      (format): EngineOptions => ({
        brokers: servers.kafka.brokers,
        topic,
        format,
        quantiles,
        consumers: Number(options.consumers),
        ...(format === 'AvroConfluent' ? { registryUrl } : {}),
      }),
    );
    for (const engine of engines) console.log(engineSettings(engine));
    const settings: Record<string, string> = encoding === 'confluent' ? { SCHEMA_REGISTRY_URL: registryUrl } : {};
    const contenders = [
      { name: 'weir', run: (database: Database) => catchUp(servers, topic, database, records, settings) },
      ...engines.map((engine) => ({
        name: `engine ${engine.format}`,
        run: (database: Database) => catchUpByEngine(servers, engine, database),
      })),
    ];
    const rates: Record<string, number[]> = Object.fromEntries(contenders.map(({ name }) => [name, []]));
    for (let turn = 0; turn < repeat; turn++) {
      for (const { name, run } of turn % 2 === 0 ? contenders : contenders.toReversed()) {
        const database = await servers.createDatabase();
        const result = await run(database);
        rates[name]?.push(result.recordsPerSecond);
        rows.push({
          run: `${encoding} ${name}`,
          'records/s': Math.round(result.recordsPerSecond),
          'own CPU us/record': round(result.cpuMicrosPerRecord),
          'ClickHouse CPU us/record': round(result.clickhouseCpuMicrosPerRecord),
          'disk bytes/record': round(await diskBytesPerRecord(database)),
          'peak memory MB': Math.round(result.peakMemoryMb),
        });
        console.log(rows.at(-1));
        await database.close();
      }
    }
    for (const { format } of engines) {
      const ratio = median(rates.weir as number[]) / median(rates[`engine ${format}`] as number[]);
      bars.push({ name: `weir-vs-engine-${format}`, value: ratio, unit: 'x', direction: 'at least', bound: 1 });
    }
  }
  finishBench('ingest-vs-engine', rows, bars);
} finally {
  await servers.stop();
  registry.close();
}
