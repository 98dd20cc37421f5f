/** `fusechat init`: a commented recipe to begin with. */
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, writeFileAtomic } from "../formats/files.ts";
import { makeFolder } from "../formats/folders.ts";
import { RECIPE_TEMPLATE } from "../recipe/template.ts";
import type { Verb } from "./verb.ts";

export const initVerb: Verb = {
  name: "init",
  summary: "write a commented recipe to begin with",
  declare: (command) => {
    command.argument("[dir]", "folder for recipe.yaml", ".").option("--force", "overwrite a recipe that is there");
  },
  run: async ({ print, document }, [folder = "."], { force }) => {
    const path = join(folder, "recipe.yaml");
    if (force !== true && (await exists(path))) {
      throw inputError(path, "there is a recipe already; --force overwrites it");
    }
    await makeFolder(folder);
    await writeFileAtomic(path, RECIPE_TEMPLATE);
    print(`${path}: set pivot, sources and data, then: fusechat plan ${path}`);
    document({ recipe: path });
    return undefined;
  },
};
