import type { CoordinationEventRecord } from '../../schemas/orchestrator-records.ts';
import type { Random } from './random.ts';

/** How the nodes of an orchestrator agree: who leads, who holds which lock, what state they share. */
export interface CoordinationSpec {
  protocol: string;
  nodes: readonly string[];
  /** Mean time between elections for no special reason: a leader is restarted or deployed anew. */
  electionEveryMs: number;
}

interface Counters {
  electionCount: number;
  electionMsTotal: number;
  lastElectionAtMs: number;
  failoverMs: number;
  splitBrainIncidents: number;
  lockContentions: number;
  lockWaitMsTotal: number;
  lockTimeouts: number;
  deadlocks: number;
  transactions: number;
  outOfOrder: number;
  conflicts: number;
  partitions: number;
  partitionMs: number;
}

/** What happened, beside the counters that each event carries. */
interface Happening {
  type: string;
  outcome: string;
  participants: readonly string[];
  details: Record<string, string>;
  consensusMs: number;
  partitionedNodes?: number;
  error?: { type: string; code: string; message: string };
}

const consensusMsMedian = 9;
const electionMsMedian = 850;

export class Coordination {
  readonly spec: CoordinationSpec;
  readonly #random: Random;
  readonly #idPrefix: string;
  readonly #counters: Counters;
  leader: string;
  term = 1;
  /** While two nodes believe that they lead, the other one; every decision may then be taken twice. */
  rival: string | null = null;
  /** Above 1 while agreement is slow. */
  slowdown = 1;
  locksActive = 0;
  #events = 0;

  constructor(spec: CoordinationSpec, idPrefix: string, startMs: number, random: Random) {
    this.spec = spec;
    this.#random = random;
    this.#idPrefix = idPrefix;
    this.leader = spec.nodes[0];
    // Every system has been elected for the first time before anybody watched it.
    const electionMsTotal = Math.round(random.logNormal(electionMsMedian, 0.3));
    this.#counters = {
      electionCount: 1,
      electionMsTotal,
      lastElectionAtMs: startMs - Math.round(random.exponential(spec.electionEveryMs)),
      failoverMs: electionMsTotal + 1_500,
      splitBrainIncidents: 0,
      lockContentions: 0,
      lockWaitMsTotal: 0,
      lockTimeouts: 0,
      deadlocks: 0,
      transactions: 0,
      outOfOrder: 0,
      conflicts: 0,
      partitions: 0,
      partitionMs: 0,
    };
  }

  /** A follower takes over; answers with the event and how long nobody led. */
  elect(atMs: number, reason: string): { event: CoordinationEventRecord; failoverMs: number } {
    const former = this.leader;
    const others = this.spec.nodes.filter((node) => node !== former);
    this.leader = others.length === 0 ? former : this.#random.pick(others);
    this.term++;
    const electionMs = Math.round(this.#random.logNormal(electionMsMedian, 0.4) * this.slowdown);
    const failoverMs = electionMs + Math.round(this.#random.logNormal(1_500, 0.4));
    Object.assign(this.#counters, {
      electionCount: this.#counters.electionCount + 1,
      electionMsTotal: this.#counters.electionMsTotal + electionMs,
      lastElectionAtMs: Math.round(atMs),
      failoverMs,
    });
    const event = this.#report({
      type: 'leader_election',
      outcome: 'elected',
      participants: this.spec.nodes,
      details: { term: String(this.term), former_leader: former, reason },
      consensusMs: electionMs,
    });
    return { event, failoverMs };
  }

  /** The network parts the nodes, and those cut off choose a leader of their own. */
  splitBrain(nodes: readonly string[]): CoordinationEventRecord {
    this.rival = nodes[0];
    this.#counters.splitBrainIncidents++;
    this.#counters.partitions++;
    return this.#report({
      type: 'split_brain',
      outcome: 'two leaders',
      participants: [this.leader, this.rival],
      details: { term: String(this.term), rival_term: String(this.term + 1), cut_off: nodes.join(' ') },
      consensusMs: this.#consensusMs(),
      partitionedNodes: nodes.length,
      error: { type: 'SplitBrain', code: 'EPARTITION', message: `${this.leader} and ${this.rival} both lead` },
    });
  }

  healSplitBrain(sinceMs: number, atMs: number): CoordinationEventRecord {
    const rival = this.rival ?? this.leader;
    this.rival = null;
    this.term += 2;
    this.#counters.partitionMs = atMs - sinceMs;
    this.#counters.conflicts += 3 + this.#random.below(20);
    return this.#report({
      type: 'partition_healed',
      outcome: 'one leader',
      participants: [this.leader, rival],
      details: { term: String(this.term), stepped_down: rival },
      consensusMs: this.#consensusMs(),
    });
  }

  /** A task waits until another lets go of what both need. */
  waitForLock(lock: string, waitMs: number, isTimeout: boolean): CoordinationEventRecord {
    this.#counters.lockContentions++;
    this.#counters.lockWaitMsTotal += waitMs;
    if (isTimeout) this.#counters.lockTimeouts++;
    return this.#report({
      type: 'lock_wait',
      outcome: isTimeout ? 'timeout' : 'acquired',
      participants: [this.leader],
      details: { lock, wait_ms: String(waitMs) },
      consensusMs: this.#consensusMs(),
    });
  }

  /** What an orchestrator says now and then of how its nodes get on. */
  summarise(transactions: number, locksActive: number): CoordinationEventRecord {
    this.#counters.transactions += transactions;
    this.#counters.outOfOrder += this.#random.chance(0.3) ? this.#random.below(4) : 0;
    this.#counters.conflicts += this.#random.chance(0.1) ? 1 : 0;
    this.locksActive = locksActive;
    return this.#report({
      type: 'coordination_summary',
      outcome: this.rival === null ? 'in agreement' : 'two leaders',
      participants: this.spec.nodes,
      details: { term: String(this.term) },
      consensusMs: this.#consensusMs(),
    });
  }

  #consensusMs(): number {
    return tenths(this.#random.logNormal(consensusMsMedian, 0.5) * this.slowdown);
  }

  #report(happening: Happening): CoordinationEventRecord {
    const counters = this.#counters;
    const { error } = happening;
    const conflictsResolved = counters.conflicts - (this.rival === null ? 0 : 1);
    return {
      event_id: `${this.#idPrefix}-${++this.#events}`,
      event_type: happening.type,
      details: happening.details,
      participants: [...happening.participants],
      consensus_ms: happening.consensusMs,
      outcome: happening.outcome,
      errors: error === undefined ? [] : [{ ...error, component: 'consensus' }],
      consensus_protocol: this.spec.protocol,
      leader: this.leader,
      election_count: counters.electionCount,
      last_election_at: counters.lastElectionAtMs,
      election_ms_mean: Math.round(counters.electionMsTotal / counters.electionCount),
      failover_ms: counters.failoverMs,
      split_brain_incidents: counters.splitBrainIncidents,
      locks_active: this.locksActive,
      lock_wait_ms: counters.lockContentions === 0 ? 0 : tenths(counters.lockWaitMsTotal / counters.lockContentions),
      lock_contentions: counters.lockContentions,
      deadlocks: counters.deadlocks,
      lock_timeouts: counters.lockTimeouts,
      distributed_transactions: counters.transactions,
      state_size_bytes: 40_000_000 + counters.transactions * 512,
      state_sync_ms: tenths(this.#random.logNormal(24, 0.4) * this.slowdown),
      state_replicas: this.spec.nodes.length,
      out_of_order_messages: counters.outOfOrder,
      reorder_ms_mean: tenths(this.#random.logNormal(6, 0.3)),
      conflicts: counters.conflicts,
      conflicts_resolved: Math.max(0, conflictsResolved),
      conflict_resolution_ms_mean: tenths(this.#random.logNormal(35, 0.3)),
      partitions: counters.partitions,
      partition_ms: counters.partitionMs,
      partitioned_nodes: happening.partitionedNodes ?? 0,
      coordination_overhead_ratio: Math.min(
        0.6,
        Math.round(this.#random.between(0.02, 0.04) * this.slowdown * 1e4) / 1e4,
      ),
    };
  }
}

const tenths = (value: number): number => Math.round(value * 10) / 10;
