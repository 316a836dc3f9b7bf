import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { TimedResultCache } from '../../../services/simulator/result-cache.ts';
import { allWorkflows, exampleWorkflows } from '../../../services/simulator/workflow-catalogue.ts';
import { checkWorkflow } from '../../../services/simulator/workflow-check.ts';
import { findProblems } from './play-laws.ts';
import { PlayStage } from './play-stage.ts';

const byId = new Map(allWorkflows.map((definition) => [definition.id, definition]));
const namesOf = (id: string) => byId.get(id)?.tasks.map(({ name }) => name);

function playSeed(id: string, seed: number): PlayStage {
  const definition = byId.get(id);
  if (definition === undefined) throw new Error(`there is no workflow ${id}`);
  const childDefinition = (child: string) => byId.get(child);
  // One slot short of plenty, so that tasks also wait for each other.
  return new PlayStage(definition, { seed, slots: 4, childDefinition, cache: new TimedResultCache() }).startToEnd();
}

describe('the workflows that come with the simulator', () => {
  it('are files named after their ids, every one of them loaded', () => {
    const folder = path.join(import.meta.dirname, '../../../services/simulator/definitions');
    expect(readdirSync(folder).sort()).toEqual(allWorkflows.map(({ id }) => `${id}.json`).sort());
    expect(allWorkflows.length).toBeGreaterThanOrEqual(16);
  });

  it('refer to each other and to nothing that is not there', () => {
    const surroundings = { workflows: new Set(byId.keys()), pools: new Set(['default', 'io', 'database', 'gpu']) };
    for (const definition of allWorkflows) expect(checkWorkflow(definition, surroundings)).toEqual({ definition });
  });

  it.each(allWorkflows.map(({ id }) => id))('end, and keep the laws of a play, for forty seeds: %s', (id) => {
    const states = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const { play, listener, pools } = playSeed(id, seed);
      expect(play.isOver, `seed ${seed}`).toBe(true);
      expect(findProblems(listener, [...pools.values()]), `seed ${seed}`).toEqual([]);
      states.add(play.state);
    }
    // Failures are rare in all of them, so most seeds complete.
    expect([...states]).toContain('completed');
  });

  it('have no task that never runs', () => {
    const missing = allWorkflows.flatMap(({ id, tasks }) => {
      const idle = new Set(tasks.map((task) => task.id));
      for (let seed = 1; seed <= 400 && idle.size > 0; seed++) {
        for (const { taskId, state } of playSeed(id, seed).listener.tasks) if (state === 'running') idle.delete(taskId);
      }
      return [...idle].map((taskId) => `${id}.${taskId}`);
    });
    // These two hang on what starts the execution, which the defaults leave out.
    expect(missing).toEqual(['conditional_workflow.fast_process', 'conditional_workflow.thorough_process']);
  });
});

describe('the four examples', () => {
  it('are the ones that a workspace is given', () => {
    const ids = ['basic_sequence', 'parallel_processing', 'conditional_workflow', 'data_pipeline'];
    expect(exampleWorkflows.map(({ id }) => id)).toEqual(ids);
  });

  it('have the steps that their descriptions name', () => {
    expect(namesOf('basic_sequence')).toEqual(['Initialize', 'Process', 'Finalize']);
    const branches = ['Branch A', 'Branch B', 'Branch C'];
    expect(namesOf('parallel_processing')).toEqual(['Data Preparation', ...branches, 'Merge Results']);
    const ways = ['Fast Process', 'Standard Process', 'Thorough Process'];
    expect(namesOf('conditional_workflow')).toEqual(['Evaluate Condition', ...ways, 'Aggregate Results']);
    const seven = ['Validate Source', 'Extract Data', 'Transform Data', 'Validate Transformation', 'Load Data'];
    expect(namesOf('data_pipeline')).toEqual([...seven, 'Post-Load Validation', 'Cleanup']);
  });

  it.each(['fast', 'standard', 'thorough'])('branch by the mode that they are started with: %s', (mode) => {
    const definition = byId.get('conditional_workflow');
    if (definition === undefined) throw new Error('there is no such workflow');
    const { listener } = new PlayStage(definition, { variables: { mode }, seed: 3 }).startToEnd();
    const completed = listener.tasks.filter(({ state }) => state === 'completed').map(({ taskId }) => taskId);
    expect(completed).toEqual(['evaluate_condition', `${mode}_process`, 'aggregate_results']);
  });
});
