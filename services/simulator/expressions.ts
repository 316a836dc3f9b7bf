/**
 * The small language of conditions and transforms: literals, names, field access, `not`, `and`, `or`, comparisons,
 * arithmetic and `size(...)`. It is read into a tree and walked; nothing of it ever becomes code.
 *
 *     mode == 'fast' and (tasks.extract.output.rows > 1000 or not dry_run)
 *
 * What is not there is null, so that a condition may ask for it. Comparing by order or calculating with anything but
 * numbers (or text with text) is an error, as bad data would be in a real system.
 */
export type Expression =
  | { kind: 'literal'; value: unknown }
  | { kind: 'name'; name: string }
  | { kind: 'field'; of: Expression; key: Expression }
  | { kind: 'unary'; operator: 'not' | '-'; operand: Expression }
  | { kind: 'binary'; operator: string; left: Expression; right: Expression }
  | { kind: 'size'; of: Expression };

/** The expression cannot be read, or not be evaluated with the values that there are. */
export class ExpressionError extends Error {
  override readonly name = 'ExpressionError';
}

export type ResolveName = (name: string) => unknown;

const parsed = new Map<string, Expression>();
// Definitions come and go; their expressions must not stay for ever.
const parsedMax = 10_000;

/** Throws an ExpressionError that says what is wrong and where. */
export function parseExpression(text: string): Expression {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  const expression = new Parser(text).parse();
  if (parsed.size >= parsedMax) parsed.clear();
  parsed.set(text, expression);
  return expression;
}

/** Parses and evaluates. */
export function evaluateText(text: string, resolve: ResolveName): unknown {
  return evaluate(parseExpression(text), resolve);
}

/** Null, false, 0 and '' do not hold. */
export function holds(text: string, resolve: ResolveName): boolean {
  return Boolean(evaluateText(text, resolve));
}

function evaluate(expression: Expression, resolve: ResolveName): unknown {
  switch (expression.kind) {
    case 'literal':
      return expression.value;
    case 'name':
      return resolve(expression.name) ?? null;
    case 'field':
      return readField(evaluate(expression.of, resolve), evaluate(expression.key, resolve));
    case 'size':
      return sizeOf(evaluate(expression.of, resolve));
    case 'unary': {
      const operand = evaluate(expression.operand, resolve);
      return expression.operator === 'not' ? !operand : -toNumber(operand, '-');
    }
    case 'binary':
      return evaluateBinary(expression, resolve);
  }
}

/** The names that an expression begins its paths with, for a checker: `tasks` with the task that it reads. */
export function findNames(expression: Expression): { name: string; field: string | null }[] {
  switch (expression.kind) {
    case 'literal':
      return [];
    case 'name':
      return [{ name: expression.name, field: null }];
    case 'field': {
      const { of, key } = expression;
      if (of.kind === 'name' && key.kind === 'literal') return [{ name: of.name, field: String(key.value) }];
      return [...findNames(of), ...findNames(key)];
    }
    case 'size':
      return findNames(expression.of);
    case 'unary':
      return findNames(expression.operand);
    case 'binary':
      return [...findNames(expression.left), ...findNames(expression.right)];
  }
}

function evaluateBinary(expression: Expression & { kind: 'binary' }, resolve: ResolveName): unknown {
  const { operator } = expression;
  const left = evaluate(expression.left, resolve);
  if (operator === 'and') return left ? evaluate(expression.right, resolve) : left;
  if (operator === 'or') return left ? left : evaluate(expression.right, resolve);
  const right = evaluate(expression.right, resolve);
  switch (operator) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
    case '<=':
    case '>':
    case '>=':
      return compare(operator, left, right);
    case '+':
      if (typeof left === 'string' || typeof right === 'string') return `${showValue(left)}${showValue(right)}`;
      return toNumber(left, operator) + toNumber(right, operator);
    default:
      return calculate(operator, toNumber(left, operator), toNumber(right, operator));
  }
}

function compare(operator: '<' | '<=' | '>' | '>=', left: unknown, right: unknown): boolean {
  const areNumbers = typeof left === 'number' && typeof right === 'number';
  if (!areNumbers && !(typeof left === 'string' && typeof right === 'string')) {
    throw new ExpressionError(`cannot compare ${showValue(left)} ${operator} ${showValue(right)}`);
  }
  if (operator === '<') return left < right;
  if (operator === '<=') return left <= right;
  return operator === '>' ? left > right : left >= right;
}

function calculate(operator: string, left: number, right: number): number {
  if (operator === '-') return left - right;
  if (operator === '*') return left * right;
  if (right === 0) throw new ExpressionError(`cannot calculate ${left} ${operator} 0`);
  return operator === '/' ? left / right : left % right;
}

function toNumber(value: unknown, operator: string): number {
  if (typeof value === 'number') return value;
  throw new ExpressionError(`cannot calculate ${operator} with ${showValue(value)}`);
}

/** Own fields only: what every object inherits is nobody's data. */
function readField(of: unknown, key: unknown): unknown {
  if (of === null || of === undefined || typeof of !== 'object') return null;
  const name = String(key);
  return Object.hasOwn(of, name) ? ((of as Record<string, unknown>)[name] ?? null) : null;
}

function sizeOf(value: unknown): number {
  if (value === null || value === undefined) return 0;
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  if (typeof value === 'object') return Object.keys(value).length;
  throw new ExpressionError(`${showValue(value)} has no size`);
}

const showValue = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value ?? null));

const tokenPattern =
  /\s*(?:(\d+(?:\.\d+)?)|'([^']*)'|"([^"]*)"|([A-Za-z_]\w*)|(==|!=|<=|>=|&&|\|\||[-+*/%<>!().[\]]))/y;
const words: Record<string, string> = { '&&': 'and', '||': 'or', '!': 'not' };
const literals = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
]);

interface Token {
  kind: 'number' | 'text' | 'name' | 'sign' | 'end';
  text: string;
  at: number;
}

function readTokens(text: string): Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  for (let at = 0; text.slice(at).trim() !== ''; at = tokenPattern.lastIndex) {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(text);
    if (match === null) throw new ExpressionError(`cannot read ${JSON.stringify(text.slice(at).trim())} at ${at + 1}`);
    const [, number, single, double, name, sign] = match;
    if (number !== undefined) tokens.push({ kind: 'number', text: number, at });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name, at });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: words[sign] ?? sign, at });
    else tokens.push({ kind: 'text', text: single ?? double, at });
  }
  tokens.push({ kind: 'end', text: 'the end', at: text.length });
  return tokens;
}

// Weakest first.
const levels = [['or'], ['and'], ['==', '!=', '<', '<=', '>', '>='], ['+', '-'], ['*', '/', '%']];
// Deeper nesting than any person writes would only exhaust the stack.
const depthMax = 100;

class Parser {
  readonly #tokens: Token[];
  #next = 0;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = readTokens(text);
  }

  parse(): Expression {
    const expression = this.#parseLevel(0);
    if (this.#token.kind !== 'end') throw this.#unexpected('an operator');
    return expression;
  }

  get #token(): Token {
    return this.#tokens[this.#next];
  }

  #isSign(...signs: string[]): boolean {
    const { kind, text } = this.#token;
    return (kind === 'sign' || kind === 'name') && signs.includes(text);
  }

  #parseLevel(level: number): Expression {
    if (level === levels.length) return this.#parseUnary();
    let left = this.#parseLevel(level + 1);
    while (this.#isSign(...levels[level])) {
      const operator = this.#tokens[this.#next++].text;
      left = { kind: 'binary', operator, left, right: this.#parseLevel(level + 1) };
    }
    return left;
  }

  #parseUnary(): Expression {
    if (++this.#depth > depthMax) throw new ExpressionError('is nested too deeply');
    try {
      if (this.#isSign('not', '-')) {
        const operator = this.#tokens[this.#next++].text as 'not' | '-';
        // `not a == b` means `not (a == b)`, as people read it; a minus binds tightly.
        return { kind: 'unary', operator, operand: operator === 'not' ? this.#parseLevel(2) : this.#parseUnary() };
      }
      return this.#parsePath();
    } finally {
      this.#depth--;
    }
  }

  #parsePath(): Expression {
    let expression = this.#parseAtom();
    for (;;) {
      if (this.#isSign('.')) {
        this.#next++;
        const { kind, text } = this.#token;
        if (kind !== 'name') throw this.#unexpected('the name of a field');
        this.#next++;
        expression = { kind: 'field', of: expression, key: { kind: 'literal', value: text } };
      } else if (this.#isSign('[')) {
        this.#next++;
        expression = { kind: 'field', of: expression, key: this.#parseLevel(0) };
        this.#expect(']');
      } else return expression;
    }
  }

  #parseAtom(): Expression {
    const token = this.#token;
    if (this.#isSign('(')) return this.#parseInParentheses();
    if (token.kind === 'end' || token.kind === 'sign' || ['and', 'or', 'not'].includes(token.text)) {
      if (token.kind !== 'text') throw this.#unexpected('a value');
    }
    this.#next++;
    if (token.kind === 'number') return { kind: 'literal', value: Number(token.text) };
    if (token.kind === 'text') return { kind: 'literal', value: token.text };
    if (literals.has(token.text)) return { kind: 'literal', value: literals.get(token.text) };
    if (!this.#isSign('(')) return { kind: 'name', name: token.text };
    if (token.text !== 'size') throw new ExpressionError(`${token.text}() is no function; there is only size()`);
    return { kind: 'size', of: this.#parseInParentheses() };
  }

  #parseInParentheses(): Expression {
    if (++this.#depth > depthMax) throw new ExpressionError('is nested too deeply');
    this.#expect('(');
    const inner = this.#parseLevel(0);
    this.#expect(')');
    this.#depth--;
    return inner;
  }

  #expect(sign: string): void {
    if (!this.#isSign(sign)) throw this.#unexpected(`"${sign}"`);
    this.#next++;
  }

  #unexpected(expected: string): ExpressionError {
    const { kind, text, at } = this.#token;
    const found = kind === 'end' ? 'it ends' : `there is ${JSON.stringify(text)} at ${at + 1}`;
    return new ExpressionError(`expected ${expected}, but ${found}`);
  }
}
