/** All verbs, in the order of `--help`: one file each, one line here. */
import type { Verb } from "./verb.ts";

export const VERBS: readonly Verb[] = [];
