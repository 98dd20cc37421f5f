/**
 * A merge in a process of its own, whose private memory is looked at whenever it reports progress: prints the peak and
 * what there was before, in bytes. Arguments: the folder of the models, and the method.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mergeModels } from "../../dist/merge/merge.js";

const [folder, method] = process.argv.slice(2);
const models = [{ model: "one" }, { model: "two" }];
const parameters = method === "sce" ? { select_topk: 0.1 } : { weight: 0.5, density: 0.5 };
const before = privateBytes();
let peak = 0;
const report = () => {
  peak = Math.max(peak, privateBytes());
};
const config = { merge_method: method, models, base_model: "base", parameters };
await mergeModels(
  config,
  { out: join(folder, `out-${method}`), baseFolder: folder, threads: 1 },
  { reporter: { report } },
);
console.log(JSON.stringify({ before, peak }));

/** Pages of files are not counted: the system takes them back at any time. */
function privateBytes() {
  return 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "latin1"))[1]);
}
