import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { insertLiveTables } from '../../schemas/live-docs.ts';

it('the README has the tables of topics and messages as they are', () => {
  const readme = readFileSync('README.md', 'utf8');
  expect(readme, 'run npm run docs').toBe(insertLiveTables(readme));
});
