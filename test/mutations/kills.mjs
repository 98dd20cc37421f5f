/**
 * Kills at random moments: `npm run test:kills -- --seed S --count N [--verb NAME]`. Every verb that writes is run once in
 * peace; then it is begun, killed (SIGKILL) after a random part of the time that it took, and begun again, until it comes to
 * its end. What it has then written must be the same bytes, times apart, and nothing else may lie beside it.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { generator } from "./mutate.mjs";

const root = resolve(import.meta.dirname, "../..");
const command = join(root, "dist/cli/main.js");
const shortened = join(import.meta.dirname, "shortened.mjs");
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
  { name: "demo", of: (out) => ["demo", out], program: shortened, isLong: true },
  { name: "lab sweep", of: (out) => ["sweep", out], program: shortened, isLong: true },
  {
    // Every arm with the fewest seeds and conversations that it takes.
    name: "lab experiment",
    of: (out) => [
      ...["lab", "experiment", "--out", out, "--seeds", "2"],
      ...["--conversations", "16", "--held-out", "16", "--curve", "16", "--recommended", "16"],
    ],
    isLong: true,
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
  const { milliseconds, code } = await run(verb.of(peace), undefined, verb.program);
  if (code !== 0) throw new Error(`${verb.name} ended with ${code}`);
  const expected = contents(peace);
  let kills = 0;
  for (let round = 0; kills < Number(values.count); round++) {
    const out = join(work, `${verb.name}-${round}`, "out");
    mkdirSync(join(out, ".."));
    for (;;) {
      const after = random.below(Math.ceil(1.2 * milliseconds));
      const ended = await run(verb.of(out), kills < Number(values.count) ? after : undefined, verb.program);
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
if (values.verb === "" || values.verb === "serve") await killServer();
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

function run(arguments_, killedAfter, program = command) {
  return new Promise((done) => {
    const begun = performance.now();
    const child = spawn(process.execPath, [program, ...arguments_, "--quiet"], { stdio: ["ignore", "ignore", "pipe"] });
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

/** A server that is killed while it is given votes: those that it has said to be kept stand in the file, whole, once each. */
async function killServer() {
  const path = join(work, "votes.jsonl");
  const kept = [];
  for (let kill = 0; kill < Number(values.count); kill++) {
    const { child, url } = await serve(path);
    const ended = once(child, "exit");
    setTimeout(() => child.kill("SIGKILL"), random.below(1500));
    const ask = async (question) => {
      const conversation = [{ role: "user", content: question }];
      const body = {
        type: "leftvote",
        models: [lab("lab-mistral"), lab("lab-llama")],
        conversations: [conversation, conversation],
      };
      const headers = { "content-type": "application/json" };
      const reply = await fetch(`${url}/votes`, { method: "POST", headers, body: JSON.stringify(body) });
      if (reply.ok) kept.push(question);
      else throw fault("serve", `refused a vote: ${await reply.text()}`);
    };
    // Four voters, until nobody answers.
    const voter = async (name) => {
      for (let vote = 0; ; vote++) await ask(`${kill} ${name} ${vote}`);
    };
    await Promise.allSettled([voter("a"), voter("b"), voter("c"), voter("d")]);
    await ended;
  }
  const { child } = await serve(path);
  child.kill("SIGKILL");
  await once(child, "exit");
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n");
  if (lines.pop() !== "") fault("serve", "the last line is torn");
  const found = lines.map((line) => JSON.parse(line).states[0].messages[0][1]);
  const missing = kept.filter((question) => !found.includes(question));
  if (missing.length > 0) fault("serve", `${missing.length} votes are lost`);
  if (new Set(found).size < found.length) fault("serve", "a vote stands there twice");
  console.log(`serve: ${values.count} kills, ${kept.length} votes were said to be kept, ${found.length} are there`);
}

/** The first line that it prints says where it listens. */
function serve(votes) {
  const child = spawn(
    process.execPath,
    [command, "serve", lab("lab-mistral"), lab("lab-llama"), "--port", "0", "--votes", votes],
    {
      stdio: ["ignore", "pipe", "ignore"],
    },
  );
  return new Promise((resolved, refused) => {
    let told = "";
    child.stdout.on("data", (text) => {
      told += text;
      const url = /at (http:\S+)\/v1;/.exec(told)?.[1];
      if (url !== undefined) resolved({ child, url });
    });
    child.on("exit", () => refused(new Error(`serve ended: ${told}`)));
  });
}
