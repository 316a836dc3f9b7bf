import { type RejectionMeaning, rejections } from '../rejections.ts';
import { type LetterGroup, placeName, type ReadLetter } from './letters.ts';

const excerptCharacters = 160;

export const meaningOf = (reason: string): Pick<RejectionMeaning, 'meaning' | 'remedy'> =>
  (rejections as Record<string, RejectionMeaning>)[reason] ?? {
    meaning: 'A reason that this release does not know.',
    remedy: 'Look at the detail of the record.',
  };

export const instantText = (ms: number): string => new Date(ms).toISOString();

export const formatCount = (count: number, what: string): string =>
  `${new Intl.NumberFormat('en').format(count)} ${what}${count === 1 ? '' : 's'}`;

/** What is in the way of a terminal stays visible and does nothing. */
export const printable = (text: string): string =>
  text.replaceAll(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);

export function renderList(
  groups: readonly LetterGroup[],
  newest: readonly ReadLetter[],
  foldsChains: boolean,
): string {
  if (groups.length === 0) return 'no dead letters\n';
  const total = groups.reduce((sum, { letters }) => sum + letters, 0);
  const lines = [formatCount(total, 'dead letter'), ...groups.flatMap(renderGroup), '', `newest ${newest.length}`];
  for (const letter of newest) lines.push(...renderLetter(letter));
  if (!foldsChains) {
    lines.push('', 'This user may not see which dead letters are replays of others, so each stands for itself.');
  }
  return `${lines.join('\n')}\n`;
}

function renderGroup(group: LetterGroup): string[] {
  const { topic, reason, letters, stored, rejectedAgain, firstMs, lastMs } = group;
  const { meaning, remedy } = meaningOf(reason);
  const since = [
    ...(stored > 0 ? [`${stored} stored by a replay`] : []),
    ...(rejectedAgain > 0 ? [`${rejectedAgain} rejected again`] : []),
  ];
  const times = `${instantText(firstMs)} to ${instantText(lastMs)}`;
  return [
    '',
    `${topic}  ${reason}  ${letters}${since.length > 0 ? ` (${since.join(', ')})` : ''}  ${times}`,
    `  ${meaning}`,
    `  ${remedy}`,
  ];
}

function renderLetter(letter: ReadLetter): string[] {
  const { reason, detail, excerpt, recordTimeMs } = letter;
  const short = excerpt.length > excerptCharacters ? `${excerpt.slice(0, excerptCharacters)}…` : excerpt;
  return [
    `  ${placeName(letter)}  ${instantText(recordTimeMs)}  ${reason}: ${printable(detail)}${fateOf(letter)}`,
    ...(short === '' ? [] : [`    ${printable(short)}`]),
  ];
}

function fateOf(letter: ReadLetter): string {
  const { origin, replays, isStored } = letter;
  const isFirst = placeName(origin) === placeName(letter);
  const first = isFirst ? '' : `  first ${placeName(origin)}${origin.item > 0 ? ` item ${origin.item}` : ''}`;
  const again = replays > 0 ? `, rejected again ${replays === 1 ? 'once' : `${replays} times`}` : '';
  return `${first}${again}${isStored ? '  stored by a replay' : ''}`;
}

/** The same for programs. */
export function describeList(
  groups: readonly LetterGroup[],
  newest: readonly ReadLetter[],
  foldsChains: boolean,
): string {
  const described = {
    foldsChains,
    groups: groups.map(({ firstMs, lastMs, ...group }) => ({
      ...group,
      first: instantText(firstMs),
      last: instantText(lastMs),
      ...meaningOf(group.reason),
    })),
    newest: newest.map(({ recordTimeMs, originTimeMs, ...letter }) => ({
      ...letter,
      recordTime: instantText(recordTimeMs),
      originTime: instantText(originTimeMs),
    })),
  };
  return `${JSON.stringify(described, null, 2)}\n`;
}
