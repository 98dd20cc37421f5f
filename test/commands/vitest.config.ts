import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

// A project of its own: whole commands, each with processes and threads of its own, take minutes that `npm test` has not.
export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: ["test/commands/*.command.ts"],
    pool: "forks",
    // Most commands use two cores themselves.
    maxWorkers: 1,
    testTimeout: 240_000,
    hookTimeout: 60_000,
  },
});
