import type { Registry } from 'prom-client';

/** What every metric of prom-client carries, though its types do not say so. */
interface MetricDescription {
  name: string;
  help: string;
  type: string;
  labelNames: string[];
}

/** The metrics that a process really registers, as a table of the README. */
export function renderMetricsTable(registry: Registry): string {
  const rows = registry.getMetricsAsArray().map((metric) => {
    const { name, help, type, labelNames } = metric as unknown as MetricDescription;
    return `| \`${name}\` | ${type} | ${labelNames.map((label) => `\`${label}\``).join(' ')} | ${help} |`;
  });
  return ['| Metric | Type | Labels | Meaning |', '|---|---|---|---|', ...rows].join('\n');
}
