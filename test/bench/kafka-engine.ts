import type { Database } from '../../clickhouse/client.ts';
import { taskDimensions } from '../../clickhouse/tables/cells.ts';
import { taskEventsTable } from '../../clickhouse/tables/runs.ts';
import { taskType } from '../../schemas/wire.ts';

/**
 * What a good ClickHouse user would build without Weir: the database's own Kafka engine, a materialized view into the
 * same raw columns and another into the same minute rollups with mergeable percentiles. Columns that only Weir has
 * (hashes, fold version, stream, origin) are left out.
 */
interface WireType {
  typeName: string;
  types?: WireType[];
  itemsType?: WireType;
  fields?: { name: string; type: WireType }[];
}

const wireFields = (taskType as unknown as { fields: { name: string; type: WireType }[] }).fields;
const ownColumns = new Set(['origin', 'stream', 'fold_version', 'thing_hash']);
const scalarTypes: Record<string, string> = {
  string: 'String',
  long: 'Int64',
  int: 'Int32',
  double: 'Float64',
  boolean: 'Bool',
  map: 'Map(String, String)',
};

function columnType(type: WireType): string {
  if (type.types !== undefined) return `Nullable(${columnType(type.types[1] as WireType)})`;
  if (type.typeName === 'array') return `Array(${columnType(type.itemsType as WireType)})`;
  if (type.typeName === 'record') {
    return `Tuple(${(type.fields ?? []).map((field) => `${field.name} ${columnType(field.type)}`).join(', ')})`;
  }
  return scalarTypes[type.typeName] as string;
}

const coordinates: Record<string, string> = {
  partition: '_partition',
  offset: '_offset',
  record_time: 'ifNull(_timestamp_ms, toDateTime64(0, 3))',
};

/** How a raw column follows from the fields on the wire. */
function expressionOf(column: string, type: string): string {
  const known = coordinates[column];
  if (known !== undefined) return known;
  if (column === 'cost_micros') return 'toInt64(round(cost * 1000000))';
  const field = wireFields.find(({ name }) => name === column);
  if (field === undefined) return `toInt64(round(${column.replace(/_us$/, '_ms')} * 1000))`;
  if (type.includes('DateTime64')) return `fromUnixTimestamp64Milli(${column}, 'UTC')`;
  if (columnType(field.type) === 'Nullable(String)') return `ifNull(${column}, '')`;
  return column;
}

const rawColumns = taskEventsTable.columns.filter(({ name }) => !ownColumns.has(name));

/**
 * How the engine reads. With a format that knows fields, it makes columns of one row for every message, which for a hundred
 * columns costs more than all the rest. Who knows that takes JSON as one text and cuts it into fields in the view, a block at
 * a time; Avro cannot be read so.
 */
export type EngineFormat = 'JSONEachRow' | 'JSONAsString' | 'AvroConfluent';

export interface EngineOptions {
  brokers: string;
  topic: string;
  format: EngineFormat;
  registryUrl?: string;
  /** An aggregate function of several levels with a mergeable state. */
  quantiles: string;
  consumers: number;
}

/** Of those whose error is about the one per cent that Weir's histograms have. */
const quantileCandidates = ['quantilesDD(0.01, 0.5, 0.9, 0.95, 0.99)', 'quantilesTDigest(0.5, 0.9, 0.95, 0.99)'];

/** The candidate whose states cost the server least, measured on small groups as a minute rollup has them. */
export async function fastestQuantiles(database: Database): Promise<string> {
  const timed: { quantiles: string; ms: number }[] = [];
  for (const quantiles of quantileCandidates) {
    const [name, rest] = quantiles.split('(') as [string, string];
    for (let round = 0; round < 3; round++) {
      const startedMs = performance.now();
      await database.rows(
        `SELECT sum(length(hex(state))) AS n FROM (SELECT ${name}State(${rest.slice(0, -1)})(toFloat64(rand64() % 5000000)) AS state
         FROM numbers(2000000) GROUP BY number % 20000)`,
      );
      timed.push({ quantiles, ms: performance.now() - startedMs });
    }
  }
  return (timed.sort((left, right) => left.ms - right.ms)[0] as { quantiles: string }).quantiles;
}

export const engineSettings = (options: EngineOptions): Record<string, string | number> => ({
  kafka_broker_list: options.brokers,
  kafka_topic_list: options.topic,
  kafka_group_name: `engine-${options.topic}-${Date.now()}`,
  kafka_format: options.format,
  kafka_num_consumers: options.consumers,
  kafka_thread_per_consumer: 1,
  kafka_max_block_size: 131_072,
  kafka_poll_max_batch_size: 131_072,
  kafka_flush_interval_ms: 1000,
  ...(options.registryUrl === undefined ? {} : { format_avro_schema_registry_url: options.registryUrl }),
});

const counts = ['running', 'completed', 'failed', 'cancelled', 'timeout', 'partial', 'skipped', 'queued', 'retrying'];
const distributions: Record<string, [value: string, condition: string]> = {
  completed_duration_us: ['took', "state = 'completed'"],
  other_duration_us: ['took', "state IN ('failed', 'cancelled', 'timeout', 'partial')"],
  queue_us: ['queue_us', "state IN ('completed', 'failed', 'cancelled', 'timeout', 'partial')"],
  attempt_duration_us: ['took', "state IN ('completed', 'failed', 'cancelled', 'timeout', 'partial')"],
};
const quantities = ['cost_micros', 'cpu_us', 'memory_peak_bytes'];

function rollupColumns(quantiles: string): { name: string; type: string; select: string }[] {
  const [fn, rest] = quantiles.split('(') as [string, string];
  const levels = rest.slice(0, -1);
  const simple = (how: string, type: string) => `SimpleAggregateFunction(${how}, ${type})`;
  return [
    ...counts.map((state) => ({
      name: state,
      type: simple('sum', 'Int64'),
      select: `toInt64(countIf(state = '${state}'))`,
    })),
    ...Object.entries(distributions).flatMap(([name, [value, condition]]) => [
      {
        name: `${name}_sum`,
        type: simple('sum', 'Int64'),
        select: `sumIf(toInt64(ifNull(${value}, 0)), ${condition})`,
      },
      {
        name: `${name}_min`,
        type: simple('min', 'Nullable(Int64)'),
        select: `minIf(toInt64(${value}), ${condition})`,
      },
      {
        name: `${name}_max`,
        type: simple('max', 'Nullable(Int64)'),
        select: `maxIf(toInt64(${value}), ${condition})`,
      },
      {
        name: `${name}_quantiles`,
        type: `AggregateFunction(${fn}If(${levels}), Float64, UInt8)`,
        select: `${fn}IfState(${levels})(toFloat64(ifNull(${value}, 0)), (${condition}) AND isNotNull(${value}))`,
      },
    ]),
    ...quantities.flatMap((name) => [
      { name: `${name}_n`, type: simple('sum', 'Int64'), select: `toInt64(count(${name}))` },
      { name: `${name}_sum`, type: simple('sum', 'Int64'), select: `sum(ifNull(${name}, 0))` },
      { name: `${name}_max`, type: simple('max', 'Nullable(Int64)'), select: `max(${name})` },
    ]),
  ];
}

/** Makes tables and views; the engine begins to read when the last view stands. */
export async function startEngine(database: Database, options: EngineOptions): Promise<void> {
  const settings = Object.entries(engineSettings(options)).map(([name, value]) => `${name} = '${value}'`);
  await database.command(
    `CREATE TABLE engine_raw (${rawColumns.map(({ name, type }) => `\`${name}\` ${type}`).join(', ')})
     ENGINE = MergeTree PARTITION BY toDate(event_time)
     ORDER BY (workspace, source, execution_id, task_id, map_index, partition, offset)`,
  );
  const rollup = rollupColumns(options.quantiles);
  const dims = taskDimensions.map((name) => `\`${name}\` LowCardinality(String)`);
  await database.command(
    `CREATE TABLE engine_1m (${dims.join(', ')}, window_start DateTime('UTC'),
       ${rollup.map(({ name, type }) => `${name} ${type}`).join(', ')})
     ENGINE = AggregatingMergeTree PARTITION BY toDate(window_start)
     ORDER BY (workspace, workflow_id, task_id, project, source, workflow_version, task_type, pool, window_start)`,
  );
  const fields = wireFields.map(({ name, type }) => `\`${name}\` ${columnType(type)}`).join(', ');
  const isText = options.format === 'JSONAsString';
  await database.command(
    `CREATE TABLE engine_queue (${isText ? 'message String' : fields}) ENGINE = Kafka SETTINGS ${settings.join(', ')}`,
  );
  // The rollup reads what the raw view has made of a block, so that nothing is read or converted twice.
  await database.command(
    `CREATE MATERIALIZED VIEW engine_to_1m TO engine_1m AS
     WITH (duration_us IS NULL ? dateDiff('microsecond', started_at, event_time) : duration_us) AS took
     SELECT ${taskDimensions.join(', ')}, toStartOfMinute(event_time) AS window_start,
       ${rollup.map(({ name, select }) => `${select} AS ${name}`).join(',\n       ')}
     FROM engine_raw GROUP BY ALL`,
  );
  const cut = `SELECT JSONExtract(message, 'Tuple(${fields})') AS record, _partition, _offset, _timestamp_ms FROM engine_queue`;
  const names = wireFields.map(({ name }) => `record.\`${name}\` AS \`${name}\``).join(', ');
  const source = isText ? `(SELECT ${names}, _partition, _offset, _timestamp_ms FROM (${cut}))` : 'engine_queue';
  await database.command(
    `CREATE MATERIALIZED VIEW engine_to_raw TO engine_raw AS
     SELECT ${rawColumns.map(({ name, type }) => `${expressionOf(name, type)} AS \`${name}\``).join(', ')} FROM ${source}`,
  );
}

/** Records that the engine has taken from Kafka so far. */
export async function readEngineProgress(database: Database): Promise<number> {
  const [row] = await database.rows<{ n: number }>(
    `SELECT sum(num_messages_read) AS n FROM system.kafka_consumers WHERE database = currentDatabase()`,
  );
  return row?.n ?? 0;
}

export async function stopEngine(database: Database): Promise<void> {
  for (const relation of ['engine_to_raw', 'engine_to_1m', 'engine_queue']) {
    await database.command(`DROP TABLE IF EXISTS ${relation} SYNC`);
  }
}
