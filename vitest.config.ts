import { defineConfig } from "vitest/config";

// Tests import the built package (`#src/…` is `dist/…`), because the engine and the template renderer start worker
// threads from compiled files. Two forks: the machine has two cores, and each ONNX Runtime session uses both.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
