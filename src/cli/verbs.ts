/** All verbs, in the order of `--help`: one file each, one line here. */
import { alignVerb } from "./align.ts";
import { chatVerb } from "./chat.ts";
import { demoVerb } from "./demo.ts";
import { distributionsVerb } from "./distributions.ts";
import { evaluateVerb } from "./evaluate.ts";
import { fuseVerb } from "./fuse.ts";
import { initVerb } from "./init.ts";
import { inspectVerb } from "./inspect.ts";
import { labVerb } from "./lab.ts";
import { listVerb } from "./list.ts";
import { mergeVerb } from "./merge.ts";
import { planVerb } from "./plan.ts";
import { reportVerb } from "./report.ts";
import { runVerb } from "./run.ts";
import { validateVerb } from "./validate.ts";
import type { Verb } from "./verb.ts";

export const VERBS: readonly Verb[] = [
  initVerb,
  validateVerb,
  planVerb,
  runVerb,
  distributionsVerb,
  alignVerb,
  fuseVerb,
  mergeVerb,
  evaluateVerb,
  chatVerb,
  inspectVerb,
  listVerb,
  reportVerb,
  demoVerb,
  labVerb,
];
