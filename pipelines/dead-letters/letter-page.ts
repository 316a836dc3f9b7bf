import type { Origin } from '../../schemas/events.ts';
import { type FoundLetter, type LetterBytes, placeName, type Sequel } from './letters.ts';
import { instantText, meaningOf, printable } from './listing.ts';

/** Everything that is known of one dead letter. */
export interface LetterPage {
  letter: FoundLetter;
  origin: Origin;
  sequels: readonly Sequel[];
  /** Undefined where nobody asked for them, null where they are gone. */
  bytes: LetterBytes | null | undefined;
}

const bytesPerLine = 16;
const excerptNote = 'the beginning of the record, secrets removed';

export function renderPage({ letter, origin, sequels, bytes }: LetterPage): string {
  const { meaning, remedy } = meaningOf(letter.reason);
  const others = sequels.filter((sequel) => placeName(sequel) !== placeName(letter));
  const lines = [
    `${placeName(letter)} of ${letter.stream}`,
    `  record time  ${instantText(letter.recordTimeMs)}`,
    ...(placeName(origin) === placeName(letter)
      ? []
      : [`  first        ${placeName(origin)}${origin.item > 0 ? ` item ${origin.item}` : ''}`]),
    `  reason       ${letter.reason}: ${printable(letter.detail)}`,
    `  meaning      ${meaning}`,
    `  remedy       ${remedy}`,
    `  size         key ${letter.keyBytes} bytes, value ${letter.valueBytes} bytes`,
    ...others.map((sequel) => `  sent again   ${renderSequel(sequel)}`),
    `  excerpt      ${excerptNote}`,
    `    ${printable(letter.excerpt)}`,
    ...renderBytes(bytes),
  ];
  return `${lines.join('\n')}\n`;
}

function renderSequel(sequel: Sequel): string {
  const outcome = sequel.reason === '' ? 'stored' : `rejected: ${sequel.reason}`;
  return `${placeName(sequel)}  ${instantText(sequel.recordTimeMs)}  ${outcome}`;
}

function renderBytes(bytes: LetterBytes | null | undefined): string[] {
  if (bytes === undefined) return [];
  if (bytes === null) return ['  bytes        gone; they are kept for WEIR_DEAD_LETTER_BYTES_RETENTION_DAYS'];
  return [
    '  bytes        as they were sent; they may hold secrets',
    ...renderPart('key', bytes.key),
    ...bytes.headers.flatMap(({ name, value }) => renderPart(`header ${printable(name)}`, value)),
    ...renderPart('value', bytes.value),
  ];
}

/** Hexadecimal and text side by side. */
function renderPart(name: string, bytes: Buffer | null): string[] {
  if (bytes === null) return [`    ${name}: null`];
  const lines = [`    ${name}: ${bytes.length} bytes`];
  for (let at = 0; at < bytes.length; at += bytesPerLine) {
    const line = bytes.subarray(at, at + bytesPerLine);
    const hex = (line.toString('hex').match(/../g) ?? []).join(' ').padEnd(bytesPerLine * 3 - 1);
    const text = line.toString('latin1').replaceAll(/[^\x20-\x7e]/g, '.');
    lines.push(`      ${at.toString(16).padStart(8, '0')}  ${hex}  ${text}`);
  }
  return lines;
}
