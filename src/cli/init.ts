/** `fusechat init`: a commented recipe to begin with. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../errors.ts";
import { exists, fileError, writeFileAtomic } from "../formats/files.ts";
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
    await mkdir(folder, { recursive: true }).catch((error) => {
      throw fileError(folder, error);
    });
    await writeFileAtomic(path, RECIPE_TEMPLATE);
    print(`${path}: set pivot, sources and data, then: fusechat plan ${path}`);
    document({ recipe: path });
    return undefined;
  },
};
