/** `fusechat validate`: every mistake in a recipe and in what it names, at once. */
import { leftOutSentence, withoutFolders } from "../data/irregular.ts";
import type { SafetensorsHeader } from "../formats/safetensors.ts";
import { outlined, textOnly } from "../models/reference.ts";
import { loadRecipe } from "../recipe/load.ts";
import { locateModels } from "../recipe/locate.ts";
import { openInputs } from "../recipe/open-inputs.ts";
import { formatCount } from "./figures.ts";
import type { Verb } from "./verb.ts";

export const validateVerb: Verb = {
  name: "validate",
  summary: "find every mistake in a recipe, its models and its data at once",
  declare: (command) => {
    command.argument("<recipe>", "recipe file");
  },
  run: async ({ print, document, hub }, [file = ""]) => {
    const { recipe: written, where } = await loadRecipe(file);
    const outlines = new Map<string, SafetensorsHeader>();
    const recipe = await locateModels(written, { whole: outlined(hub, outlines), text: textOnly(hub) }, where);
    const { models, conversations, evaluations } = await openInputs(recipe, where, null, outlines);
    const { train, heldOut, leftOut } = conversations;
    print(`${file}: valid`);
    for (const { name, role, facts } of models) {
      const size = facts.parameters === null ? "behind a server" : `${formatCount(facts.parameters)} parameters`;
      print(`  ${role} ${name}: ${facts.architecture}, ${size}`);
    }
    print(`  data: ${formatCount(train.length)} conversations to train on, ${formatCount(heldOut.length)} held out`);
    if (leftOut.length > 0) print(`  ${leftOutSentence(leftOut)}`);
    for (const { name, models: evaluated, prompts } of evaluations) {
      print(`  evaluate ${name}: ${formatCount(evaluated)} models, ${formatCount(prompts)} prompts each`);
    }
    const { gates } = recipe.evaluate;
    if (gates.length > 0) print(`  gates: ${gates.join("; ")}`);
    document({
      recipe: file,
      valid: true,
      models: models.map(({ name, role, facts }) => ({
        name,
        role,
        architecture: facts.architecture,
        parameters: facts.parameters,
      })),
      conversations: { train: train.length, held_out: heldOut.length, left_out: withoutFolders(leftOut) },
      evaluations,
      gates,
    });
    return undefined;
  },
};
