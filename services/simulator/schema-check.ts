/** Something wrong, where it is, and what would be right. */
export interface Problem {
  /** As one would write it in code: `tasks[2].retry.delayMs`; '' for the whole. */
  path: string;
  message: string;
  remedy: string;
}

/** The part of JSON Schema that is understood here; anything else in a schema is a mistake of ours. */
export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  description?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  propertyNames?: Schema;
  minProperties?: number;
  maxProperties?: number;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  pattern?: string;
  /** Checked by a function of that name; null where the text is right. */
  format?: string;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
}

export type Formats = Readonly<Record<string, (text: string) => string | null>>;

/**
 * Everything about a value that a schema forbids, each with its place. Of a `oneOf` the branch is chosen first, by the
 * type of the value or by a constant that tells the branches apart, so that one mistake is one problem and not one for
 * each branch.
 */
export function checkSchema(value: unknown, schema: Schema, formats: Formats): Problem[] {
  return new SchemaChecker(schema, formats).check(value);
}

class SchemaChecker {
  readonly #root: Schema;
  readonly #formats: Formats;
  #problems: Problem[] = [];

  constructor(root: Schema, formats: Formats) {
    this.#root = root;
    this.#formats = formats;
  }

  check(value: unknown): Problem[] {
    this.#visit(value, this.#root, '');
    return this.#problems;
  }

  #visit(value: unknown, given: Schema, path: string): void {
    const schema = this.#resolve(given);
    if (schema.oneOf !== undefined) {
      this.#visitOneOf(value, schema, schema.oneOf, path);
      return;
    }
    if (schema.type !== undefined && !isOfType(value, schema.type)) {
      this.#report(path, `is ${describe(value)}, not ${withArticle(schema.type)}`, schema);
      return;
    }
    const { enum: allowed = 'const' in schema ? [schema.const] : null } = schema;
    if (allowed !== null && !allowed.includes(value)) {
      this.#report(
        path,
        `is ${describe(value)}, not ${allowed.map((one) => JSON.stringify(one)).join(' or ')}`,
        schema,
      );
    }
    if (typeof value === 'string') this.#visitText(value, schema, path);
    if (typeof value === 'number') this.#visitNumber(value, schema, path);
    if (Array.isArray(value)) this.#visitList(value, schema, path);
    else if (typeof value === 'object' && value !== null) this.#visitObject(value as Fields, schema, path);
  }

  /** A schema that refers to another may describe it better. */
  #resolve(schema: Schema): Schema {
    if (schema.$ref === undefined) return schema;
    const target = this.#root.$defs?.[schema.$ref.replace('#/$defs/', '')];
    if (target === undefined) throw new Error(`the schema has no ${schema.$ref}`);
    const { $ref, ...rest } = schema;
    return { ...this.#resolve(target), ...rest };
  }

  #visitOneOf(value: unknown, schema: Schema, given: Schema[], path: string): void {
    const branches = given.map((branch) => this.#resolve(branch));
    const ofType = branches.filter(({ type = 'object' }) => isOfType(value, type));
    if (ofType.length === 0) {
      const types = [...new Set(branches.map(({ type = 'object' }) => withArticle(type)))].join(' or ');
      this.#report(path, `is ${describe(value)}, not ${types}`, schema);
    } else if (ofType.length === 1) {
      this.#visit(value, ofType[0], path);
    } else {
      this.#visitByConstant(value as Fields, ofType, path);
    }
  }

  #visitByConstant(value: Fields, branches: Schema[], path: string): void {
    const key = Object.entries(branches[0].properties ?? {}).find(([, { const: one }]) => one !== undefined)?.[0] ?? '';
    const branch = branches.find(({ properties }) => properties?.[key]?.const === value[key]);
    if (branch !== undefined) {
      this.#visit(value, branch, path);
      return;
    }
    const choices = branches.map(({ properties }) => String(properties?.[key]?.const)).join(', ');
    const message = value[key] === undefined ? 'is missing' : `is ${describe(value[key])}, which it cannot be`;
    this.#problems.push({ path: fieldPath(path, key), message, remedy: `write one of ${choices}` });
  }

  #visitText(value: string, schema: Schema, path: string): void {
    const { minLength = 0, pattern, format } = schema;
    if (value.trim().length < minLength) this.#report(path, 'is empty', schema);
    else if (pattern !== undefined && !new RegExp(pattern).test(value)) {
      this.#report(path, `is ${describe(value)}, which it cannot be`, schema);
    } else if (format !== undefined) {
      const wrong = this.#formats[format](value);
      if (wrong !== null) this.#report(path, `is ${describe(value)}: ${wrong}`, schema);
    }
  }

  #visitNumber(value: number, schema: Schema, path: string): void {
    const { minimum, exclusiveMinimum, maximum } = schema;
    if (minimum !== undefined && value < minimum) this.#report(path, `is ${value}, below ${minimum}`, schema);
    if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) {
      this.#report(path, `is ${value}, not above ${exclusiveMinimum}`, schema);
    }
    if (maximum !== undefined && value > maximum) this.#report(path, `is ${value}, above ${maximum}`, schema);
  }

  #visitList(value: unknown[], schema: Schema, path: string): void {
    const { items, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = schema;
    if (value.length < minItems) this.#report(path, `has ${value.length} entries, fewer than ${minItems}`, schema);
    if (value.length > maxItems) this.#report(path, `has ${value.length} entries, more than ${maxItems}`, schema);
    if (items !== undefined) for (const [index, item] of value.entries()) this.#visit(item, items, `${path}[${index}]`);
  }

  #visitObject(value: Fields, schema: Schema, path: string): void {
    const { properties = {}, required = [], additionalProperties = true, propertyNames } = schema;
    const { minProperties = 0, maxProperties = Number.POSITIVE_INFINITY } = schema;
    const names = Object.keys(value);
    if (names.length < minProperties || names.length > maxProperties) {
      this.#report(path, `has ${names.length} fields`, schema);
    }
    for (const name of required) {
      if (!Object.hasOwn(value, name)) this.#report(fieldPath(path, name), 'is missing', properties[name]);
    }
    for (const name of names) {
      const at = fieldPath(path, name);
      if (propertyNames?.pattern !== undefined && !new RegExp(propertyNames.pattern).test(name)) {
        this.#report(at, 'has a name that cannot be used', { description: 'Letters, digits and underscores.' });
      }
      if (Object.hasOwn(properties, name)) this.#visit(value[name], properties[name], at);
      else if (typeof additionalProperties === 'object') this.#visit(value[name], additionalProperties, at);
      else if (!additionalProperties) this.#reportUnknown(at, name, Object.keys(properties));
    }
  }

  #reportUnknown(path: string, name: string, known: string[]): void {
    const near = known.find((one) => one.toLowerCase() === name.toLowerCase().replaceAll('_', ''));
    const remedy = near === undefined ? `remove it; known are ${known.join(', ')}` : `did you mean ${near}?`;
    this.#problems.push({ path, message: 'is no known field', remedy });
  }

  #report(path: string, message: string, schema: Schema): void {
    const { description = 'see workflow-schema.json', $ref } = schema;
    const told = $ref === undefined ? description : (this.#resolve(schema).description ?? description);
    this.#problems.push({ path, message, remedy: told });
  }
}

type Fields = Record<string, unknown>;

export const fieldPath = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

function isOfType(value: unknown, type: string): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  if (type === 'integer') return Number.isSafeInteger(value);
  return type === 'number' ? Number.isFinite(value) : typeof value === type;
}

const withArticle = (type: string): string => (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`);

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
