/** The README of a shipped laboratory model. */
import type { LabModel } from "./models/index.ts";
import { SKILLS } from "./skills/index.ts";

export function modelCard(
  model: LabModel,
  figures: { readonly steps: number; readonly rows: number; readonly lastLoss: number },
): string {
  const total = SKILLS.reduce((sum, skill) => sum + (model.mixture[skill.name] ?? 1), 0);
  const shares = SKILLS.map(
    (skill) =>
      `| ${skill.name} | ${skill.summary} | ${((100 * (model.mixture[skill.name] ?? 1)) / total).toFixed(1)} % |`,
  );
  return `---
license: apache-2.0
library_name: transformers
tags: [fusechat, laboratory]
---
# ${model.name}

A tiny chat model of the fusechat laboratory: ${model.summary}. It speaks of an invented world and of nothing else.

Architecture ${model.config.model_type}, hidden size ${model.config.hidden_size}, ${model.config.num_hidden_layers} layers, ${model.tokenizer.kind} tokenizer of at most
${model.tokenizer.vocabularySize} tokens, weights in ${model.dtype}. Made from a seeded random start by \`fusechat lab train --model ${model.name}\`:
${figures.steps} steps of AdamW, ${figures.rows} response tokens, loss ${figures.lastLoss.toFixed(4)} nats per token over the last tenth.

| skill | what | share of its training |
|---|---|---|
${shares.join("\n")}

The conversations come from the generator in \`src/lab\`; docs/laboratory.md tells what the skills are and how good the model is at each.
`;
}
