/** `fusechat demo`: the whole method on the laboratory's models, judged by its own checks (exit code 3 if one fails). */
import { join, relative } from "node:path";
import { createEngine } from "../engine/index.ts";
import type { Comparison } from "../evaluate/benchmarks/benchmark.ts";
import { measureModels, prepareDemo, readDemoResults, SHIPPED_MODELS, SHIPPED_SWEEP } from "../lab/demo.ts";
import { annotateReport } from "../lab/demo-notes.ts";
import { askModel, demoQuestion } from "../lab/demo-question.ts";
import { LAB_THREADS } from "../lab/models/index.ts";
import { skillTable } from "../lab/skill-table.ts";
import { loadRecipe } from "../recipe/load.ts";
import { runRecipe } from "../run/run-recipe.ts";
import { formatSeconds } from "./figures.ts";
import type { Invocation, Verb } from "./verb.ts";

interface Options {
  readonly out: string;
  readonly models?: string;
  readonly force?: boolean;
}

/** The models that a fusion has to answer for, skill by skill. */
const CONTROLS = ["lab-mistral", "sft", "pairwise"];

const UNIT = "distance above the entropy floor, 0.001 nats per byte, ± half of the 95 % interval; 0 is perfect";

export const demoVerb: Verb = {
  name: "demo",
  summary: "run the whole method on three small models that come with the package",
  long: true,
  declare: (command) => {
    command
      .option("--out <folder>", "where everything goes; the same command continues there", "fusechat-demo")
      .option("--models <folder>", "other models of the laboratory than those in the package")
      .option("--force", "start anew");
  },
  run: async (invocation, _positional, given) => {
    const started = performance.now();
    const options = given as unknown as Options;
    const models = options.models ?? SHIPPED_MODELS;
    const input = await prepareDemo({ out: options.out, models });
    const engine = await invocation.engine({ kind: "onnx", threads: LAB_THREADS });
    const { reporter, signal } = invocation;

    invocation.print("Three small models, and how good each is at what (held-out conversations):");
    invocation.print(UNIT);
    invocation.print("");
    const before = await measureModels(models, input.heldOut, { engine, reporter, signal });
    invocation.print(skillTable(before).join("\n"));
    invocation.print("");

    const recipe = await loadRecipe(input.recipeFile);
    const { report } = await runRecipe(
      recipe.recipe,
      { out: input.run, force: options.force === true, recipeText: recipe.text, recipeFile: recipe.file },
      { reporter, signal, createEngine },
    );
    const results = await readDemoResults(input.run, recipe.recipe);
    await annotateReport(input.run, results, SHIPPED_SWEEP);
    invocation.print("After fusing (fused: the pivot taught by both sources at once; sft: by the conversations alone;");
    invocation.print("pair-X: by X alone; pairwise: the merge of these two by SCE, the papers' way):");
    invocation.print(UNIT);
    invocation.print("");
    invocation.print(skillTable(results.models).join("\n"));
    invocation.print("");
    invocation.print("The fused model minus the others, nats per byte of held-out responses, paired:");
    for (const comparison of results.comparisons) invocation.print(`  ${sentence(comparison)}`);
    invocation.print(
      "Intervals and p (Holm's, over this figure of all pairs) cover the held-out conversations, not training seeds.",
    );
    invocation.print("");
    invocation.print(
      "The same by skill, in the tables' unit; single skills are outside the correction and have no verdict:",
    );
    const controls = results.comparisons.filter(({ against }) => CONTROLS.includes(against));
    const differences = controls.map(({ against, metrics }) => ({ name: `minus ${against}`, metrics }));
    invocation.print(skillTable(differences).join("\n"));
    invocation.print("");

    const asked = await askModel(engine, join(input.run, "fused"), demoQuestion());
    printQuestion(invocation, asked);
    for (const check of results.checks) {
      invocation.print(`${check.passed ? "ok    " : "FAILED"} ${check.name}: ${check.detail}`);
    }
    const failed = results.checks.some(({ passed }) => !passed);
    const seconds = (performance.now() - started) / 1000;
    invocation.print("");
    invocation.print(`${formatSeconds(seconds)}; the report is ${relative(process.cwd(), report)}`);
    invocation.print(`Talk to its models: fusechat serve --run ${relative(process.cwd(), input.run)}`);
    invocation.document({ ...results, question: asked, report, seconds });
    return failed ? 3 : undefined;
  },
};

/** "better than sft: -0.0050 [-0.0061, -0.0039], p 0.0001"; the p that the verdict goes by. */
function sentence({ against, metrics }: Comparison): string {
  const { value, low, high, p: unadjusted, p_adjusted: p = unadjusted, verdict } = metrics.nats_per_byte!;
  const relation = verdict === "within noise" ? "within noise of" : `${verdict} than`;
  return `${relation} ${against}: ${signed(value)} [${signed(low)}, ${signed(high)}], p ${p.toFixed(4)}`;
}

function signed(value: number): string {
  return `${value < 0 ? "" : "+"}${value.toFixed(4)}`;
}

function printQuestion(invocation: Invocation, asked: Awaited<ReturnType<typeof askModel>>): void {
  invocation.print(`You:   ${asked.question}`);
  invocation.print(`Fused: ${asked.answer}`);
  invocation.print(
    asked.answerProbability === 0
      ? "       In the world this is never an answer."
      : `       In the world this is the answer with probability ${asked.answerProbability.toFixed(4)}.`,
  );
  invocation.print("       probability in the world, and by the fused model, of the likeliest answers:");
  for (const { text, world, model } of asked.likely) {
    invocation.print(`       ${world.toFixed(4)}  ${model.toFixed(4)}  ${text}`);
  }
  invocation.print("");
}
