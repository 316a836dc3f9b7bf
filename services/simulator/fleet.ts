import type { orchestratorTypes } from '../../schemas/orchestrator-events.ts';
import type { CoordinationSpec } from './coordination.ts';
import type { QueueDiscipline } from './resources.ts';

/** The orchestrators of the world: who they are, how they schedule, and what they run work on. */
export interface OrchestratorSpec {
  id: string;
  type: (typeof orchestratorTypes)[number];
  /** Name under which its telemetry is sent, and the version of the system. */
  source: string;
  sourceVersion: string;
  cluster: string;
  region: string;
  workspace: string;
  discipline: QueueDiscipline;
  /** How work is spread over the workers of a pool. */
  balancing: string;
  /** Whether it tells of tasks that wait; others say when they began to wait once they run. */
  tellsQueued: boolean;
  /** Median time of one decision when little waits. */
  decisionMsMedian: number;
  coordination: CoordinationSpec;
  /** What a pool has that is not named in `pools`. */
  pool: PoolSpec;
  pools: Record<string, Partial<PoolSpec>>;
}

export interface PoolSpec {
  workerType: string;
  workers: number;
  slots: number;
  cpuCores: number;
  memoryBytes: number;
  workersMin: number;
  workersMax: number;
  isScaling: boolean;
  /** What a worker costs for an hour. */
  costPerHour: number;
}

const gib = 2 ** 30;
const hourMs = 3_600_000;

const ordinaryPool: PoolSpec = {
  workerType: 'container',
  workers: 3,
  slots: 2,
  cpuCores: 16,
  memoryBytes: 64 * gib,
  workersMin: 2,
  workersMax: 10,
  isScaling: true,
  costPerHour: 0.42,
};

const gpuPool: Partial<PoolSpec> = {
  workerType: 'gpu',
  workers: 3,
  slots: 2,
  cpuCores: 64,
  memoryBytes: 512 * gib,
  workersMin: 2,
  workersMax: 8,
  costPerHour: 3.2,
};

const nodesOf = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

export const fleet: readonly OrchestratorSpec[] = [
  {
    id: 'airflow-prod',
    type: 'airflow',
    tellsQueued: true,
    source: 'airflow',
    sourceVersion: '3.1.0',
    cluster: 'data-eu',
    region: 'eu-central',
    workspace: 'default',
    discipline: 'priority',
    balancing: 'least_connections',
    decisionMsMedian: 120,
    coordination: { protocol: 'database_lock', nodes: nodesOf('scheduler', 2), electionEveryMs: 90 * hourMs },
    pool: ordinaryPool,
    pools: { database: { workers: 2, isScaling: false }, gpu: gpuPool },
  },
  {
    id: 'temporal-shop',
    type: 'temporal',
    tellsQueued: false,
    source: 'temporal',
    sourceVersion: '1.32.0',
    cluster: 'shop-eu',
    region: 'eu-central',
    workspace: 'default',
    discipline: 'fifo',
    balancing: 'least_connections',
    decisionMsMedian: 14,
    coordination: { protocol: 'raft', nodes: nodesOf('history', 5), electionEveryMs: 60 * hourMs },
    pool: { ...ordinaryPool, workers: 2, slots: 2, workerType: 'process', costPerHour: 0.31 },
    pools: { gpu: gpuPool },
  },
  {
    id: 'prefect-ml',
    type: 'prefect',
    tellsQueued: true,
    source: 'prefect',
    sourceVersion: '3.8.0',
    cluster: 'ml-us',
    region: 'us-east',
    workspace: 'default',
    discipline: 'fair',
    balancing: 'round_robin',
    decisionMsMedian: 240,
    coordination: { protocol: 'database_lock', nodes: nodesOf('server', 2), electionEveryMs: 120 * hourMs },
    pool: { ...ordinaryPool, workers: 2, cpuCores: 32, memoryBytes: 128 * gib },
    pools: { gpu: gpuPool },
  },
  {
    id: 'argo-ci',
    type: 'argo',
    tellsQueued: true,
    source: 'argo',
    sourceVersion: '3.7.2',
    cluster: 'build-eu',
    region: 'eu-central',
    workspace: 'default',
    discipline: 'shortest_first',
    balancing: 'weighted',
    decisionMsMedian: 310,
    coordination: { protocol: 'lease', nodes: nodesOf('controller', 3), electionEveryMs: 70 * hourMs },
    pool: { ...ordinaryPool, workerType: 'pod', workers: 5, slots: 2, cpuCores: 24, costPerHour: 0.55 },
    pools: { gpu: gpuPool },
  },
  {
    id: 'k8s-media',
    type: 'kubernetes',
    tellsQueued: true,
    source: 'kubernetes',
    sourceVersion: '1.36.1',
    cluster: 'media-us',
    region: 'us-east',
    workspace: 'media',
    discipline: 'priority',
    balancing: 'weighted',
    decisionMsMedian: 60,
    coordination: { protocol: 'raft', nodes: nodesOf('control-plane', 3), electionEveryMs: 100 * hourMs },
    pool: { ...ordinaryPool, workerType: 'node', workers: 2, slots: 3, cpuCores: 32 },
    pools: { gpu: gpuPool },
  },
  {
    id: 'edge-engine',
    type: 'custom',
    tellsQueued: false,
    source: 'edge-engine',
    sourceVersion: '0.14.2',
    cluster: 'edge-eu',
    region: 'eu-west',
    workspace: 'research',
    discipline: 'fair',
    balancing: 'consistent_hash',
    decisionMsMedian: 8,
    coordination: { protocol: 'gossip', nodes: nodesOf('edge', 5), electionEveryMs: 40 * hourMs },
    pool: { ...ordinaryPool, workerType: 'process', workers: 3, slots: 3, costPerHour: 0.18 },
    pools: { gpu: gpuPool },
  },
];

export function poolSpecOf(spec: OrchestratorSpec, poolName: string): PoolSpec {
  return { ...spec.pool, ...spec.pools[poolName] };
}

/** Ids on the wire: names of pools and queues are unique within their orchestrator only. */
export const placeId = (orchestratorId: string, name: string): string => `${orchestratorId}/${name}`;
