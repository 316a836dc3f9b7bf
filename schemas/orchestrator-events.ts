import type { Origin } from './events.ts';

/** What orchestrators report of themselves, once it has been decoded and validated; events.ts says what is true of all events. */

/** @public */
export const orchestratorTypes = ['kubernetes', 'airflow', 'temporal', 'prefect', 'argo', 'custom'] as const;
export const orchestratorKinds = [
  'orchestrator_metrics',
  'worker_pool',
  'worker',
  'scheduling_decision',
  'queue_metrics',
  'coordination_event',
  'load_balancing',
  'scaling_event',
] as const;
export type OrchestratorKind = (typeof orchestratorKinds)[number];

/**
 * What every report about an orchestrator carries. Gauges are null where nobody measured them, never 0;
 * fields called a cumulative count in the Avro contract only grow until the reporting process restarts.
 */
export interface OrchestratorReport {
  kind: OrchestratorKind;
  workspace: string;
  project: string;
  source: string;
  sourceVersion: string;
  orchestratorId: string;
  orchestratorType: string;
  instanceId: string;
  clusterName: string;
  eventTimeMs: number;
  environment: string;
  region: string;
  labels: Record<string, string>;
  redactedFields: string[];
  origin: Origin | null;
}

/** One known trouble of a component. */
export interface ComponentIssue {
  code: string;
  severity: string;
  message: string;
}

/** Health of one component of an orchestrator. */
export interface ComponentHealth {
  name: string;
  type: string;
  status: string;
  latencyUs: number | null;
  throughputPerSecond: number | null;
  errorRatio: number | null;
  lastCheckAtMs: number | null;
  issues: ComponentIssue[];
}

/** One error of an orchestrator itself. */
export interface OrchestratorError {
  type: string;
  code: string;
  message: string;
  component: string;
  atMs: number | null;
}

/** One queue as an orchestrator sees it. */
export interface QueueInfo {
  name: string;
  type: string;
  size: number | null;
  consumers: number | null;
  processingRatePerSecond: number | null;
  errorRatio: number | null;
  processingUsMean: number | null;
  oldestMessageAtMs: number | null;
  priorityLevels: Record<string, number>;
}

/** State of one orchestrator instance at one instant. */
export interface OrchestratorMetricsEvent extends OrchestratorReport {
  kind: 'orchestrator_metrics';
  healthStatus: string;
  healthScore: number | null;
  components: ComponentHealth[];
  lastHealthCheckAtMs: number | null;
  uptimeUs: number | null;
  restarts: number | null;
  errors: OrchestratorError[];
  warnings: string[];
  diagnostics: Record<string, string>;
  slotsTotal: number | null;
  slotsAvailable: number | null;
  slotsUsed: number | null;
  workflowsActive: number | null;
  workflowsPending: number | null;
  workflowsRunning: number | null;
  workflowsCompleted: number | null;
  workflowsFailed: number | null;
  capacityLoad: number | null;
  capacityLoadPeak: number | null;
  scalingEnabled: boolean | null;
  scalingMinSlots: number | null;
  scalingMaxSlots: number | null;
  scalingTargetSlots: number | null;
  schedulingLatencyUsMean: number | null;
  schedulingLatencyUsP95: number | null;
  schedulingLatencyUsP99: number | null;
  schedulingThroughputPerSecond: number | null;
  schedulingFailures: number | null;
  schedulingQueueDepth: number | null;
  schedulingQueueUsMean: number | null;
  schedulingAlgorithm: string;
  priorityDistribution: Record<string, number>;
  affinityViolations: number | null;
  affinityMisses: number | null;
  preemptions: number | null;
  resourceContentions: number | null;
  optimizationScore: number | null;
  taskThroughputPerSecond: number | null;
  taskBacklog: number | null;
  queues: QueueInfo[];
  messagesTotal: number | null;
  queueProcessingRatePerSecond: number | null;
  backlogSize: number | null;
  queueWaitUsMean: number | null;
  queueWaitUsMax: number | null;
  deadLetters: number | null;
  poisonMessages: number | null;
  queueLatencyUs: number | null;
  queueThroughputPerSecond: number | null;
  tasksRunning: number | null;
  tasksCompleted: number | null;
  tasksFailed: number | null;
  executionUsMean: number | null;
  cpuAllocatedCores: number | null;
  cpuUsedCores: number | null;
  memoryAllocatedBytes: number | null;
  memoryUsedBytes: number | null;
  storageUsedBytes: number | null;
  networkReceivedBytes: number | null;
  networkSentBytes: number | null;
  networkLatencyUs: number | null;
  networkErrors: number | null;
  networkConnections: number | null;
  persistenceReadUs: number | null;
  persistenceWriteUs: number | null;
  persistenceErrors: number | null;
  persistenceSizeBytes: number | null;
  persistenceConnections: number | null;
  availabilityRatio: number | null;
  meanTimeBetweenFailuresUs: number | null;
  meanTimeToRecoveryUs: number | null;
  heartbeatAtMs: number | null;
}

/** State of one worker pool at one instant. */
export interface WorkerPoolEvent extends OrchestratorReport {
  kind: 'worker_pool';
  poolId: string;
  poolName: string;
  workerType: string;
  workersTotal: number | null;
  workersActive: number | null;
  workersIdle: number | null;
  workersBusy: number | null;
  workersFailed: number | null;
  workersPending: number | null;
  workerLoad: number | null;
  workersHealthy: number | null;
  workersUnhealthy: number | null;
  healthMean: number | null;
  failureRatio: number | null;
  restarts: number | null;
  communicationErrors: number | null;
  resourceExhaustions: number | null;
  cpuLoad: number | null;
  memoryLoad: number | null;
  diskLoad: number | null;
  networkBytesPerSecond: number | null;
  slotsTotal: number | null;
  slotsUsed: number | null;
  tasksQueued: number | null;
  tasksCompleted: number | null;
  tasksFailed: number | null;
  throughputPerSecond: number | null;
  taskUsMean: number | null;
  taskUsP95: number | null;
  queueUsMean: number | null;
  scalingEnabled: boolean | null;
  workersMin: number | null;
  workersMax: number | null;
  workersTarget: number | null;
  scalingEfficiency: number | null;
  costOptimization: number | null;
  predictedDemand: number | null;
  costMicrosPerHour: number | null;
}

/** State of one worker at one instant. */
export interface WorkerEvent extends OrchestratorReport {
  kind: 'worker';
  workerId: string;
  poolId: string;
  host: string;
  status: string;
  currentTask: string;
  tasksCompleted: number | null;
  tasksFailed: number | null;
  cpuLoad: number | null;
  memoryLoad: number | null;
  diskLoad: number | null;
  networkBytesPerSecond: number | null;
  uptimeUs: number | null;
  lastHeartbeatAtMs: number | null;
  healthScore: number | null;
  slotsTotal: number | null;
  slotsUsed: number | null;
}

/** One decision of a scheduler about where work runs. */
export interface SchedulingDecisionEvent extends OrchestratorReport {
  kind: 'scheduling_decision';
  decisionId: string;
  workflowId: string;
  executionId: string;
  taskId: string;
  schedulingLatencyUs: number | null;
  selectedWorker: string;
  selectedPool: string;
  placementConstraints: Record<string, string>;
  cpuRequiredCores: number | null;
  memoryRequiredBytes: number | null;
  storageRequiredBytes: number | null;
  resourceRequirements: Record<string, string>;
  priority: number | null;
  queueUs: number | null;
  decisionFactors: Record<string, number>;
  algorithm: string;
  outcome: string;
}

/** State of one queue at one instant. */
export interface QueueMetricsEvent extends OrchestratorReport {
  kind: 'queue_metrics';
  queueId: string;
  queueName: string;
  queueType: string;
  size: number | null;
  consumers: number | null;
  processingRatePerSecond: number | null;
  errorRatio: number | null;
  processingUsMean: number | null;
  oldestMessageAtMs: number | null;
  priorityLevels: Record<string, number>;
  enqueued: number | null;
  processed: number | null;
  waitUsMean: number | null;
  waitUsMax: number | null;
  latencyUs: number | null;
  throughputPerSecond: number | null;
  deadLetters: number | null;
  poisonMessages: number | null;
}

/** One event, or a summary, of how the parts of an orchestrator agree. */
export interface CoordinationEvent extends OrchestratorReport {
  kind: 'coordination_event';
  eventId: string;
  eventType: string;
  details: Record<string, string>;
  participants: string[];
  consensusUs: number | null;
  outcome: string;
  errors: OrchestratorError[];
  consensusProtocol: string;
  leader: string;
  electionCount: number | null;
  lastElectionAtMs: number | null;
  electionUsMean: number | null;
  failoverUs: number | null;
  splitBrainIncidents: number | null;
  locksActive: number | null;
  lockWaitUs: number | null;
  lockContentions: number | null;
  deadlocks: number | null;
  lockTimeouts: number | null;
  distributedTransactions: number | null;
  stateSizeBytes: number | null;
  stateSyncUs: number | null;
  stateReplicas: number | null;
  outOfOrderMessages: number | null;
  reorderUsMean: number | null;
  conflicts: number | null;
  conflictsResolved: number | null;
  conflictResolutionUsMean: number | null;
  partitions: number | null;
  partitionUs: number | null;
  partitionedNodes: number | null;
  coordinationOverheadRatio: number | null;
}

/** How work lies over the workers at one instant. */
export interface LoadBalancingEvent extends OrchestratorReport {
  kind: 'load_balancing';
  algorithm: string;
  poolId: string;
  workerLoads: Record<string, number>;
  loadStandardDeviation: number | null;
  imbalanceScore: number | null;
  hotspots: string[];
  underutilized: string[];
  redistributions: number | null;
  loadVariance: number | null;
  responseTimeVariance: number | null;
  throughputBalance: number | null;
  resourceBalance: number | null;
  fairnessIndex: number | null;
  healthChecks: number | null;
  healthCheckFailures: number | null;
  healthCheckUsMean: number | null;
  failovers: number | null;
  failoverFailures: number | null;
  failoverUsMean: number | null;
}

/** One change, or decided non-change, of the size of a pool. */
export interface ScalingEvent extends OrchestratorReport {
  kind: 'scaling_event';
  scalingId: string;
  poolId: string;
  action: string;
  workersFrom: number | null;
  workersTo: number | null;
  reason: string;
  triggerMetrics: Record<string, number>;
  success: boolean | null;
  durationUs: number | null;
  costMicrosImpact: number | null;
  commandId: string;
}

export type OrchestratorEvent =
  | OrchestratorMetricsEvent
  | WorkerPoolEvent
  | WorkerEvent
  | SchedulingDecisionEvent
  | QueueMetricsEvent
  | CoordinationEvent
  | LoadBalancingEvent
  | ScalingEvent;
