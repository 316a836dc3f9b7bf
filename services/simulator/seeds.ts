import { createRandom, type Random } from './random.ts';

/**
 * A source of chance for one named thing. Every workflow, run and incident has its own, so that what happens to one
 * never changes what another draws: a world with an incident and one without differ by the incident alone.
 */
export function randomFor(seed: number, ...names: readonly (string | number)[]): Random {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  const text = names.join('\n');
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return createRandom(hash >>> 0);
}
