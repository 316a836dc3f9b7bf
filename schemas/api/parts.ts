import { type Static, type TSchema, Type } from 'typebox';

/** What the schemas of several families are made of. */

/** Of a single type, or null. Written as a list of types, which OpenAPI 3.1 and serialisers read at once. */
export function nullable<Schema extends TSchema>(schema: Schema) {
  const { type } = schema as unknown as { type: string };
  return Type.Unsafe<Static<Schema> | null>({ ...schema, type: [type, 'null'] });
}

/** One of some words; a refusal lists them all. */
export const oneOf = <const Word extends string>(words: readonly Word[], options: object = {}) =>
  Type.Unsafe<Word>({ type: 'string', enum: [...words], ...options });

export const closed = { additionalProperties: false } as const;

export const Instant = Type.String({
  format: 'date-time',
  description: 'ISO 8601, UTC',
  examples: ['2026-11-20T12:00:00.000Z'],
});
export const maybeInstant = nullable(Instant);
export const maybeNumber = nullable(Type.Number());
export const maybeText = nullable(Type.String());
/** JSON as its producer sent it. */
export const AnyJson = Type.Unknown({ description: 'JSON as the producer sent it, secrets removed, cut to a bound' });
export const Count = Type.Integer({ minimum: 0 });

export const Id = Type.String({
  minLength: 1,
  maxLength: 512,
  description: 'chosen by the producer; percent-encoded in paths',
});

export const sourceParameter = {
  source: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 512,
      description: 'which source, where several of the workspace use one id',
    }),
  ),
};

export const rangeParameters = {
  time_range: Type.Optional(
    Type.String({ maxLength: 10, description: 'up to now: 30m, 24h, 7d, 4w', examples: ['24h', '7d'] }),
  ),
  from: Type.Optional(
    Type.String({ maxLength: 40, description: 'ISO 8601 instant, or a day or local time of time_zone' }),
  ),
  to: Type.Optional(Type.String({ maxLength: 40, description: 'the same; now where it is left out' })),
  time_zone: Type.Optional(
    Type.String({ maxLength: 64, description: 'IANA name, for days', examples: ['Europe/Berlin'] }),
  ),
};

export const stepParameter = {
  step: Type.Optional(
    Type.String({
      maxLength: 4,
      description: '1m 5m 15m 30m 1h 3h 6h 12h 1d 1w 1mo; chosen by the range where left out',
    }),
  ),
};

/** Of which windows an answer was made. */
export const Range = Type.Object({
  from: Instant,
  to: Instant,
  resolution: Type.String({ description: 'length of the rollup windows that answered: 1m, 1h or 1d' }),
});

export const PercentileMethod = Type.Object({
  method: Type.String({
    description: 'histogram: merged from the rollups, never an average of percentiles; exact: from single rows',
  }),
  resolution: Type.String({ description: 'length of the rollup windows, or rows' }),
  relative_error: Type.Number({ description: 'largest, against the exact nearest rank' }),
});

export const Reasons = Type.Record(Type.String(), Type.String(), {
  description: 'why a field is null, by the name of the field',
});

export const Change = Type.Object({
  before: maybeNumber,
  now: maybeNumber,
  change_ratio: nullable(Type.Number({ description: '0.1 is ten per cent more than before' })),
  direction: Type.String({ description: 'improving, degrading or stable' }),
  confidence: nullable(Type.Number({ description: 'that there is a change at all, 0 to 1' })),
});

export const ErrorAnswer = Type.Object({
  error: Type.Object({
    code: Type.String({ examples: ['not_found'] }),
    message: Type.String(),
    remedy: Type.String({ description: 'what to do' }),
    request_id: Type.String(),
    details: Type.Optional(Type.Unknown()),
  }),
});

/** Answers of a route: its own, and every failure in the one shape. */
export function answers<Schema extends TSchema>(schema: Schema) {
  return { 200: schema, '4xx': ErrorAnswer, '5xx': ErrorAnswer };
}
