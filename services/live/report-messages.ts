import type { LiveMessageType } from '../../schemas/live.ts';
import type {
  CoordinationEvent,
  LoadBalancingEvent,
  OrchestratorEvent,
  OrchestratorMetricsEvent,
  QueueInfo,
  QueueMetricsEvent,
  ScalingEvent,
  SchedulingDecisionEvent,
  WorkerEvent,
  WorkerPoolEvent,
} from '../../schemas/orchestrator-events.ts';
import { orNull, toInstant, toMaybeInstant, toMs } from './run-messages.ts';

/** What is told of reports about orchestrators, under the names of the documents' interfaces: times in ms, ratios from 0 to 1. */
export interface ReportMessage {
  type: LiveMessageType;
  payload: Record<string, unknown>;
}

const costOf = (micros: number | null): number | null => (micros === null ? null : micros / 1e6);

function headOf(event: OrchestratorEvent) {
  return {
    source: event.source,
    orchestratorId: event.orchestratorId,
    orchestratorType: event.orchestratorType,
    instanceId: event.instanceId,
    clusterName: event.clusterName,
    timestamp: toInstant(event.eventTimeMs),
  };
}

export function describeReport(event: OrchestratorEvent): ReportMessage {
  const head = headOf(event);
  const { kind } = event;
  if (kind === 'scaling_event') return { type: 'scaling_event', payload: describeScaling(event) };
  if (kind === 'coordination_event')
    return { type: 'coordination_event', payload: { ...head, ...describeCoordination(event) } };
  if (kind === 'worker_pool') return { type: 'worker_update', payload: { ...head, kind, ...describePool(event) } };
  if (kind === 'worker') return { type: 'worker_update', payload: { ...head, kind, ...describeWorker(event) } };
  return { type: 'orchestrator_update', payload: { ...head, kind, ...describeOrchestrator(event) } };
}

type OwnReport = OrchestratorMetricsEvent | QueueMetricsEvent | SchedulingDecisionEvent | LoadBalancingEvent;

function describeOrchestrator(event: OwnReport): Record<string, unknown> {
  if (event.kind === 'orchestrator_metrics') return describeMetrics(event);
  if (event.kind === 'queue_metrics') return describeQueue(event);
  return event.kind === 'scheduling_decision' ? describeDecision(event) : describeBalance(event);
}

function describeMetrics(event: OrchestratorMetricsEvent) {
  return {
    id: event.orchestratorId,
    health: describeHealth(event),
    capacity: describeCapacity(event),
    scheduling: describeScheduling(event),
    queuing: {
      queues: event.queues.map(describeQueueInfo),
      totalMessages: event.messagesTotal,
      processingRate: event.queueProcessingRatePerSecond,
      backlogSize: event.backlogSize,
      avgWaitTime: toMs(event.queueWaitUsMean),
      maxWaitTime: toMs(event.queueWaitUsMax),
      deadLetterCount: event.deadLetters,
      poisonMessageCount: event.poisonMessages,
      queueLatency: toMs(event.queueLatencyUs),
      throughput: event.queueThroughputPerSecond,
    },
    execution: {
      runningTasks: event.tasksRunning,
      completedTasks: event.tasksCompleted,
      failedTasks: event.tasksFailed,
      taskBacklog: event.taskBacklog,
      taskThroughput: event.taskThroughputPerSecond,
      avgExecutionTime: toMs(event.executionUsMean),
    },
    resources: {
      cpuAllocatedCores: event.cpuAllocatedCores,
      cpuUsedCores: event.cpuUsedCores,
      memoryAllocatedBytes: event.memoryAllocatedBytes,
      memoryUsedBytes: event.memoryUsedBytes,
      storageUsedBytes: event.storageUsedBytes,
    },
    networking: {
      receivedBytes: event.networkReceivedBytes,
      sentBytes: event.networkSentBytes,
      latency: toMs(event.networkLatencyUs),
      errors: event.networkErrors,
      connections: event.networkConnections,
    },
    persistence: {
      readTime: toMs(event.persistenceReadUs),
      writeTime: toMs(event.persistenceWriteUs),
      errors: event.persistenceErrors,
      sizeBytes: event.persistenceSizeBytes,
      connections: event.persistenceConnections,
    },
    metadata: event.labels,
  };
}

function describeHealth(event: OrchestratorMetricsEvent) {
  return {
    status: event.healthStatus,
    healthScore: event.healthScore,
    components: event.components.map((component) => ({
      name: component.name,
      type: component.type,
      status: component.status,
      latency: toMs(component.latencyUs),
      throughput: component.throughputPerSecond,
      errorRate: component.errorRatio,
      lastCheck: toMaybeInstant(component.lastCheckAtMs),
      issues: component.issues,
    })),
    lastHealthCheck: toMaybeInstant(event.lastHealthCheckAtMs),
    uptime: toMs(event.uptimeUs),
    restarts: event.restarts,
    errors: event.errors.map(({ atMs, ...error }) => ({ ...error, at: toMaybeInstant(atMs) })),
    warnings: event.warnings,
    diagnostics: event.diagnostics,
  };
}

function describeCapacity(event: OrchestratorMetricsEvent) {
  return {
    totalSlots: event.slotsTotal,
    availableSlots: event.slotsAvailable,
    usedSlots: event.slotsUsed,
    pendingWorkflows: event.workflowsPending,
    runningWorkflows: event.workflowsRunning,
    completedWorkflows: event.workflowsCompleted,
    failedWorkflows: event.workflowsFailed,
    capacityUtilization: event.capacityLoad,
    peakUtilization: event.capacityLoadPeak,
    scalingMetrics: {
      enabled: event.scalingEnabled,
      minSlots: event.scalingMinSlots,
      maxSlots: event.scalingMaxSlots,
      targetSlots: event.scalingTargetSlots,
    },
  };
}

function describeScheduling(event: OrchestratorMetricsEvent) {
  return {
    avgSchedulingLatency: toMs(event.schedulingLatencyUsMean),
    p95SchedulingLatency: toMs(event.schedulingLatencyUsP95),
    p99SchedulingLatency: toMs(event.schedulingLatencyUsP99),
    schedulingThroughput: event.schedulingThroughputPerSecond,
    schedulingFailures: event.schedulingFailures,
    queueDepth: event.schedulingQueueDepth,
    priorityDistribution: event.priorityDistribution,
    affinityViolations: event.affinityViolations,
    resourceContentions: event.resourceContentions,
    schedulingAlgorithm: event.schedulingAlgorithm,
    optimizationScore: event.optimizationScore,
  };
}

function describeQueueInfo(queue: QueueInfo) {
  return {
    name: queue.name,
    type: queue.type,
    size: queue.size,
    consumers: queue.consumers,
    processingRate: queue.processingRatePerSecond,
    errorRate: queue.errorRatio,
    avgProcessingTime: toMs(queue.processingUsMean),
    oldestMessage: toMaybeInstant(queue.oldestMessageAtMs),
    priorityLevels: queue.priorityLevels,
  };
}

function describeQueue(event: QueueMetricsEvent) {
  return {
    ...describeQueueInfo({ ...event, name: event.queueName || event.queueId, type: event.queueType }),
    id: event.queueId,
    enqueued: event.enqueued,
    processed: event.processed,
    avgWaitTime: toMs(event.waitUsMean),
    maxWaitTime: toMs(event.waitUsMax),
    deadLetterCount: event.deadLetters,
    poisonMessageCount: event.poisonMessages,
    queueLatency: toMs(event.latencyUs),
    throughput: event.throughputPerSecond,
  };
}

function describeDecision(event: SchedulingDecisionEvent) {
  return {
    id: event.decisionId,
    workflowId: event.workflowId,
    executionId: event.executionId,
    taskId: event.taskId,
    schedulingLatency: toMs(event.schedulingLatencyUs),
    selectedWorker: orNull(event.selectedWorker),
    selectedPool: orNull(event.selectedPool),
    placementConstraints: event.placementConstraints,
    resourceRequirements: {
      cpuCores: event.cpuRequiredCores,
      memoryBytes: event.memoryRequiredBytes,
      storageBytes: event.storageRequiredBytes,
      ...event.resourceRequirements,
    },
    priority: event.priority,
    queueTime: toMs(event.queueUs),
    decisionFactors: event.decisionFactors,
    algorithm: event.algorithm,
    outcome: event.outcome,
  };
}

function describeBalance(event: LoadBalancingEvent) {
  return {
    poolId: event.poolId,
    algorithm: event.algorithm,
    distribution: {
      workerLoads: event.workerLoads,
      standardDeviation: event.loadStandardDeviation,
      imbalanceScore: event.imbalanceScore,
      hotspots: event.hotspots,
      underutilized: event.underutilized,
      redistributionCount: event.redistributions,
    },
    efficiency: {
      loadVariance: event.loadVariance,
      responseTimeVariance: event.responseTimeVariance,
      throughputBalance: event.throughputBalance,
      resourceUtilizationBalance: event.resourceBalance,
      fairnessIndex: event.fairnessIndex,
    },
    healthChecks: {
      total: event.healthChecks,
      failed: event.healthCheckFailures,
      avgTime: toMs(event.healthCheckUsMean),
    },
    failover: { total: event.failovers, failed: event.failoverFailures, avgTime: toMs(event.failoverUsMean) },
  };
}

function describePool(event: WorkerPoolEvent) {
  return {
    id: event.poolId,
    poolName: event.poolName || event.poolId,
    workerType: event.workerType,
    totalWorkers: event.workersTotal,
    activeWorkers: event.workersActive,
    idleWorkers: event.workersIdle,
    busyWorkers: event.workersBusy,
    failedWorkers: event.workersFailed,
    poolHealth: {
      healthyWorkers: event.workersHealthy,
      unhealthyWorkers: event.workersUnhealthy,
      averageHealth: event.healthMean,
      failureRate: event.failureRatio,
      restartCount: event.restarts,
      communicationErrors: event.communicationErrors,
      resourceExhaustion: event.resourceExhaustions,
    },
    resourceUsage: {
      cpu: event.cpuLoad,
      memory: event.memoryLoad,
      disk: event.diskLoad,
      networkBytesPerSecond: event.networkBytesPerSecond,
      totalSlots: event.slotsTotal,
      usedSlots: event.slotsUsed,
    },
    performance: {
      throughput: event.throughputPerSecond,
      avgTaskTime: toMs(event.taskUsMean),
      p95TaskTime: toMs(event.taskUsP95),
      avgQueueTime: toMs(event.queueUsMean),
      queuedTasks: event.tasksQueued,
      completedTasks: event.tasksCompleted,
      failedTasks: event.tasksFailed,
    },
    scaling: {
      enabled: event.scalingEnabled,
      minWorkers: event.workersMin,
      maxWorkers: event.workersMax,
      currentTarget: event.workersTarget,
      scalingEfficiency: event.scalingEfficiency,
      costOptimization: event.costOptimization,
      predictedDemand: event.predictedDemand,
    },
    costPerHour: costOf(event.costMicrosPerHour),
  };
}

function describeWorker(event: WorkerEvent) {
  return {
    id: event.workerId,
    poolId: event.poolId,
    hostname: event.host,
    status: event.status,
    currentTask: orNull(event.currentTask),
    tasksCompleted: event.tasksCompleted,
    tasksFailed: event.tasksFailed,
    cpuUsage: event.cpuLoad,
    memoryUsage: event.memoryLoad,
    diskUsage: event.diskLoad,
    networkUsage: event.networkBytesPerSecond,
    uptime: toMs(event.uptimeUs),
    lastHeartbeat: toMaybeInstant(event.lastHeartbeatAtMs),
    healthScore: event.healthScore,
    labels: event.labels,
  };
}

function describeScaling(event: ScalingEvent) {
  return {
    id: event.scalingId,
    orchestratorId: event.orchestratorId,
    poolId: event.poolId,
    source: event.source,
    timestamp: toInstant(event.eventTimeMs),
    action: event.action,
    fromCount: event.workersFrom,
    toCount: event.workersTo,
    reason: event.reason,
    metrics: event.triggerMetrics,
    success: event.success,
    duration: toMs(event.durationUs),
    costImpact: costOf(event.costMicrosImpact),
    commandId: orNull(event.commandId),
  };
}

function describeCoordination(event: CoordinationEvent) {
  return {
    eventId: event.eventId,
    eventType: event.eventType,
    details: event.details,
    participants: event.participants,
    outcome: event.outcome,
    consensusTime: toMs(event.consensusUs),
    consensusProtocol: event.consensusProtocol,
    leaderElection: {
      currentLeader: event.leader,
      electionCount: event.electionCount,
      lastElection: toMaybeInstant(event.lastElectionAtMs),
      avgElectionTime: toMs(event.electionUsMean),
      failoverTime: toMs(event.failoverUs),
      splitBrainIncidents: event.splitBrainIncidents,
    },
    distributedLocking: {
      activeLocks: event.locksActive,
      lockWaitTime: toMs(event.lockWaitUs),
      lockContentions: event.lockContentions,
      deadlocks: event.deadlocks,
      lockTimeouts: event.lockTimeouts,
      distributedTransactions: event.distributedTransactions,
    },
    stateManagement: {
      sizeBytes: event.stateSizeBytes,
      syncTime: toMs(event.stateSyncUs),
      replicas: event.stateReplicas,
    },
    messageOrdering: { outOfOrder: event.outOfOrderMessages, avgReorderTime: toMs(event.reorderUsMean) },
    conflictResolution: {
      conflicts: event.conflicts,
      resolved: event.conflictsResolved,
      avgTime: toMs(event.conflictResolutionUsMean),
    },
    partitionTolerance: {
      partitions: event.partitions,
      partitionTime: toMs(event.partitionUs),
      partitionedNodes: event.partitionedNodes,
    },
    overheadRatio: event.coordinationOverheadRatio,
    errors: event.errors.map(({ atMs, ...error }) => ({ ...error, at: toMaybeInstant(atMs) })),
  };
}
