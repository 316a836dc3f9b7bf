/** How values stand in answers. */

/** Nothing but what is known: '' in a record says that its source did not tell. */
export const orNull = (text: string): string | null => (text === '' ? null : text);
export const toInstant = (ms: number): string => new Date(ms).toISOString();
export const toMaybeInstant = (ms: number | null | undefined): string | null => (ms == null ? null : toInstant(ms));

/** Instants of views come as text. */
export const toInstantText = (text: string | null): string | null =>
  text === null ? null : toInstant(Date.parse(text));

/** JSON text as the value that it stands for; text that was cut by its producer stays text. */
export function readJson(text: string): unknown {
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Why something is null, where it is. */
export const explainIf = (isNull: boolean, reasons: Record<string, string>): Record<string, string> =>
  isNull ? reasons : {};
