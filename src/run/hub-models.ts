/**
 * The models of a run that are on the Hub. A run stays with the commits that it began with, whatever has become of their
 * branches since; its plan has them. Weights come only once the recipe is known to be right.
 */
import { join } from "node:path";
import { z } from "zod";
import { inputError } from "../errors.ts";
import { readChecked } from "../formats/checked-json.ts";
import { exists } from "../formats/files.ts";
import type { SafetensorsHeader } from "../formats/safetensors-header.ts";
import { type HubId, parseHubId, printHubId } from "../hub/id.ts";
import { estimateFetch } from "../models/fetch-estimate.ts";
import type { Hub } from "../models/hub.ts";
import { sizeText } from "../models/hub-transfer.ts";
import { outlined } from "../models/reference.ts";
import { RUN_FILES } from "../recipe/layout.ts";
import { hubIdOf, hubIdsOf, locateModels } from "../recipe/locate.ts";
import type { Recipe } from "../recipe/recipe.ts";
import type { Reporter } from "../reporter.ts";
import type { RunOptions } from "./runner.ts";

export interface WithHubModels {
  /** Every model is a folder. */
  readonly recipe: Recipe;
  readonly options: Pick<RunOptions, "toCome">;
}

export async function withHubModels(
  recipe: Recipe,
  options: RunOptions,
  { hub, reporter }: { readonly hub: (() => Promise<Hub>) | undefined; readonly reporter: Reporter },
): Promise<WithHubModels> {
  const nowhere = { whole: refuse, text: refuse };
  const isOnHub = [recipe.pivot, ...recipe.sources].some((model) => hubIdOf(model) !== undefined);
  if (!isOnHub || hub === undefined) {
    return { recipe: await locateModels(recipe, nowhere, options.where), options: {} };
  }
  const models = await hub();
  const before = options.force === true ? new Map<string, string>() : await commitsOf(options.out);
  const pinned = new Map<string, HubId>();
  for (const model of [recipe.pivot, ...recipe.sources]) {
    const id = hubIdOf(model);
    const commit = id === undefined ? undefined : before.get(`${model.name} ${id.repo}`);
    if (id === undefined || commit === undefined || commit === id.revision) continue;
    pinned.set(printHubId(id), { repo: id.repo, revision: commit });
    const now = await models.commit(id);
    if (now === undefined || now === commit) continue;
    const message = `${printHubId(id)} has moved from ${commit.slice(0, 12)} to ${now.slice(0, 12)} since this run began, which goes on with ${commit.slice(0, 12)}`;
    reporter.report({ type: "warning", stage: "run", message });
  }
  const taken = (id: HubId): HubId => pinned.get(printHubId(id)) ?? id;
  const outlines = new Map<string, SafetensorsHeader>();
  const outline = outlined(async () => models, outlines);
  const folders = { whole: (id: HubId) => outline(taken(id)), text: (id: HubId) => models.text(taken(id)) };
  const located = await locateModels(recipe, folders, options.where);
  const bring = async (): Promise<void> => {
    const ids = hubIdsOf(recipe).map(taken);
    const { missing_bytes: bytes, models: all, seconds, rate, from } = await estimateFetch(models, ids);
    if (bytes > 0) {
      // Told, and known to fit, before the first of them comes: all together may take hours.
      const count = all.filter(({ missing_bytes: missing }) => missing > 0).length;
      const summary = `${sizeText(bytes)} of weights of ${count} ${count === 1 ? "model" : "models"} to fetch from ${from}, about ${Math.ceil(seconds / 60)} min (${rate})`;
      reporter.report({ type: "end", stage: "fetch", summary, figures: { bytes, seconds, models: all } });
      await models.checkRoom(bytes);
    }
    for (const id of ids) await models.fetch(id);
  };
  return { recipe: located, options: { toCome: { outlines, bring } } };
}

async function refuse(id: HubId): Promise<never> {
  throw inputError(printHubId(id), "expected a model folder, or `hub` in the context, which gives models of the Hub");
}

/** Of a plan what names models of the Hub. */
const model = z.object({ name: z.string(), hub: z.string().optional() });
const planDocument = z.object({ recipe: z.object({ pivot: model, sources: z.array(model) }) });

/** Commits by `name org/name`, of a run that has begun. */
export async function commitsOf(out: string): Promise<Map<string, string>> {
  const path = join(out, RUN_FILES.plan);
  const commits = new Map<string, string>();
  // Read as nothing, it would let the run go on with other commits.
  const plan = (await exists(path)) ? await readChecked(path, planDocument, "the plan of a run") : undefined;
  for (const { name, hub = "" } of plan === undefined ? [] : [plan.recipe.pivot, ...plan.recipe.sources]) {
    const id = parseHubId(hub);
    if (id !== undefined) commits.set(`${name} ${id.repo}`, id.revision);
  }
  return commits;
}
