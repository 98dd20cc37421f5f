/**
 * What takes too long to be killed again and again, with less of it and by the functions that the commands call:
 * `node shortened.mjs demo|sweep OUT`.
 */
import { join } from "node:path";
import { createEngine } from "#src/engine/index.js";
import { measureModels, prepareDemo, readDemoResults, SHIPPED_MODELS, SHIPPED_SWEEP } from "#src/lab/demo.js";
import { annotateReport } from "#src/lab/demo-notes.js";
import { askModel, demoQuestion } from "#src/lab/demo-question.js";
import { LAB_THREADS } from "#src/lab/models/index.js";
import { runSweep } from "#src/lab/sweep.js";
import { loadRecipe } from "#src/recipe/load.js";
import { silent } from "#src/reporter.js";
import { runRecipe } from "#src/run/run-recipe.js";

const CONVERSATIONS = 64;
const HELD_OUT = 32;

const engine = await createEngine({ kind: "onnx", threads: LAB_THREADS });
const context = { engine, reporter: silent, signal: undefined };
const [, , what, out] = process.argv;
await { demo, sweep }[what](out);
await engine.dispose();

async function demo(out) {
  const input = await prepareDemo({
    ...{ out, models: SHIPPED_MODELS, fusionConversations: CONVERSATIONS, heldOutConversations: HELD_OUT },
    settings: { lambda: 0.1, lr: 5e-4, epochs: 1 },
  });
  await measureModels(SHIPPED_MODELS, input.heldOut, context);
  const { recipe, text: recipeText, file: recipeFile } = await loadRecipe(input.recipeFile);
  await runRecipe(
    recipe,
    { out: input.run, force: false, recipeText, recipeFile },
    { reporter: silent, signal: undefined, createEngine },
  );
  await annotateReport(input.run, await readDemoResults(input.run, recipe), SHIPPED_SWEEP);
  await askModel(engine, join(input.run, "fused"), demoQuestion());
}

async function sweep(out) {
  await runSweep(
    {
      ...{ out, models: SHIPPED_MODELS, conversations: CONVERSATIONS, heldOut: HELD_OUT },
      ...{ learningRates: [5e-4, 1e-3], epochs: [1], lambdas: [0.1] },
    },
    context,
  );
}
