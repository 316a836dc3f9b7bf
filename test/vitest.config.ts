import path from 'node:path';
import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: Vitest reads its settings from the default export.
export default defineConfig({
  root: path.dirname(import.meta.dirname),
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/stack-setup.ts'],
    // Processes, not threads: tests start children, send signals and load native libraries.
    pool: 'forks',
    maxWorkers: 2,
    // A slow machine must not decide a test: what is waited for comes, or the test's own limit ends it.
    expect: { poll: { timeout: 30_000 } },
    testTimeout: 240_000,
    hookTimeout: 240_000,
    teardownTimeout: 15_000,
  },
});
