import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** What the live sockets say of themselves. Kinds of topics and types of messages are lists of ours: bounded. */
export interface LiveMetrics {
  clients: Gauge;
  subscriptions: Gauge<'kind'>;
  messages: Counter<'type'>;
  missed: Counter;
  closed: Counter<'reason'>;
  pushSeconds: Histogram;
  snapshotSeconds: Histogram<'complete'>;
}

export function createLiveMetrics(registry: Registry): LiveMetrics {
  const registers = [registry];
  return {
    clients: new Gauge({ name: 'weir_live_clients', help: 'Clients with an open live socket.', registers }),
    subscriptions: new Gauge({
      name: 'weir_live_subscriptions',
      help: 'Topics that clients follow, by kind.',
      labelNames: ['kind'],
      registers,
    }),
    messages: new Counter({
      name: 'weir_live_messages_total',
      help: 'Messages handed to live sockets, by type.',
      labelNames: ['type'],
      registers,
    }),
    missed: new Counter({
      name: 'weir_live_missed_total',
      help: 'Messages that clients missed because they did not read fast enough.',
      registers,
    }),
    closed: new Counter({
      name: 'weir_live_closed_total',
      help: 'Live sockets that ended, by reason.',
      labelNames: ['reason'],
      registers,
    }),
    pushSeconds: new Histogram({
      name: 'weir_live_push_seconds',
      help: "Time from a record's Kafka timestamp until it was handed to live sockets.",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    snapshotSeconds: new Histogram({
      name: 'weir_live_snapshot_seconds',
      help: 'Time until a snapshot was there, with the wait for the pipelines.',
      labelNames: ['complete'],
      buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
  };
}
