import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

// A project of its own: `npm test` needs nothing but Node, these tests need Python and what environment.ts installs.
export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: ["test/peers/*.peer.ts"],
    globalSetup: ["test/temporary-files.ts", "test/peers/environment.ts"],
    pool: "forks",
    // A process of PyTorch and one of ours use two cores each.
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 600_000,
  },
});
