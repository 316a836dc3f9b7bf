/**
 * How the text of an environment variable becomes a value. A kind knows nothing of any one setting; it answers with
 * the value, or with what was wrong and what would be right.
 */
export interface Kind<Value> {
  /** As the table in the README names it. */
  type: string;
  unit?: string;
  parse(text: string): Parsed<Value>;
}

type Parsed<Value> = { value: Value } | { wrong: string; remedy: string };

export const text: Kind<string> = { type: 'text', parse: (given) => ({ value: given }) };

/** A path that has to be there already, such as a certificate. */
export const file: Kind<string> = { type: 'file', parse: (given) => ({ value: given }) };

export const folder: Kind<string> = { type: 'folder', parse: (given) => ({ value: given }) };

const yes = ['true', '1', 'yes', 'on'];
const no = ['false', '0', 'no', 'off'];

export const flag: Kind<boolean> = {
  type: 'true or false',
  parse(given) {
    const lower = given.toLowerCase();
    if (yes.includes(lower)) return { value: true };
    if (no.includes(lower)) return { value: false };
    return { wrong: 'is neither true nor false', remedy: 'write true or false' };
  },
};

interface Range {
  min: number;
  max: number;
  unit?: string;
  powerOfTwo?: boolean;
}

/** A whole number; underscores may group its digits. */
export function whole({ min, max, unit, powerOfTwo = false }: Range): Kind<number> {
  const remedy = `write a ${powerOfTwo ? 'power of two' : 'whole number'} from ${min} to ${max}`;
  return {
    type: powerOfTwo ? 'power of two' : 'whole number',
    ...(unit === undefined ? {} : { unit }),
    parse(given) {
      if (!/^-?\d[\d_]*$/.test(given)) return { wrong: 'is no whole number', remedy };
      const value = Number(given.replaceAll('_', ''));
      if (value < min || value > max) return { wrong: 'is out of range', remedy };
      if (powerOfTwo && !Number.isInteger(Math.log2(value))) return { wrong: 'is no power of two', remedy };
      return { value };
    },
  };
}

export function oneOf<const Choice extends string>(choices: readonly Choice[]): Kind<Choice> {
  return {
    type: choices.filter((choice) => choice !== '').join(', '),
    parse(given) {
      const found = choices.find((choice) => choice === given.toLowerCase());
      if (found !== undefined) return { value: found };
      return { wrong: 'is not one of the choices', remedy: `write one of ${choices.filter(Boolean).join(', ')}` };
    },
  };
}

/** Any number of some choices, with commas between. */
export function someOf<const Choice extends string>(choices: readonly Choice[]): Kind<readonly Choice[]> {
  return {
    type: `${choices.join(', ')}, …`,
    parse(given) {
      const list = given
        .split(',')
        .map((name) => name.trim().toLowerCase())
        .filter((name) => name !== '');
      const bad = list.find((name) => !choices.includes(name as Choice));
      if (bad === undefined) return { value: Object.freeze(list as Choice[]) };
      return { wrong: `holds ${bad}, which is not one of the choices`, remedy: `write some of ${choices.join(', ')}` };
    },
  };
}

/** `host:port`, one or several with commas between. */
export const addresses: Kind<readonly string[]> = {
  type: 'host:port, …',
  parse(given) {
    const list = given
      .split(',')
      .map((address) => address.trim())
      .filter((address) => address !== '');
    const bad = list.find((address) => !/^(\[[\da-f:]+\]|[\w.-]+):\d{1,5}$/i.test(address));
    if (bad === undefined) return { value: Object.freeze(list) };
    return { wrong: `holds ${bad}, which is no host:port`, remedy: 'write host:port, with commas between several' };
  },
};

/** Credentials have settings of their own: in an address they would end up in logs. */
export const httpAddress: Kind<string> = {
  type: 'http(s) address',
  parse(given) {
    if (given === '') return { value: '' };
    const remedy = 'write it as http://host:port or https://host:port';
    if (!URL.canParse(given)) return { wrong: 'is no address', remedy };
    const { protocol, username, password } = new URL(given);
    if (protocol !== 'http:' && protocol !== 'https:') return { wrong: 'is not http or https', remedy };
    if (username === '' && password === '') return { value: given.replace(/\/+$/, '') };
    return { wrong: 'holds a user or a password', remedy: 'use the settings for user and password instead' };
  },
};

/** One or several, with commas between. */
export const httpAddresses: Kind<readonly string[]> = {
  type: 'http(s) address, …',
  parse(given) {
    const list = given
      .split(',')
      .map((address) => address.trim())
      .filter((address) => address !== '')
      .map((address) => httpAddress.parse(address));
    const bad = list.find((parsed) => 'wrong' in parsed);
    if (bad !== undefined && 'wrong' in bad) return bad;
    return { value: Object.freeze(list.flatMap((parsed) => ('value' in parsed ? [parsed.value] : []))) };
  },
};

const leastKeyLetters = 32;

/** A key that nobody has to type: long enough not to be guessed. */
export const secretKey: Kind<string> = {
  type: 'text',
  parse(given) {
    if (given === '' || given.length >= leastKeyLetters) return { value: given };
    const remedy = `write at least ${leastKeyLetters} letters that cannot be guessed, for example from openssl rand -base64 32`;
    return { wrong: 'is too short', remedy };
  },
};

/** Origins of web pages, as browsers send them: no path. */
export const origins: Kind<readonly string[]> = {
  type: 'http(s) origin, …',
  parse(given) {
    const list = given
      .split(',')
      .map((origin) => origin.trim())
      .filter((origin) => origin !== '');
    const bad = list.find((origin) => !URL.canParse(origin) || new URL(origin).origin !== origin);
    if (bad === undefined) return { value: Object.freeze(list) };
    return { wrong: `holds ${bad}, which is no origin`, remedy: 'write https://host or https://host:port' };
  },
};

/** Names of topics and groups as Kafka takes them. */
export const kafkaName: Kind<string> = {
  type: 'name',
  parse(given) {
    if (/^[\w.-]{1,249}$/.test(given)) return { value: given };
    return { wrong: 'is no name that Kafka takes', remedy: 'use letters, digits, dots, dashes and underscores' };
  },
};

/** A name that may stand in SQL unquoted. */
export const sqlName: Kind<string> = {
  type: 'name',
  parse(given) {
    if (/^[A-Za-z_]\w{0,62}$/.test(given)) return { value: given };
    return { wrong: 'is no plain SQL name', remedy: 'use letters, digits and underscores, beginning with a letter' };
  },
};
