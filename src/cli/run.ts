/** `fusechat run`: the whole method, from a recipe to a run directory. The same command continues what was interrupted. */

import { join } from "node:path";
import { createEngine } from "../engine/index.ts";
import { FusechatError } from "../errors.ts";
import type { GateOutcome } from "../evaluate/gates/judge.ts";
import { readWhole } from "../formats/checked-json.ts";
import { needsJudge } from "../recipe/judge.ts";
import { comparisonFile } from "../recipe/layout.ts";
import { loadRecipe } from "../recipe/load.ts";
import type { BenchmarkComparison } from "../recipe/results.ts";
import { comparisonDocument } from "../report/run-documents.ts";
import { resultTable } from "../run/result-table.ts";
import { runRecipe } from "../run/run-recipe.ts";
import { emptyTable } from "../table.ts";
import { declareJudge, type JudgeFlags, judgeAccess, withheldKey } from "./judge-options.ts";
import { serverKeys } from "./server-keys.ts";
import type { Invocation, Verb } from "./verb.ts";

export const runVerb: Verb = {
  name: "run",
  summary: "run a recipe: distributions, alignment, targets, merge, evaluation, report",
  long: true,
  declare: (command) => {
    command
      .argument("<recipe>", "recipe file")
      .requiredOption("--out <dir>", "run directory; an unfinished run of the same recipe there is continued")
      .option("--verify", "hash all that is there already, not only what has another size or time of change")
      .option("--force", "start anew: remove what an earlier run wrote there");
    declareJudge(command);
  },
  run: async ({ reporter, signal, print, document, environment, hub }, [file = ""], options) => {
    const { recipe, text, where } = await loadRecipe(file);
    const judge = judgeAccess(options as JudgeFlags, environment);
    const withheld = needsJudge(recipe) ? withheldKey(recipe.evaluate.judge.url, judge, environment) : null;
    if (withheld !== null) reporter.report({ type: "warning", stage: "run", message: withheld });
    const summary = await runRecipe(
      recipe,
      {
        out: String(options.out),
        force: options.force === true,
        verify: options.verify === true,
        recipeText: text,
        recipeFile: file,
        where,
        judge,
      },
      {
        reporter,
        signal,
        hub,
        keyFor: serverKeys(environment),
        createEngine: (settings) => createEngine(settings, serverKeys(environment)),
      },
    );
    const comparisons: Record<string, BenchmarkComparison> = emptyTable();
    for (const { name } of recipe.evaluate.benchmarks) {
      comparisons[name] = (await readWhole(
        join(summary.out, comparisonFile(name)),
        comparisonDocument,
        "a comparison of a run",
      )) as BenchmarkComparison;
      print(`${resultTable(comparisons[name])}\n\n`);
    }
    printGates(summary.gates, print);
    print(`report: ${summary.report}`);
    document({ ...summary, evaluate: comparisons });
    const failed = summary.gates.filter(({ met }) => !met);
    if (failed.length > 0) throw new FusechatError("gate", gateSentence(summary.out, failed, summary.gates.length));
    return undefined;
  },
};

function printGates(gates: readonly GateOutcome[], print: Invocation["print"]): void {
  if (gates.length === 0) return;
  print("What the recipe demands:");
  for (const { gate, met, figures } of gates) print(`  ${met ? "met    " : "NOT MET"}  ${gate}: ${figures}`);
  print("");
}

function gateSentence(out: string, failed: readonly GateOutcome[], all: number): string {
  const list = failed.map(({ gate, figures }) => `${gate} (${figures})`).join("; ");
  return `${out}: ${failed.length} of ${all} gates ${failed.length === 1 ? "is" : "are"} not met: ${list}`;
}
