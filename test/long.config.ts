import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

// A project of its own, for what takes minutes that `npm test` has not: whole commands with processes and threads of
// their own, and large tables of published tokenizers and judgments.
export default defineConfig({
  root: resolve(import.meta.dirname, ".."),
  test: {
    include: ["test/commands/*.command.ts", "test/**/*.long.ts"],
    globalSetup: "test/temporary-files.ts",
    pool: "forks",
    isolate: false,
    // Most commands use two cores themselves.
    maxWorkers: 1,
    testTimeout: 240_000,
    hookTimeout: 60_000,
  },
});
