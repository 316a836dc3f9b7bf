import { findCriticalPath } from '../../services/analysis/critical-path.ts';
import { buildDependencyGraph } from '../../services/analysis/dependency-graph.ts';
import { gatherExecutions } from '../../services/analysis/execution-trace.ts';
import { modelRun, resimulate } from '../../services/analysis/resimulation.ts';
import { timeRun } from '../../services/analysis/timed-run.ts';
import { timeWorkflow } from '../../services/analysis/workflow-runs.ts';
import { makeLargeRun } from '../support/large-run.ts';

/** One large execution, analysed in a process of its own, so that the most memory it ever had is known: prints a line of JSON. */
const [shape, tasks] = process.argv.slice(2);
const [trace] = gatherExecutions(makeLargeRun(shape as 'chain' | 'map' | 'layers', Number(tasks)));

/**
 * Counted is the time that the thread had a core, so that neighbours on the machine do not matter much: so long one waits
 * on a quiet one, where the collector's threads have the other core.
 */
function cpuSecondsOf(run: () => void): number {
  const before = process.threadCpuUsage();
  run();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1e6;
}

let run = timeRun(trace);
const path = cpuSecondsOf(() => {
  run = timeRun(trace);
  findCriticalPath(run);
});
const replay = cpuSecondsOf(() => resimulate(modelRun(run)));
const graph = cpuSecondsOf(() => buildDependencyGraph(timeWorkflow([trace])));
const peakMb = process.resourceUsage().maxRSS / 1024;
process.stdout.write(`${JSON.stringify({ path, replay, graph, peakMb })}\n`);
