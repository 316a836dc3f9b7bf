/** What the status line shows of the pipelines, read from their Prometheus metrics. */
export interface PipelineStatus {
  records: number;
  stored: number;
  deadLetters: number;
  trueLagRecords: number;
  freshnessSeconds: number | null;
}

interface Sample {
  name: string;
  labels: string;
  value: number;
}

export async function readPipelineStatus(metricsUrl: string): Promise<PipelineStatus | undefined> {
  try {
    const answer = await fetch(metricsUrl, { signal: AbortSignal.timeout(2_000) });
    return parsePipelineStatus(await answer.text());
  } catch {
    // The process is starting, or being started again: there is nothing to show meanwhile.
    return undefined;
  }
}

export function parsePipelineStatus(exposition: string): PipelineStatus {
  const samples = exposition.split('\n').flatMap(parseSample);
  const sum = (name: string, label = '') =>
    samples
      .filter((sample) => sample.name === name && sample.labels.includes(label))
      .reduce((total, sample) => total + sample.value, 0);
  const freshness = samples.find(({ name }) => name === 'weir_freshness_seconds')?.value;
  return {
    records: sum('weir_records_total'),
    stored: sum('weir_records_total', 'outcome="stored"'),
    deadLetters: sum('weir_records_total', 'outcome="dead_letter"'),
    trueLagRecords: sum('weir_true_lag_records'),
    freshnessSeconds: freshness === undefined || !Number.isFinite(freshness) ? null : freshness,
  };
}

function parseSample(line: string): Sample[] {
  const match = /^([a-z_]\w*)(\{.*\})? (\S+)/i.exec(line);
  return match ? [{ name: match[1], labels: match[2] ?? '', value: Number(match[3]) }] : [];
}

/** Rates come from two readings; counters that fell mean that the process was started again. */
export function renderStatus(now: PipelineStatus, before: PipelineStatus | undefined, elapsedMs: number): string {
  const arrived = before === undefined || now.records < before.records ? now.records : now.records - before.records;
  const perSecond = before === undefined ? 0 : (arrived * 1000) / elapsedMs;
  const freshness = now.freshnessSeconds === null ? 'no events yet' : `fresh ${now.freshnessSeconds.toFixed(1)} s`;
  return [
    `in ${Math.round(perSecond)}/s`,
    `stored ${group(now.stored)}`,
    `true lag ${group(now.trueLagRecords)}`,
    `dead letters ${group(now.deadLetters)}`,
    freshness,
  ].join(' · ');
}

function group(count: number): string {
  return String(Math.round(count)).replaceAll(/\B(?=(\d{3})+$)/g, ' ');
}
