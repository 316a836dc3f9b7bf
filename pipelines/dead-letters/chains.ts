import { originHeaders } from '../../schemas/wire.ts';

/**
 * SQL that sees a record as one thing however often it was sent. A replay that is rejected again is a dead letter of its
 * own, whose headers say where the record first stood; all letters of one origin are a chain, and its newest one
 * stands for it. The headers are judged by the rules of the decoder, for which a header that cannot be read is none.
 */

const header = (name: string) => `arrayLast(header -> header.name = '${name}', headers).value`;
const isNumber = (text: string) => `match(${text}, '^[0-9]{1,16}$') AND toUInt64OrZero(${text}) <= 9007199254740991`;
const mostPartition = 0x7fffffff;

/** Dead letters with origin headers. The same names without rows where headers may not be read. */
const origins = `
  headed AS (
    SELECT stream, partition, offset, record_time, ${header(originHeaders.topic)} AS topic_text,
      ${header(originHeaders.partition)} AS partition_text, ${header(originHeaders.offset)} AS offset_text,
      ${header(originHeaders.item)} AS item_text, ${header(originHeaders.timestamp)} AS time_text
    FROM dead_letter_bytes FINAL
    WHERE record_time >= fromUnixTimestamp64Milli({fromMs: Int64})
      AND arrayExists(header -> header.name = '${originHeaders.topic}', headers)
  ),
  origins AS (
    SELECT stream, partition, offset, record_time, topic_text AS origin_topic,
      toUInt32(toUInt64OrZero(partition_text)) AS origin_partition, toUInt64OrZero(offset_text) AS origin_offset,
      toUInt32(if(${isNumber('item_text')}, least(toUInt64OrZero(item_text), ${mostPartition}), 0)) AS origin_item,
      if(${isNumber('time_text')}, toInt64(toUInt64OrZero(time_text)), toUnixTimestamp64Milli(record_time)) AS origin_ms
    FROM headed
    WHERE match(topic_text, '^[0-9A-Za-z_.-]{1,249}$') AND ${isNumber('partition_text')} AND ${isNumber('offset_text')}
      AND toUInt64OrZero(partition_text) <= ${mostPartition}
  )`;
const noOrigins = `
  origins AS (
    SELECT '' AS stream, toUInt32(0) AS partition, toUInt64(0) AS offset, now64(3) AS record_time, '' AS origin_topic,
      toUInt32(0) AS origin_partition, toUInt64(0) AS origin_offset, toUInt32(0) AS origin_item, toInt64(0) AS origin_ms
    WHERE {fromMs: Int64} < 0
  )`;

/** An origin names no epoch: of the record's own topic it is the record's own, of any other the present one. */
const originStream = (stream: string, originTopic: string) =>
  `if(splitByChar('@', toString(${stream}))[1] = ${originTopic}, toString(${stream}), ` +
  `transform(${originTopic}, {topics: Array(String)}, {streams: Array(String)}, ''))`;

const noStored = `
  SELECT '' AS stream, toUInt32(0) AS partition, toUInt64(0) AS offset, now64(3) AS record_time, '' AS origin_topic,
    toUInt32(0) AS origin_partition, toUInt64(0) AS origin_offset, toUInt32(0) AS origin_item WHERE {fromMs: Int64} < 0`;

/**
 * Stored records that stand for a dead letter; an event lies at most 7 days before its record. A row may show more than once,
 * which makes no difference to a set and costs less than FINAL.
 */
function storedIn(table: string): string {
  return `
    SELECT toString(stream) AS stream, partition, offset, record_time, origin[1].topic AS origin_topic,
      origin[1].partition AS origin_partition, origin[1].offset AS origin_offset, origin[1].item AS origin_item
    FROM ${table}
    WHERE notEmpty(origin) AND event_time >= fromUnixTimestamp64Milli({fromMs: Int64}) - INTERVAL 8 DAY
      AND (origin_topic IN (SELECT DISTINCT toString(topic) FROM dead_letters)
        OR (origin_topic, origin_partition, origin_offset, origin_item) IN (
          SELECT origin_topic, origin_partition, origin_offset, origin_item FROM origins))`;
}

/**
 * Makes `letters` (one row a chain), `origins` and `stored` known to a question. Takes the parameters `fromMs`, a time
 * before which no record is looked at, and the present `streams` with their `topics`.
 */
export function foldedLetters(rawTables: readonly string[], canReadHeaders: boolean): string {
  const stored = rawTables.length === 0 ? noStored : rawTables.map(storedIn).join(' UNION ALL ');
  return `
  WITH ${canReadHeaders ? origins : noOrigins},
  stored AS (${stored}),
  newest AS (
    SELECT argMax((toString(stream), partition, offset), (record_time, offset)) AS place, origin_topic, origin_partition,
      origin_offset, origin_item, min(origin_ms) AS origin_ms, count() AS links
    FROM origins GROUP BY origin_topic, origin_partition, origin_offset, origin_item
  ),
  single AS (
    SELECT toString(dead.stream) AS stream, toString(dead.topic) AS topic, dead.partition AS partition, dead.offset AS offset,
      toUnixTimestamp64Milli(dead.record_time) AS recordTimeMs, toString(dead.reason) AS reason, dead.detail AS detail,
      dead.excerpt AS excerpt, dead.key_bytes AS keyBytes, dead.value_bytes AS valueBytes,
      links > 0 ? newest.origin_topic : topic AS originTopic,
      links > 0 ? newest.origin_partition : dead.partition AS originPartition,
      links > 0 ? newest.origin_offset : dead.offset AS originOffset,
      newest.origin_item AS originItem,
      links > 0 ? newest.origin_ms : recordTimeMs AS originTimeMs,
      -- What an adapter published carries an origin of its own the first time.
      links > 0 AND NOT (has({topics: Array(String)}, originTopic) OR originTopic = topic) ? links - 1 : links AS replays
    FROM dead_letters AS dead FINAL
    LEFT JOIN newest ON toString(dead.stream) = newest.place.1 AND dead.partition = newest.place.2 AND dead.offset = newest.place.3
    WHERE dead.record_time >= fromUnixTimestamp64Milli({fromMs: Int64})
      AND (links > 0 OR (
        (toString(dead.stream), dead.partition, dead.offset) NOT IN (SELECT toString(stream), partition, offset FROM origins)
        AND (toString(dead.stream), dead.partition, dead.offset) NOT IN (
          SELECT ${originStream('stream', 'origin_topic')}, origin_partition, origin_offset FROM origins WHERE origin_item = 0)))
  ),
  letters AS (
    SELECT *, (${originStream('stream', 'originTopic')}, originTopic, originPartition, originOffset, originItem) IN (
      SELECT ${originStream('stream', 'origin_topic')}, origin_topic, origin_partition, origin_offset, origin_item FROM stored) AS isStored
    FROM single
  )`;
}

/** What became of the record of one origin, wherever it was sent again. */
export const sequelsOf = `
  SELECT DISTINCT splitByChar('@', source)[1] AS topic, partition, offset, toUnixTimestamp64Milli(record_time) AS recordTimeMs, reason
  FROM (
    SELECT stream AS source, partition, offset, record_time, '' AS reason, origin_topic, origin_partition, origin_offset, origin_item
    FROM stored
    UNION ALL
    SELECT toString(dead.stream), dead.partition, dead.offset, dead.record_time, toString(dead.reason), origins.origin_topic,
      origins.origin_partition, origins.origin_offset, origins.origin_item
    FROM dead_letters AS dead FINAL
    INNER JOIN origins ON dead.stream = origins.stream AND dead.partition = origins.partition AND dead.offset = origins.offset
  )
  WHERE origin_topic = {topic: String} AND origin_partition = {partition: UInt32} AND origin_offset = {offset: UInt64}
    AND origin_item = {item: UInt32}
  ORDER BY recordTimeMs, offset`;
