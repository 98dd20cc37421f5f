import { expect, test } from "vitest";
import { availableMemory, type MemoryFigures, refuseBeyondMemory } from "#src/engine/onnx/memory-check.js";

const linux: MemoryFigures = { platform: "linux", total: 32e9, free: 20e9, limit: 0, resident: 1e9 };

test("available is what the system calls free, within what a container grants beyond what is taken", () => {
  expect(availableMemory(linux)).toBe(20e9);
  expect(availableMemory({ ...linux, limit: 8e9 })).toBe(7e9);
  expect(availableMemory({ ...linux, limit: 30e9 })).toBe(20e9);
  expect(availableMemory({ ...linux, limit: 2 ** 64 })).toBe(20e9);
  expect(availableMemory({ ...linux, limit: 5e8 })).toBe(0);
});

test("on macOS, whose free pages are always few, all memory counts", () => {
  expect(availableMemory({ ...linux, platform: "darwin", free: 1e8 })).toBe(31e9);
});

test("there is some memory on this machine", () => {
  expect(availableMemory()).toBeGreaterThan(1e7);
});

test("what does not fit is refused with what it needs and what there is", () => {
  expect(() => refuseBeyondMemory("models/large", 7e9, "training it", 7e9)).not.toThrow();
  expect(() => refuseBeyondMemory("models/large", 290.4e9, "training it", 20e9)).toThrow(
    "models/large: training it needs 290.4 GB of memory, and 20.0 GB are available; " +
      "close other programs, or use a machine with more memory or a smaller model",
  );
  expect(() => refuseBeyondMemory("models/large", 1e15, "training it")).toThrow(
    expect.objectContaining({ code: "failed", exitCode: 1 }),
  );
});
