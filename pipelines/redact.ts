import { makeLiteralFinder } from './literals.ts';

/**
 * Takes secrets out of telemetry before anything else sees it: values under names that look like
 * credentials, and shapes of credentials in free text. Pure, and linear in the length of the text: every
 * expression either has a bounded length or takes in what it has looked at, so that no text is read twice.
 */

export const redacted = '[redacted]';

// Names of credentials. Short words that are part of harmless ones (design, author) need an end or a begin.
const credentialWord =
  'pass[-_. ]?(?:w(?:or)?d|phrase|code)|pwd|secret(?!ar)|token(?!i[sz])|(?:api|private|access|account|shared|encryption|signing|master|ssh|storage)[-_. ]?key|auth(?:orization)?(?![a-z])|cookie|connection[-_. ]?(?:string|uri|url)|session|credential|bearer|signature|(?<![a-z])(?:sig|dsn|jwt|creds?)(?![a-z])';

// Texts that are credentials by their shape, each read to its end so that nothing is read twice.
const shapeSources = [
  ':\\/\\/[^\\s/"\'<>\\\\]*',
  '-----BEGIN [A-Z0-9 ]{0,40}-----[^]*?(?:-----END [A-Z0-9 ]{0,40}-----|$)',
  '\\b(?:bearer|basic)(?:\\s{1,3}(?:bearer|basic)\\b)*\\s{1,3}[\\w.~+/=-]+',
  '\\b(?:AKIA|ASIA|eyJ|gh[pousr]_|github_pat_|xox[a-z]-|xapp-|glpat-|sk[-_]|rk_live_|AIza|hf_|npm_|pypi-|dop_v1_|SG\\.)[\\w.-]*',
].join('|');
const shapes = new RegExp(shapeSources, 'gi');
// In binary noise the byte before a text may look like a letter of it.
const shapesAnywhere = new RegExp(shapeSources.replaceAll('\\b(?:', '(?:'), 'gi');
const shapeAnchors =
  ':\\/\\/[^\\s/"\'<>\\\\]*@|-----BEGIN|\\bbasic\\s|\\b(?:AKIA|ASIA|eyJ|gh[pousr]_|github_pat_|xox[a-z]-|xapp-|glpat-|sk[-_]|rk_live_|AIza|hf_|npm_|pypi-|dop_v1_|SG\\.)';

// Every match of `suspect` holds one of these.
const findAnchor = makeLiteralFinder([
  ...[
    'pass',
    'pwd',
    'secret',
    'token',
    'key',
    'auth',
    'cookie',
    'connection',
    'session',
    'cred',
    'bearer',
    'sig',
    'dsn',
  ],
  ...[
    'jwt',
    '://',
    '-----begin',
    'basic',
    'akia',
    'asia',
    'eyj',
    'ghp_',
    'gho_',
    'ghu_',
    'ghs_',
    'ghr_',
    'github_pat_',
  ],
  ...['xox', 'xapp-', 'glpat-', 'sk-', 'sk_', 'rk_live_', 'aiza', 'hf_', 'npm_', 'pypi-', 'dop_v1_', 'sg.', '\\u00'],
]);
const suspect = new RegExp(`${credentialWord}|${shapeAnchors}|\\\\u00`, 'i');
const words = new RegExp(credentialWord, 'gi');
const exactWord = new RegExp(credentialWord);
// A name that measures or describes credentials (max_tokens, session_timeout_ms) holds none.
const measures =
  /(?:^|_)(?:max|min|num|n|total|count|limit|usage|used|size|bytes|length|rate|ms|seconds|minutes|type|prompt|completion|per|budget|timeout|ttl|expir\w*|age|duration|enabled|required|name)(?:_|$)/;

// Nearly all short text of telemetry repeats, and a look-up is an order of magnitude cheaper than a search.
const memoLength = 64;
const memoSize = 20_000;
const suspicions = new Map<string, boolean>();

/** The cheap pre-test: false means that the text holds nothing that redactText would change. */
export function mayHoldSecret(text: string): boolean {
  if (text.length > memoLength) return findAnchor(text) && suspect.test(text);
  let known = suspicions.get(text);
  if (known === undefined) {
    if (suspicions.size >= memoSize) suspicions.clear();
    known = findAnchor(text) && suspect.test(text);
    suspicions.set(text, known);
  }
  return known;
}

const credentialNames = new Map<string, boolean>();

export function isCredentialName(name: string): boolean {
  let known = credentialNames.get(name);
  if (known === undefined) {
    const plain = name
      .slice(0, 256)
      .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '_');
    const joined = plain.replaceAll('_', '');
    known =
      (exactWord.test(plain) || /password|passwd|passphrase|apikey|privatekey|accesskey/.test(joined)) &&
      !measures.test(plain);
    if (credentialNames.size >= memoSize) credentialNames.clear();
    if (name.length <= memoLength) credentialNames.set(name, known);
  }
  return known;
}

/** Replaces what looks like a credential; gives back the very same text where there is none. */
export function redactText(text: string): string {
  if (!mayHoldSecret(text)) return text;
  return redactPairs(text.replace(shapes, replaceShape));
}

function replaceShape(match: string): string {
  const first = match.charCodeAt(0);
  if (first === 58) {
    const at = match.lastIndexOf('@');
    if (at < 0) return match;
    const user = match.slice(3, at);
    const colon = user.indexOf(':');
    if (colon >= 0) return `://${user.slice(0, colon)}:${redacted}${match.slice(at)}`;
    // A lone user name is harmless, a token in its place is not.
    return user.length >= 16 ? `://${redacted}${match.slice(at)}` : match;
  }
  if (first === 45) return redacted;
  const scheme = /^(?:(?:bearer|basic)\s+)+/i.exec(match);
  if (scheme !== null) {
    const value = match.slice(scheme[0].length);
    // "Basic authentication" and "bearer token" are prose.
    return value.length < 8 || /^[A-Z]?[a-z]{1,20}[.]?$/.test(value) ? match : scheme[0] + redacted;
  }
  if (match.startsWith('eyJ')) return match.length >= 20 ? redacted : match;
  if (/^A[KS]IA/.test(match)) return match.length >= 16 ? redacted : match;
  if (/^sk[-_]/i.test(match)) return /[A-Za-z0-9]{16}/.test(match) && /\d/.test(match) ? redacted : match;
  return match.length >= 14 && /[0-9A-Z]/.test(match.slice(5)) ? redacted : match;
}

const nameCharacter = /[\w.-]/;
// Text within JSON within JSON has its quotes escaped more than once.
const separator = /^\\{0,8}["'`]?\s{0,4}(?:=>|[:=])\s{0,4}/;
const quotes = /^\\{0,8}["'`]/;
const longValueName = /cookie|authorization/i;

/** Replaces the values of `name=value`, `"name": "value"`, `name => value` and `--name value`. */
function redactPairs(text: string): string {
  let out = '';
  let done = 0;
  words.lastIndex = 0;
  for (let found = words.exec(text); found !== null; found = words.exec(text)) {
    let from = found.index;
    let to = words.lastIndex;
    const least = Math.max(done, from - 60);
    while (from > least && nameCharacter.test(text[from - 1])) from--;
    while (to < text.length && to - from < 120 && nameCharacter.test(text[to])) to++;
    const name = text.slice(from, to);
    words.lastIndex = to;
    const between = separator.exec(text.slice(to, to + 24));
    let start = to;
    if (between !== null) start += between[0].length;
    else if (name.startsWith('--') && text[to] === ' ') start += 1;
    else continue;
    if (!isCredentialName(name)) continue;
    const end = findValueEnd(text, start, name);
    const quote = quotes.exec(text.slice(start, start + 9))?.[0] ?? '';
    const inner = start + quote.length;
    if (end > inner && text.slice(inner, end) !== redacted) {
      out += text.slice(done, inner) + redacted;
      done = end;
    }
    words.lastIndex = Math.max(end, to);
  }
  return done === 0 ? text : out + text.slice(done);
}

/** Where the value that begins at `start` ends: at its closing quote or bracket, or before a delimiter. */
function findValueEnd(text: string, start: number, name: string): number {
  if (text.startsWith(redacted, start)) return start + redacted.length;
  const quote = quotes.exec(text.slice(start, start + 9))?.[0];
  if (quote !== undefined) {
    let end = start + quote.length;
    for (; end < text.length; end++) {
      if (text[end] === quote[0] && text[end - 1] !== '\\' && text.startsWith(quote, end)) return end;
    }
    return end;
  }
  const open = text[start];
  if (open === '[' || open === '{') {
    let depth = 0;
    let end = start;
    for (; end < text.length; end++) {
      if (text[end] === '[' || text[end] === '{') depth++;
      else if ((text[end] === ']' || text[end] === '}') && --depth === 0) return end + 1;
    }
    return end;
  }
  const delimiters = longValueName.test(name) ? /[\n\r,"'}\])<>]/g : /[\s,;&"'}\])<>\\]/g;
  delimiters.lastIndex = start;
  return delimiters.exec(text)?.index ?? text.length;
}

/** What was found while a structure was cleaned. */
export interface Findings {
  /** Paths of what was removed, below the name of the field. */
  names: string[];
}

const deepest = 32;

/** A copy of a JSON value without secrets; `path` names it in the findings. The same value where it is clean. */
export function redactValue(value: unknown, path: string, findings: Findings, depth = 0): unknown {
  if (typeof value === 'string') {
    // Producers nest JSON within JSON text; its escapes would hide a name from the search in text.
    const clean = value.includes('\\u00') ? redactText(unescapeAscii(value)) : redactText(value);
    if (clean !== value && clean.includes(redacted)) findings.names.push(path);
    return clean.includes(redacted) ? clean : value;
  }
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= deepest) return '[nested too deep]';
  if (Array.isArray(value)) return value.map((item) => redactValue(item, path, findings, depth + 1));
  const copy: Record<string, unknown> = {};
  for (const name of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[name];
    const cleanName = redactText(name);
    const itemPath = `${path}.${cleanName}`.slice(0, 200);
    if (name === '__proto__') continue;
    if (holdsCredential(name, item)) {
      if (item !== redacted) findings.names.push(itemPath);
      copy[cleanName] = redacted;
    } else {
      copy[cleanName] = redactValue(item, itemPath, findings, depth + 1);
    }
  }
  return copy;
}

/** Whether the value under this name is to be removed whole; counts of tokens and absent values are harmless. */
export function holdsCredential(name: string, value: unknown): boolean {
  if (value === null || value === undefined || value === '' || typeof value === 'boolean') return false;
  if (!isCredentialName(name)) return false;
  return !(typeof value === 'number' && /(?:token|session|cookie)s?$/i.test(name));
}

function unescapeAscii(text: string): string {
  return text.replace(/\\u00([2-7][0-9a-f])/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

const cutAddress = /:\/\/[^\s/"'<>\\·@]*$/;

/** Where a text was cut, the @ that tells a password in an address from a host may be missing. */
export function hideCutAddress(text: string): string {
  return text.replace(cutAddress, `://${redacted}`);
}

const excerptLength = 500;

const unprintable = /[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufffc]+/g;
// In binary encodings only a length stands between a name and its value, and it may look like a letter:
// there all that follows a name is taken, up to the end of the text after it.
const binaryPairs = new RegExp(`(${credentialWord})[^·]*(?:·[^·]*)?`, 'gi');

/** The begin of a record that could not be used, for people: printable, redacted, at most 500 characters. */
export function makeExcerpt(value: Buffer): string {
  const text = unescapeAscii(value.subarray(0, 8192).toString('utf8'));
  const plain = text.replace(/\s+/g, ' ');
  const printable = plain.replace(unprintable, '·');
  const joined = printable === plain ? plain : printable.replace(binaryPairs, `$1${redacted}`);
  return redactPairs(hideCutAddress(joined).replace(shapesAnywhere, replaceShape)).slice(0, excerptLength);
}
