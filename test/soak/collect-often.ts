import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Loaded into every process of ours that a soak watches. The runtime collects what was left when it sees fit, which for a process with little
 * to do is every few minutes, and until then looks like one that leaks. Collected often, what it holds is what it keeps.
 */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
setInterval(collect, 15_000).unref();
