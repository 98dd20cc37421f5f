import { expect, test } from "vitest";
import { sweepNotes } from "#src/lab/demo-notes.js";

const metric = (value: number) => ({
  value,
  low: value - 0.001,
  high: value + 0.001,
  unit: "nats/byte",
  prompts: 9,
});

test("the report says on which draw the settings were fixed, and shows the sweep", () => {
  const notes = sweepNotes({
    draw: "validation",
    chosen: { lr: 0.001, epochs: 3, lambda: 0.1 },
    lines: [
      { lr: 0.001, epochs: 3, lambda: null, model: "sft", above_floor: metric(0.02) },
      { lr: 0.001, epochs: 3, lambda: 0.1, model: "target-lab-llama", above_floor: metric(0.015) },
      { lr: 0.001, epochs: 3, lambda: 0.1, model: "fused", above_floor: metric(0.01) },
    ],
  });
  expect(notes[0]).toContain(
    "Learning rate 0.001, 3 epochs and lambda 0.1 were fixed on 800 conversations of a validation draw",
  );
  expect(notes[1]).toBe(
    "Validation, plain fine-tuning, nats per byte above the floor: lr 0.001, 3 epochs: 0.0200 [0.0190, 0.0210].",
  );
  expect(notes[2]).toBe("Validation, fused model: lr 0.001, lambda 0.1: 0.0100 [0.0090, 0.0110].");
});
