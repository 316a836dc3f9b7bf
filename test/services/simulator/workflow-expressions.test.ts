import { describe, expect, it } from 'vitest';
import { ExpressionError, evaluateText, findNames, parseExpression } from '../../../services/simulator/expressions.ts';

const values: Record<string, unknown> = {
  mode: 'fast',
  rows: 12,
  list: ['a', 'b'],
  nothing: null,
  tasks: { load: { output: { rows: 3, 'odd name': 1 } } },
};
const evaluate = (text: string) => evaluateText(text, (name) => values[name]);

describe('expressions', () => {
  it.each([
    ["mode == 'fast'", true],
    ['mode == "slow"', false],
    ['rows > 10 and rows <= 12', true],
    ['rows > 10 && !(rows <= 12)', false],
    ["not mode == 'slow'", true],
    ['nothing or rows', 12],
    ['2 + 3 * 4 - -1', 15],
    ['(2 + 3) * 4 % 7', 6],
    ["'n' + rows", 'n12'],
    ['size(list) == 2', true],
    ['list[1]', 'b'],
    ['list[rows - 11]', 'b'],
    ['tasks.load.output.rows', 3],
    ["tasks['load'].output['odd name']", 1],
    ['tasks.unknown.output.rows', null],
    ["'b' > 'a'", true],
    ['true != false', true],
    ['1.5', 1.5],
  ])('%s is %j', (text, value) => {
    expect(evaluate(text)).toEqual(value);
  });

  it('evaluate the right side only where it matters', () => {
    expect(evaluate('nothing != null and nothing.x > 3')).toBe(false);
    expect(evaluate("rows == 12 or rows < 'x'")).toBe(true);
  });

  it.each([
    ['nothing > 3', 'cannot compare null > 3'],
    ["rows < 'x'", 'cannot compare 12 < x'],
    ['mode * 2', 'cannot calculate * with fast'],
    ['rows / 0', 'cannot calculate 12 / 0'],
    ['size(rows)', '12 has no size'],
  ])('do not guess with values that do not fit: %s', (text, message) => {
    expect(() => evaluate(text)).toThrow(new ExpressionError(message));
  });

  it.each([
    ['', 'expected a value, but it ends'],
    ['rows >', 'expected a value, but it ends'],
    ['rows > > 3', 'expected a value, but there is ">" at 7'],
    ['(rows', 'expected ")", but it ends'],
    ['rows rows', 'expected an operator, but there is "rows" at 5'],
    ['rows = 3', 'cannot read "= 3" at 5'],
    ["mode == 'fast", `cannot read "'fast" at 8`],
    ['exit()', 'exit() is no function; there is only size()'],
    ['rows.', 'expected the name of a field, but it ends'],
    ['('.repeat(500), 'is nested too deeply'],
  ])('say what cannot be read: %s', (text, message) => {
    expect(() => parseExpression(text)).toThrow(message);
  });

  it('reach data and nothing that objects inherit', () => {
    for (const text of ['tasks.constructor', 'tasks.__proto__', "mode['length']", 'list.map', 'rows.toString']) {
      expect(evaluate(text), text).toBeNull();
    }
  });

  it('know which names they read', () => {
    const names = findNames(parseExpression('a.b.c > d and size(tasks.load.x) == e[f]'));
    expect(names.map(({ name, field }) => [name, field])).toEqual([
      ['a', 'b'],
      ['d', null],
      ['tasks', 'load'],
      ['e', null],
      ['f', null],
    ]);
  });
});
