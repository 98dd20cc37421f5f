import { expect, test } from "vitest";
import type { TargetRecord } from "#src/fuse/record.js";
import { modelCard, type TargetFigures } from "#src/fuse/target-folder.js";

const line = { step: 0, loss: 2.5, label_loss: 2.6, fusion_loss: 1.6, lr: 1e-3, grad_norm: 1, rows: 10 };
const figures: TargetFigures = {
  steps: 12,
  coverage: { conversations: 8, rows: 367, source_conversations: 6, source_rows: 198, unshared_rows: 19 },
  first: line,
  last: { ...line, step: 11, loss: 1.25 },
};
const record: TargetRecord = {
  format: "fusechat-target-1",
  program: { version: "1.0.0", revision: 1 },
  pivot: "mistral",
  source: "qwen2",
  settings: { lambda: 0.9, shuffle: true },
  inputs: { weights: "ab".repeat(32) },
};

test("a model card tells the pair, the settings, the losses and the inputs", () => {
  const card = modelCard(record, figures);
  expect(card.startsWith('---\nlibrary_name: transformers\nbase_model: "mistral"\n')).toBe(true);
  expect(card).toContain("# mistral × qwen2\n");
  expect(card).toContain("chosen in 6 of 8 conversations and gives the target of 198 of 367 rows; in 19 rows");
  expect(card).toContain("| lambda | 0.9 |\n| shuffle | true |");
  expect(card).toContain("| loss | 2.5000 | 1.2500 |");
  expect(card).toContain(`| weights | ${"ab".repeat(32)} |`);
});

test("that of a plain fine-tuning names no source", () => {
  const card = modelCard({ ...record, source: null }, figures);
  expect(card).toContain("# mistral, fine-tuned\n");
  expect(card).not.toContain("chosen");
});
