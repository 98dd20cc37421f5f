/** Models as a command line names them: folders, and models of the Hub, which come where they are not here. */

import { exists } from "../formats/files.ts";
import { hubNameOf, parseHubId } from "../hub/id.ts";
import { fetched, type HubFolder } from "../models/reference.ts";
import type { Invocation } from "./verb.ts";

/** How an option that names a model is described. */
export const MODEL_WORDS = "a folder, or org/name or org/name@revision of the Hub";

/**
 * The folder of a model. What is neither a folder nor an id of the Hub is given back as it is, for whoever opens it says
 * best what is missing. `part` says how much of a model of the Hub has to come: everything, unless it says less.
 */
export async function modelFolder(
  { hub }: Pick<Invocation, "hub">,
  model: string,
  part: (hub: Invocation["hub"]) => HubFolder = fetched,
): Promise<string> {
  if (await exists(model)) return model;
  // A run notes the folder in the cache, which may have been emptied since.
  const id = parseHubId(hubNameOf(model) ?? model);
  return id === undefined ? model : part(hub)(id);
}
