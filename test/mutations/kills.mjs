/**
 * Kills at random moments: `npm run test:kills -- --seed S --count N [--verb NAME]`. Every verb that writes is run once in
 * peace; then it is begun, killed (SIGKILL) after a random part of the time that it took, and begun again, until it comes to
 * its end. What it has then written must be the same bytes, times apart, and nothing else may lie beside it.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { generator } from "./mutate.mjs";

const root = resolve(import.meta.dirname, "../..");
const command = join(root, "dist/cli/main.js");
const lab = (name) => join(root, "lab/models", name);

const { values } = parseArgs({
  options: { seed: { type: "string" }, count: { type: "string", default: "3" }, verb: { type: "string", default: "" } },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const random = generator(seed);
console.log(`seed ${seed}, ${values.count} kills of every verb`);

const work = mkdtempSync(join(tmpdir(), "fusechat-kills-"));
const data = join(work, "data.jsonl");
const conversations = readFileSync(join(root, "examples/laboratory/conversations.jsonl"), "utf8")
  .split("\n")
  .slice(0, 48);
writeFileSync(data, `${conversations.join("\n")}\n`);
const merge = join(work, "merge.yaml");
writeFileSync(
  merge,
  `merge_method: linear\nmodels:\n  - {model: ${lab("lab-mistral")}, parameters: {weight: 0.5}}\n  - {model: ${join(work, "other")}, parameters: {weight: 0.5}}\n`,
);
cpSync(lab("lab-mistral"), join(work, "other"), { recursive: true });

const collect = (model, out) => ["distributions", "--model", lab(model), "--data", data, "--out", out];
const pivot = join(work, "pivot");
const source = join(work, "source");
const aligned = join(work, "aligned");

/** The arguments for a folder to write to. What a later verb reads is made by an earlier one, in peace. */
const VERBS = [
  { name: "distributions", of: (out) => collect("lab-mistral", out) },
  {
    name: "align",
    before: [collect("lab-mistral", pivot), collect("lab-llama", source)],
    of: (out) => ["align", "--pivot", pivot, "--source", source, "--out", out],
  },
  {
    name: "fuse",
    before: [["align", "--pivot", pivot, "--source", source, "--out", aligned]],
    of: (out) => [
      ...["fuse", "--model", lab("lab-mistral"), "--data", data, "--pivot", pivot, "--aligned", aligned, "--out", out],
      ...["--epochs", "1", "--batch", "16"],
    ],
  },
  { name: "merge", of: (out) => ["merge", merge, "--out", out] },
  {
    name: "evaluate held-out",
    of: (out) => ["evaluate", "held-out", "--model", lab("lab-mistral"), "--data", data, "--out", out],
  },
  {
    name: "evaluate exact-match",
    of: (out) => [
      ...["evaluate", "exact-match", "--model", lab("lab-mistral"), "--data", data, "--out", out],
      ...["--rule", "text", "--max-tokens", "24"],
    ],
  },
  {
    name: "answers",
    of: (out) => [
      ...["answers", "--prompts", data, "--model", lab("lab-mistral"), "--model", lab("lab-llama")],
      ...["--per-prompt", "2", "--max-tokens", "24", "--out", join(out, "answers.jsonl")],
    ],
  },
  {
    name: "lab train",
    of: (out) => [
      ...["lab", "train", "--model", "lab-mistral", "--out", out],
      ...["--steps", "30", "--batch", "8", "--checkpoint-steps", "5"],
    ],
  },
  {
    name: "run",
    of: (out) => ["run", join(root, "examples/laboratory/recipe.yaml"), "--out", out],
    isLong: true,
  },
];

let faults = 0;
for (const verb of VERBS) {
  for (const before of verb.before ?? []) await run(before);
  if (values.verb === "" ? verb.isLong : values.verb !== verb.name) continue;
  const peace = join(work, "peace", verb.name);
  mkdirSync(join(work, "peace"), { recursive: true });
  const { milliseconds, code } = await run(verb.of(peace));
  if (code !== 0) throw new Error(`${verb.name} ended with ${code}`);
  const expected = contents(peace);
  let kills = 0;
  for (let round = 0; kills < Number(values.count); round++) {
    const out = join(work, `${verb.name}-${round}`, "out");
    mkdirSync(join(out, ".."));
    for (;;) {
      const after = random.below(Math.ceil(1.2 * milliseconds));
      const ended = await run(verb.of(out), kills < Number(values.count) ? after : undefined);
      if (ended.signal === null) {
        if (ended.code !== 0) fault(verb.name, `ended with ${ended.code} after ${kills} kills: ${ended.told}`);
        break;
      }
      kills += 1;
    }
    compare(verb.name, expected, contents(out), readdirSync(join(out, "..")));
    rmSync(join(out, ".."), { recursive: true, force: true });
  }
  console.log(`${verb.name}: ${kills} kills, ${milliseconds.toFixed(0)} ms in peace, ${expected.size} files`);
}
rmSync(work, { recursive: true, force: true });
console.log(`${faults} faults`);
process.exit(faults === 0 ? 0 : 1);

function fault(verb, what) {
  faults += 1;
  console.log(`${verb}: ${what}`);
}

/** SHA-256 by path, times apart. */
function contents(folder) {
  const found = new Map();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || /timing\.jsonl$|report\.html$|plan\.json$|seen\.jsonl$/.test(entry.name)) continue;
    found.set(path.slice(folder.length + 1), createHash("sha256").update(readFileSync(path)).digest("hex"));
  }
  return found;
}

function compare(verb, expected, found, beside) {
  for (const [path, hash] of expected) if (found.get(path) !== hash) fault(verb, `${path} is another`);
  for (const path of found.keys()) if (!expected.has(path)) fault(verb, `${path} was left`);
  if (beside.length !== 1) fault(verb, `beside the folder: ${beside.join(", ")}`);
}

function run(arguments_, killedAfter) {
  return new Promise((done) => {
    const begun = performance.now();
    const child = spawn(process.execPath, [command, ...arguments_, "--quiet"], { stdio: ["ignore", "ignore", "pipe"] });
    let told = "";
    child.stderr.on("data", (text) => {
      told = (told + text).slice(-500);
    });
    const timer = killedAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), killedAfter);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      done({ code, signal, told, milliseconds: performance.now() - begun });
    });
  });
}
