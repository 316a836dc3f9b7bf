import { type ExecutionTrace, startOf } from './execution-trace.ts';

/**
 * What is known of an execution when it starts, as named numbers: sizes in its input, the hour and the day, what
 * started it and its version. Sizes are logarithms, because durations grow with them by factors.
 */
export type Features = Map<string, number>;

/** @public */
export const featureDefaults = { inputFieldsMost: 12, valuesMost: 6 };

const hourMs = 3_600_000;

export function describeStart(execution: ExecutionTrace): Features {
  const features: Features = new Map();
  const atMs = startOf(execution);
  const hour = (atMs / hourMs) % 24;
  features.set('hour (sine)', Math.sin((2 * Math.PI * hour) / 24));
  features.set('hour (cosine)', Math.cos((2 * Math.PI * hour) / 24));
  const day = new Date(atMs).getUTCDay();
  features.set('weekend', day === 0 || day === 6 ? 1 : 0);
  if (execution.triggerType !== '') features.set(`trigger ${execution.triggerType}`, 1);
  if (execution.workflowVersion !== '') features.set(`version ${execution.workflowVersion}`, 1);
  if (execution.inputBytes !== null) features.set('input bytes', Math.log1p(execution.inputBytes));
  addInput(features, execution.input);
  return features;
}

/** Numbers, lengths of lists and short texts at the top of the input. */
function addInput(features: Features, input: string): void {
  let value: unknown;
  try {
    value = JSON.parse(input);
  } catch {
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, field] of Object.entries(value).slice(0, featureDefaults.inputFieldsMost)) {
    const amount = Array.isArray(field) ? field.length : field;
    if (typeof amount === 'number' && Number.isFinite(amount)) {
      features.set(`input ${name}`, Math.sign(amount) * Math.log1p(Math.abs(amount)));
    } else if (typeof amount === 'boolean') features.set(`input ${name}`, amount ? 1 : 0);
    else if (typeof amount === 'string' && amount.length <= 40) features.set(`input ${name} ${amount}`, 1);
  }
}

/** Names that vary and are seen often enough to learn from. */
export function chooseFeatures(rows: readonly Features[]): string[] {
  const counts = new Map<string, { seen: number; least: number; most: number }>();
  for (const row of rows) {
    for (const [name, value] of row) {
      const known = counts.get(name);
      if (known === undefined) counts.set(name, { seen: 1, least: value, most: value });
      else {
        known.seen++;
        known.least = Math.min(known.least, value);
        known.most = Math.max(known.most, value);
      }
    }
  }
  return [...counts]
    .filter(
      ([, { seen, least, most }]) => seen >= Math.max(5, rows.length / 20) && (seen < rows.length || most > least),
    )
    .sort((left, right) => right[1].seen - left[1].seen)
    .map(([name]) => name)
    .slice(0, Math.floor(rows.length / 5));
}
