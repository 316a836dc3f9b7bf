import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { WorkspaceReader } from '../../clickhouse/question.ts';
import type { LiveHub } from '../live/live-hub.ts';
import type { LiveMetrics } from '../live/metrics.ts';
import type { PatternWatch } from '../live/pattern-watch.ts';
import type { Analyst } from './analyst.ts';
import type { Role } from './api-keys.ts';
import type { Caller } from './auth.ts';
import type { CommandDesk } from './command-desk.ts';
import type { EventGate } from './incoming-events.ts';
import type { KeyStore } from './key-store.ts';
import type { Publisher } from './publisher.ts';
import { alertBackTests } from './routes/alert-back-tests.ts';
import { alertRules } from './routes/alert-rules.ts';
import { alertSilences } from './routes/alert-silences.ts';
import { alerts } from './routes/alerts.ts';
import { analysis } from './routes/analysis.ts';
import { audit } from './routes/audit.ts';
import { commands } from './routes/commands.ts';
import { completeness } from './routes/completeness.ts';
import { deadLetters } from './routes/dead-letters.ts';
import { executionLists } from './routes/execution-lists.ts';
import { ingest } from './routes/ingest.ts';
import { insight } from './routes/insight.ts';
import { apiKeys } from './routes/keys.ts';
import { live } from './routes/live.ts';
import { percentiles } from './routes/percentiles.ts';
import { scores } from './routes/scores.ts';
import { telemetry } from './routes/telemetry.ts';
import { trends } from './routes/trends.ts';
import { webhooks } from './routes/webhooks.ts';
import { workflowExecutions } from './routes/workflow-executions.ts';
import { workflowPerformance } from './routes/workflow-performance.ts';
import { workflowRegistry } from './routes/workflow-registry.ts';
import type { StateDesk } from './state-desk.ts';

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What routes may use besides the reader of their request. */
export interface Services {
  nowMs: () => number;
  publisher: Publisher;
  gate: EventGate;
  analyst: Analyst;
  commands: CommandDesk;
  /** Changes what people set up. */
  state: StateDesk;
  keys: KeyStore;
  /** topic@epoch of each kind, as the pipelines call them. */
  streams: Record<'executions' | 'tasks' | 'orchestrators', string>;
  /** How long an execution can be found after its last event. */
  entityRetentionDays: number;
  live: LiveServices;
  /** What is done about alerts without anybody's approval. */
  automaticRemedies: readonly string[];
  /** Where webhooks may lead, and what closes their secrets; empty where none can be kept. */
  webhookRules: { secretsKey: string; mayBeInner: boolean };
}

/** What live sockets use, and their bounds. */
export interface LiveServices {
  hub: LiveHub;
  patterns: PatternWatch;
  metrics: LiveMetrics;
  mostClients: number;
  mostSubscriptions: number;
  /** Bytes that may wait for one client. */
  bufferBytes: number;
  framesPerMinute: number;
}

/** Routes that belong together: one file, one entry in the list below. */
export interface Family {
  prefix: string;
  tag: string;
  register(app: App, services: Services): void;
}

/** Every route of the API. To add a family, write its file and put it here. */
export const families: readonly Family[] = [
  workflowExecutions,
  executionLists,
  workflowPerformance,
  analysis,
  telemetry,
  insight,
  percentiles,
  trends,
  completeness,
  deadLetters,
  alerts,
  alertRules,
  alertBackTests,
  alertSilences,
  scores,
  webhooks,
  ingest,
  live,
  commands,
  apiKeys,
  audit,
  workflowRegistry,
];

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The least role that may call the route; viewer where none is named. */
    role?: Role;
    /** Pages that say nothing about anybody's telemetry. */
    isPublic?: boolean;
  }
  interface FastifyRequest {
    caller: Caller;
    workspace: string;
    /** Asks ClickHouse in the name of the request's workspace. */
    reader: WorkspaceReader;
    /** That reader, and for administrators of everything one of what belongs to no workspace. */
    readers: readonly WorkspaceReader[];
    /** Whether who opened a socket may still have it. */
    isStillAllowed: () => Promise<boolean>;
    /** For those who may see everything: asks about another workspace. */
    readerOf: (workspace: string) => WorkspaceReader;
  }
}
