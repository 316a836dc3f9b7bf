import { expect, it } from 'vitest';
import { alertWindowMs } from '../../../clickhouse/queries/alert-inputs.ts';
import type { CommandRecord } from '../../../schemas/records.ts';
import { adviseOn, commandOf } from '../../../services/alerts/advice.ts';
import { toAlertRecord } from '../../../services/alerts/announcer.ts';
import { Judge } from '../../../services/alerts/judge.ts';
import { RuleBook } from '../../../services/alerts/rules.ts';
import { AlertMachine } from '../../../services/alerts/state.ts';
import { catalogueOf } from '../../../services/simulator/catalogue.ts';
import { CommandBook, obey } from '../../../services/simulator/obey.ts';
import { allWorkflows } from '../../../services/simulator/workflow-catalogue.ts';
import { World } from '../../../services/simulator/world.ts';
import { WindowFold } from '../../bench/window-fold.ts';

const hourMs = 3_600_000;
const startMs = Date.UTC(2026, 5, 2);
const stuckFromMs = startMs + 34 * hourMs;
const endMs = startMs + 48 * hourMs;
const workflowId = 'moderate_content';

/** A world in which one run waits for ever, on a workflow without timeouts. */
function createWorld(fold: WindowFold): World {
  return new World({
    seed: 5,
    startMs,
    endMs,
    catalogue: catalogueOf(allWorkflows).filter(({ definition }) => definition.id === workflowId),
    incidents: [{ id: 'stuck', kind: 'stuck_run', startMs: stuckFromMs, endMs: endMs - hourMs, workflowId }],
    sink: { event: (event) => fold.add(event), truth: () => {} },
  });
}

it('a stuck execution is told, its task is started anew when somebody agrees, and the alert ends', () => {
  const fold = new WindowFold();
  const world = createWorld(fold);
  const book = new RuleBook();
  const judge = new Judge({ bookOf: () => book });
  const machine = new AlertMachine();
  const commands = new CommandBook();
  const told: string[] = [];
  let stuckId = '';
  for (let index = startMs / alertWindowMs; (index + 1) * alertWindowMs < endMs - hourMs; index++) {
    const roundMs = (index + 1) * alertWindowMs;
    // Clocks of workers are off a little, so events of a window come until shortly after it.
    world.runUntil(roundMs + 1000);
    for (const change of machine.play({ roundMs, judgements: judge.judge(fold.take(index)) })) {
      const alert = toAlertRecord(change);
      if (alert.rule_id === 'EXECUTION_STUCK') told.push(alert.state);
      if (alert.rule_id !== 'EXECUTION_STUCK' || alert.state !== 'firing') continue;
      stuckId = alert.execution_id ?? '';
      const [remedy] = adviseOn(alert);
      const command = remedy === undefined ? null : commandOf(alert, remedy);
      expect(command).toMatchObject({ kind: 'restart_task', execution_id: stuckId, approval_required: true });
      const request = {
        ...command,
        kind: 'restart_task',
        command_id: 'restart',
        parameters: '{}',
        requested_by: 'ann',
        requested_at: roundMs,
        expires_at: roundMs + hourMs,
      };
      const ask = (approval: object): CommandRecord => ({ request: { ...request, ...approval } });
      expect(commands.judge(ask({}), roundMs)).toMatchObject({ carryOut: false });
      expect(world.runs.get(stuckId)?.play.isOver).toBe(false);
      expect(commands.judge(ask({ approved_by: 'bob' }), roundMs)).toMatchObject({ carryOut: true });
      expect(obey(world, ask({ approved_by: 'bob' }).request as never).outcome).toBe('done');
    }
  }
  expect(told).toEqual(['firing', 'resolved']);
  expect(world.runs.get(stuckId)?.play.state).toBe('completed');
});
