/**
 * What fusing on the sources' own answers does, where the truth is known: in the laboratory, the demonstration's models and
 * settings are fused on the world's answers, on one answer a prompt of a source drawn by lot, on the one of both sources
 * that all models find least surprising (nats), and the same with the pivot among those who answer (all), at several numbers of prompts. Printed is the distance above the floor on the
 * demonstration's held-out conversations.
 *
 *   node bench/drawn-answers.mjs --out FOLDER [--times 1,4,16] [--arms world,lot,nats,all] [--threads 2]
 *
 * Runs are kept in the folder and go on where they were. One training seed: intervals are over conversations.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeConversations } from "../dist/data/read.js";
import { createEngine } from "../dist/engine/index.js";
import { drawConversations } from "../dist/lab/conversations.js";
import { loadRecipe } from "../dist/recipe/load.js";
import { runRecipe } from "../dist/run/run-recipe.js";

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    times: { type: "string", default: "1,4" },
    arms: { type: "string", default: "world,lot,nats" },
    threads: { type: "string", default: "2" },
  },
});
if (values.out === undefined) throw new Error("--out FOLDER is needed");
const out = resolve(values.out);
const models = resolve(import.meta.dirname, "../lab/models");
/** Prompts of the demonstration. */
const PROMPTS = 2400;
/** Drawn as the models mean them: no temperature but 1, and nothing cut off. */
const DRAWN = "per_prompt: 1, temperature: 1, top_p: 1, max_tokens: 128, keep: best";
const ARMS = {
  world: "",
  lot: `, answers: { ${DRAWN}, select: none }`,
  nats: `, answers: { ${DRAWN}, select: nats }`,
  all: `, answers: { ${DRAWN}, select: nats, from: [lab-mistral, lab-llama, lab-qwen2] }`,
};

const recipeOf = (arm) => `pivot: ${models}/lab-mistral
sources: [${models}/lab-llama, ${models}/lab-qwen2]
data: { path: fusion.jsonl, held_out_path: held-out.jsonl, max_length: 256${ARMS[arm]} }
fuse: { lambda: 0.1, lr: 0.0005, epochs: 3, batch: 32 }
merge: { method: sce, select_topk: 0.1, dtype: float32 }
baselines: [sft]
evaluate: [held-out]
engine: { kind: onnx, threads: ${values.threads} }
`;

for (const times of values.times.split(",").map(Number)) {
  for (const arm of values.arms.split(",")) {
    const folder = join(out, `${arm}-${times}`);
    await mkdir(folder, { recursive: true });
    await writeConversations(join(folder, "fusion.jsonl"), drawConversations("fusion", times * PROMPTS));
    await writeConversations(join(folder, "held-out.jsonl"), drawConversations("held-out", 800));
    const recipeText = recipeOf(arm);
    await writeFile(join(folder, "recipe.yaml"), recipeText);
    const { recipe } = await loadRecipe(join(folder, "recipe.yaml"));
    const begun = performance.now();
    const quiet = { report: () => {} };
    await runRecipe(recipe, { out: join(folder, "run"), recipeText }, { reporter: quiet, createEngine });
    const seconds = (performance.now() - begun) / 1000;
    const figures = [];
    for (const name of ["lab-mistral", "sft", "target-lab-llama", "target-lab-qwen2", "fused"]) {
      const result = JSON.parse(await readFile(join(folder, `run/evaluate/held-out/${name}.json`), "utf8"));
      const { value, low, high } = result.metrics.above_floor;
      figures.push(`${name} ${thousandths(value)} [${thousandths(low)}, ${thousandths(high)}]`);
    }
    const lines = (await readFile(join(folder, "run/data/train.jsonl"), "utf8")).split("\n").length - 1;
    console.log(
      `${arm}, ${times * PROMPTS} prompts, ${lines} conversations (${seconds.toFixed(0)} s): ${figures.join(", ")}`,
    );
  }
}

function thousandths(nats) {
  return (1000 * nats).toFixed(1);
}
