/** What a schema cannot say of a recipe's evaluation: names that clash, models and figures that there are not. */
import { suggestion } from "../errors.ts";
import { entriesOf, readsAnswers } from "./evaluation.ts";
import { parseRecipeGates } from "./gates.ts";
import { modelsNamed, modelsOf, modelWords, RESERVED_EVALUATIONS } from "./layout.ts";
import { BENCHMARK_NAMES } from "./names.ts";
import type { RecipeProblem } from "./problems.ts";
import { isServed, type Recipe } from "./recipe.ts";
import type { RecipeFile } from "./schema.ts";

export function evaluationProblems(recipe: Recipe, file: RecipeFile): RecipeProblem[] {
  const problems = [...names(recipe, file), ...models(recipe, file)];
  // Gates speak of the evaluations, so they are read only where those are right.
  if (problems.length > 0) return problems;
  return parseRecipeGates(recipe).problems.map(({ index, message }) => ({
    path: ["evaluate", "gates", index],
    message,
  }));
}

/** Evaluations name files, so each has a name of its own, also where case does not count. */
function names({ evaluate }: Recipe, file: RecipeFile): RecipeProblem[] {
  const seen = new Set<string>();
  return entriesOf(file.evaluate).flatMap(({ entry, path: place }, index): RecipeProblem[] => {
    const { name, benchmark } = evaluate.benchmarks[index]!;
    const path = typeof entry !== "string" && entry.as !== undefined ? [...place, "as"] : place;
    const lower = name.toLowerCase();
    if (seen.has(lower)) {
      return [{ path, message: `the name "${name}" is taken; give one of the two its own: { benchmark: …, as: … }` }];
    }
    seen.add(lower);
    const isOther = BENCHMARK_NAMES.includes(lower) && lower !== benchmark;
    if (isOther || RESERVED_EVALUATIONS.includes(lower)) {
      const owner = isOther ? "of another benchmark" : "of a file that the run writes";
      return [{ path, message: `"${name}" is the name ${owner}; choose another` }];
    }
    return [];
  });
}

function models(recipe: Recipe, file: RecipeFile): RecipeProblem[] {
  const all = modelsOf(recipe);
  return entriesOf(file.evaluate).flatMap(({ entry, path }) => {
    const words = typeof entry === "string" ? [] : (entry.models ?? []);
    return words.flatMap((word, index): RecipeProblem[] => {
      const named = modelsNamed(word, all);
      const served = named.find(isServed);
      if (served !== undefined && readsAnswers(typeof entry === "string" ? entry : entry.benchmark)) {
        const message = `${served.name} is behind a server, which gives distributions alone and writes no answers here; leave it out`;
        return [{ path: [...path, "models", index], message }];
      }
      if (named.length > 0) return [];
      const known = modelWords(all);
      const message = `the run has no model ${JSON.stringify(word)}${suggestion(word, known)} (there is: ${known.join(", ")})`;
      return [{ path: [...path, "models", index], message }];
    });
  });
}
