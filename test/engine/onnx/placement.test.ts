import { expect, test } from "vitest";
import { placementOf, RESIDENT_BYTES } from "#src/engine/onnx/placement.js";

test("weights of more than 1 GB in single precision are streamed, whatever they are stored in", () => {
  expect(placementOf(135e6)).toBe("resident");
  expect(placementOf(RESIDENT_BYTES / 4)).toBe("resident");
  expect(placementOf(RESIDENT_BYTES / 4 + 1)).toBe("streamed");
  expect(placementOf(494e6)).toBe("streamed");
});

test("the threshold can be set, and be out of reach", () => {
  expect(placementOf(1, 0)).toBe("streamed");
  expect(placementOf(72e9, Number.POSITIVE_INFINITY)).toBe("resident");
});
