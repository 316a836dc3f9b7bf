import type { SwaggerOptions } from '@fastify/swagger';
import examples from '../../schemas/api/examples.json' with { type: 'json' };

/** What the OpenAPI document says beside the schemas of the routes. */
export function describeApi(): SwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Weir',
        version: '1',
        description:
          'What ran, how long, why so long and what broke. Every answer is about one workspace: name it in X-Workspace-Id or ' +
          'X-Workspace-Slug, or it is the only one of the key, or `default`. Failures have one shape: error.code, message, remedy, request_id. ' +
          'Live sockets, which this document cannot describe: /ws, where {"action":"subscribe","topic":"execution:ID"} follows a topic; ' +
          '/ws/workflows/{workflow_id}, /ws/workflows/{workflow_id}/step/{step_id} and /api/v1/workflows/executions/{execution_id}/ws, ' +
          'which follow what they name. The key goes into the Authorization header or, from browsers, is offered as the protocol ' +
          '`bearer.KEY` beside `weir.live.v1`; the workspace may stand in the address as workspace_id or workspace_slug.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      security: [{ key: [] }, { bearer: [] }, {}],
      components: {
        securitySchemes: {
          key: { type: 'apiKey', in: 'header', name: 'X-Api-Key', description: 'made by npm run keys' },
          bearer: { type: 'http', scheme: 'bearer', description: 'an API key, or a token of the OpenID provider' },
        },
      },
    },
    transform: ({ schema, url, route }) => {
      const operationId = `${String(route.method).toLowerCase()}${url.replace(/[^A-Za-z0-9]+/g, '_')}`;
      return { schema: { operationId, ...freeDefaults(addWorkspaceHeaders(schema, url)) }, url };
    },
    transformObject: (document) => {
      const described = 'openapiObject' in document ? document.openapiObject : document.swaggerObject;
      addExamples((described.paths ?? {}) as Paths);
      return described;
    },
  };
}

interface Media {
  content?: Record<string, { example?: unknown }>;
}
type Paths = Record<string, Record<string, { requestBody?: Media; responses: Record<string, Media> }>>;

/** What operations are asked and answer, as the demo did or might, cut where it goes on. */
const exampleOf = new Map<string, { body?: unknown; answer: unknown }>(Object.entries(examples));

function addExamples(paths: Paths): void {
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { requestBody, responses }] of Object.entries(methods)) {
      const example = exampleOf.get(`${method} ${path}`);
      if (example === undefined) continue;
      const success = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1];
      setExample(success, example.answer);
      if (example.body !== undefined) setExample(requestBody, example.body);
    }
  }
}

function setExample(media: Media | undefined, example: unknown): void {
  const json = media?.content?.['application/json'];
  if (json !== undefined) json.example = example;
}

interface ObjectSchema {
  required?: string[];
  properties?: Record<string, { default?: unknown }>;
}

/** What has a default need not be sent; only after the defaults were put in is it always there. */
function freeDefaults<Schema extends object | undefined>(schema: Schema): Schema {
  if (schema === undefined) return schema;
  const { querystring, body } = schema as { querystring?: ObjectSchema; body?: ObjectSchema };
  return {
    ...schema,
    ...(querystring === undefined ? {} : { querystring: freeDefaultsOf(querystring) }),
    ...(body === undefined ? {} : { body: freeDefaultsOf(body) }),
  };
}

function freeDefaultsOf(schema: ObjectSchema): ObjectSchema {
  const { required = [], properties = {} } = schema;
  const needed = required.filter((name) => properties[name]?.default === undefined);
  return { ...schema, required: needed };
}

const workspaceHeaders = {
  type: 'object',
  properties: {
    'x-workspace-id': { type: 'string', maxLength: 512, description: 'workspace that the question is about' },
    'x-workspace-slug': { type: 'string', maxLength: 512, description: 'the same, in lower case with dashes' },
  },
};

/** Said in the document only: what the headers hold is checked where callers are. */
function addWorkspaceHeaders<Schema extends object | undefined>(schema: Schema, url: string): Schema {
  if (schema === undefined || !url.startsWith('/api/')) return schema;
  const { headers } = schema as { headers?: { properties?: object } };
  const properties = { ...workspaceHeaders.properties, ...headers?.properties };
  return { ...schema, headers: { ...workspaceHeaders, ...headers, properties } };
}
