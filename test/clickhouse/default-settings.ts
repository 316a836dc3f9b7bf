import { parseSettings, type Settings } from '../../schemas/settings.ts';

/** The settings of somebody who has set these and nothing else. */
export function defaultSettings(env: Record<string, string> = {}): Settings {
  const parsed = parseSettings(env);
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return parsed.settings;
}
