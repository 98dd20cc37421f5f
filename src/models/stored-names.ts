/** What the files of a checkpoint tell of a network that its config leaves open. */
import { exists } from "../formats/files.ts";
import { haveSameBytes } from "../formats/same-bytes.ts";
import type { Weights } from "../formats/weights.ts";
import type { StoredNames } from "./architecture.ts";

const HEAD = /(^|\.)lm_head\.weight$/;
const EMBEDDING = /(^|\.)embed_tokens\.weight$/;

/** Of weights that are not here, headers alone: a head then counts as one of its own. */
export async function storedNames({ tensors }: Weights): Promise<StoredNames> {
  const find = (pattern: RegExp) => [...tensors].find(([name]) => pattern.test(name))?.[1];
  const [head, embedding] = [find(HEAD), find(EMBEDDING)];
  const areHere =
    head !== undefined && embedding !== undefined && (await exists(head.file)) && (await exists(embedding.file));
  const headIsCopy = areHere && (await haveSameBytes(head, embedding));
  return { names: new Set(tensors.keys()), headIsCopy };
}
