/**
 * All verbs, in the order of `--help`: one file each, one line here. A file is loaded when its verb is asked for: all of
 * them take a third of a second and 15 MB more than one.
 */
import { type Table, tableOf } from "../table.ts";
import type { Verb } from "./verb.ts";

const LOADERS: Table<() => Promise<Verb>> = tableOf({
  init: async () => (await import("./init.ts")).initVerb,
  validate: async () => (await import("./validate.ts")).validateVerb,
  plan: async () => (await import("./plan.ts")).planVerb,
  run: async () => (await import("./run.ts")).runVerb,
  distributions: async () => (await import("./distributions.ts")).distributionsVerb,
  align: async () => (await import("./align.ts")).alignVerb,
  fuse: async () => (await import("./fuse.ts")).fuseVerb,
  merge: async () => (await import("./merge.ts")).mergeVerb,
  evaluate: async () => (await import("./evaluate.ts")).evaluateVerb,
  answers: async () => (await import("./answers.ts")).answersVerb,
  chat: async () => (await import("./chat.ts")).chatVerb,
  serve: async () => (await import("./serve.ts")).serveVerb,
  inspect: async () => (await import("./inspect.ts")).inspectVerb,
  list: async () => (await import("./list.ts")).listVerb,
  report: async () => (await import("./report.ts")).reportVerb,
  push: async () => (await import("./push.ts")).pushVerb,
  demo: async () => (await import("./demo.ts")).demoVerb,
  lab: async () => (await import("./lab.ts")).labVerb,
  torch: async () => (await import("./torch.ts")).torchVerb,
});

/** The verb of that name alone, or all of them where there is none, for help and for suggestions. */
export function loadVerbs(name?: string): Promise<readonly Verb[]> {
  const loaders = name !== undefined && Object.hasOwn(LOADERS, name) ? [LOADERS[name]!] : Object.values(LOADERS);
  return Promise.all(loaders.map((load) => load()));
}
