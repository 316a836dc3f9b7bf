import type { ResourceUsage } from './play-changes.ts';
import type { Random } from './random.ts';
import type { WorkTask } from './workflow-model.ts';

export const needsDefaults = { cpuCores: 0.5, memoryBytes: 256 * 2 ** 20 } as const;
const cpuRatioDefault = 0.6;
// Blocks and packets of usual sizes, by which operations and requests are counted.
const bytesPerOperation = 64 * 1024;
const bytesPerRequest = 16 * 1024;

/** What an attempt used that ran for `runMs`; what was cut short has read and written a part. */
export function drawUsage(task: WorkTask, runMs: number, doneRatio: number, random: Random): ResourceUsage {
  const cores = task.resources?.cpuCores ?? needsDefaults.cpuCores;
  const memoryBytes = task.resources?.memoryBytes ?? needsDefaults.memoryBytes;
  const cpuRatioMean = Math.min(1, (task.cpuRatio ?? cpuRatioDefault) * random.between(0.8, 1.1));
  const memoryPeakBytes = Math.round(memoryBytes * random.between(0.4, 0.95));
  const bytes = (whole: number | undefined) => Math.round((whole ?? 0) * doneRatio * random.between(0.8, 1.2));
  const readBytes = bytes(task.readBytes);
  const writtenBytes = bytes(task.writtenBytes);
  const networkBytes = bytes(task.networkBytes);
  const requests = Math.ceil(networkBytes / bytesPerRequest);
  const idleMs = runMs * (1 - cpuRatioMean);
  return {
    cpuMs: runMs * cores * cpuRatioMean,
    cpuRatioMean,
    cpuRatioPeak: Math.min(1, cpuRatioMean * random.between(1.05, 1.6)),
    memoryPeakBytes,
    memoryMeanBytes: Math.round(memoryPeakBytes * random.between(0.6, 0.9)),
    storageBytes: writtenBytes,
    networkBytes,
    ioReadOps: Math.ceil(readBytes / bytesPerOperation),
    ioWriteOps: Math.ceil(writtenBytes / bytesPerOperation),
    ioReadBytes: readBytes,
    ioWriteBytes: writtenBytes,
    ioWaitMs: task.type === 'io' ? idleMs * 0.8 : idleMs * 0.1,
    networkRequestsSent: requests,
    networkRequestsReceived: requests,
    networkLatencyMs: requests === 0 ? 0 : random.between(2, 40),
    networkErrors: 0,
    gcPauseMs: runMs * cpuRatioMean * random.between(0.002, 0.02),
  };
}
