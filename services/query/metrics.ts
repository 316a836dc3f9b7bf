import { Counter, Histogram, type Registry } from 'prom-client';

/** What the query service says of itself. Routes are patterns, questions are names in the code: both are bounded. */
export interface QueryMetrics {
  requestSeconds: Histogram<'method' | 'route' | 'status'>;
  questionSeconds: Histogram<'question'>;
  readRows: Counter<'question'>;
  slowQuestions: Counter<'question'>;
  published: Counter<'topic'>;
}

export function createQueryMetrics(registry: Registry): QueryMetrics {
  const registers = [registry];
  const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5, 10, 30];
  const labelNames = ['question'] as const;
  return {
    requestSeconds: new Histogram({
      name: 'weir_http_request_duration_seconds',
      help: 'Time that requests took, by route and status.',
      labelNames: ['method', 'route', 'status'],
      buckets,
      registers,
    }),
    questionSeconds: new Histogram({
      name: 'weir_question_duration_seconds',
      help: 'Time that ClickHouse took to answer, by question.',
      labelNames,
      buckets,
      registers,
    }),
    readRows: new Counter({
      name: 'weir_question_read_rows_total',
      help: 'Rows that ClickHouse read to answer, by question.',
      labelNames,
      registers,
    }),
    slowQuestions: new Counter({
      name: 'weir_slow_questions_total',
      help: 'Questions that took longer than the bound of the slow query log.',
      labelNames,
      registers,
    }),
    published: new Counter({
      name: 'weir_published_events_total',
      help: 'Events taken over HTTP that the brokers have acknowledged.',
      labelNames: ['topic'],
      registers,
    }),
  };
}
