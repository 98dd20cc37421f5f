import { defineConfig } from "vitest/config";

// Tests import the built package (`#src/…` is `dist/…`), because the engine and the template renderer start worker
// threads from compiled files. Three forks for two cores: some tests wait, for servers, disks and threads.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/temporary-files.ts",
    pool: "forks",
    maxWorkers: 3,
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
