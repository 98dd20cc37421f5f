import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

// A project of its own: `npm test` needs nothing but Node, these tests need a Python with torch.
export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  test: {
    include: ["test/torch/*.torch.ts"],
    globalSetup: ["test/temporary-files.ts", "test/torch/environment.ts"],
    pool: "forks",
    // A process of PyTorch uses all cores.
    maxWorkers: 1,
    testTimeout: 900_000,
    hookTimeout: 600_000,
  },
});
