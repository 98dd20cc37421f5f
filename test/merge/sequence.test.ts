/** Several merges in one file: names, order, and going on where a process was killed. */
import { spawn } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256OfFile } from "#src/formats/files.js";
import { readMergeConfigs } from "#src/merge/read-config.js";
import { mergeSequence } from "#src/merge/sequence.js";
import { silent } from "#src/reporter.js";
import { filled, type SmallModels, smallModels } from "./small-models.ts";

let models: SmallModels;
let number = 0;

beforeAll(async () => {
  models = await smallModels();
  await models.model("a", 2, { w: [2] });
  await models.model("b", 4, { w: [2] });
});

afterAll(() => models.remove());

async function file(text: string): Promise<string> {
  const path = join(models.folder, `several-${number++}.yaml`);
  await writeFile(path, text);
  return path;
}

const MEAN = "merge_method: linear\nparameters: {weight: 1}\nmodels:\n";
const mean = (name: string | undefined, ...listed: readonly string[]): string =>
  `${name === undefined ? "" : `name: ${name}\n`}${MEAN}${listed.map((model) => `  - model: ${model}\n`).join("")}`;

describe("several merges in one file", () => {
  test("are made in their order, and later ones take the results of earlier ones", async () => {
    const path = await file(
      [mean("first", "a", "b"), mean("second", "first", "b"), mean(undefined, "second", "first")].join("---\n"),
    );
    const out = join(models.folder, "all");
    const merges = await readMergeConfigs(path);
    const options = { out, baseFolder: models.folder };
    const summaries = await mergeSequence(merges, options, { reporter: silent });
    expect(await readdir(out)).toEqual(["first", "result", "second"]);
    const value = async (name: string): Promise<number> => {
      const bytes = await readFile(join(out, name, "model.safetensors"));
      return bytes.readFloatLE(bytes.length - 8);
    };
    expect([await value("first"), await value("second"), await value("result")]).toEqual([3, 3.5, 3.25]);
    expect(summaries.map(({ already_done: done }) => done)).toEqual([false, false, false]);
    const again = await mergeSequence(merges, options, { reporter: silent });
    expect(again.map(({ already_done: done }) => done)).toEqual([true, true, true]);
    // The record names the result, not where it lay.
    expect(await readFile(join(out, "result/README.md"), "utf8")).toContain("| `second` | merged |");
  });

  const refusal = async (...documents: readonly string[]): Promise<string> => {
    const path = await file(documents.join("---\n"));
    const options = { out: join(models.folder, "never"), baseFolder: models.folder };
    return readMergeConfigs(path)
      .then((merges) => mergeSequence(merges, options, { reporter: silent }))
      .then(
        () => "not refused",
        (error: Error) => error.message.replaceAll(path, "FILE").replaceAll(`${models.folder}/`, ""),
      );
  };

  test("are all looked at before the first is made", async () => {
    expect(await refusal(mean("one", "two", "a"), mean("two", "a", "b"))).toBe(
      'FILE:1:1: "two" is not merged yet; put its document before this one',
    );
    expect(await refusal(mean("one", "a", "b"), mean("two", "one", "nobody"))).toMatch(
      /^"nobody": expected a model folder, found none at /,
    );
    expect(await refusal(mean(undefined, "a", "b"), mean("two", "a", "b"))).toBe(
      "FILE:1:1: expected a name of this merge, for those that follow it; found none",
    );
    expect(await refusal(mean("one", "a", "b"), mean("one", "a", "b"))).toBe(
      'FILE:8:7: name: expected each name once, found "one" twice',
    );
    expect(await refusal(mean("../up", "a", "b"), mean("two", "a", "b"))).toBe(
      'FILE:1:7: name: expected letters, digits, ".", "_" and "-", and neither union, base nor result; found "../up"',
    );
    expect(await readdir(models.folder)).not.toContain("never");
  });

  test("with mistakes in each are told of all of them, by line", async () => {
    expect(await refusal(`${mean("one", "a", "b")}dtyp: x\n`, `${mean("two", "a", "b")}dtype: y\n`)).toMatch(
      /^FILE:7:1: dtyp: unknown key.*\nFILE:\d+:8: dtype: expected one of /,
    );
  });
});

test("a sequence that was killed in its second merge goes on there, with the same bytes", async () => {
  for (const [name, value] of Object.entries({ "big-1": 1, "big-2": 3 })) {
    const tensors = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`h.${i}.w`, filled(value, [400, 500])]));
    await models.model(name, value, tensors);
  }
  const ties =
    "merge_method: ties\nbase_model: big-1\nparameters: {weight: 1, density: 0.5}\nmodels: [{model: first}, {model: big-2}]\n";
  const path = await file(`name: first\n${MEAN}  - model: big-1\n  - model: big-2\n---\nname: second\n${ties}`);
  const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
  const run = (out: string) => spawn(process.execPath, [main, "merge", path, "--out", out], { stdio: "pipe" });
  const ended = (child: ReturnType<typeof run>): Promise<{ code: number | null; stdout: string }> =>
    new Promise((done) => {
      let stdout = "";
      child.stdout.on("data", (text) => {
        stdout += text;
      });
      child.on("close", (code) => done({ code, stdout }));
    });
  const whole = join(models.folder, "whole");
  expect((await ended(run(whole))).code).toBe(0);

  const out = join(models.folder, "killed");
  const victim = run(out);
  const end = ended(victim);
  for (;;) {
    const names = (await readdir(out).catch((): string[] => [])).filter((name) => name.startsWith("second."));
    const inside = await Promise.all(names.map((name) => readdir(join(out, name)).catch((): string[] => [])));
    if (inside.flat().some((name) => name.endsWith(".safetensors.json")) || victim.exitCode !== null) break;
    await new Promise((done) => setTimeout(done, 1));
  }
  victim.kill("SIGKILL");
  await end;
  const again = await ended(run(out));
  expect(again.code).toBe(0);
  expect(again.stdout).toContain("first already holds this merge; nothing was done");
  for (const name of ["first", "second"]) {
    for (const part of ["model.safetensors", "merge.json", "README.md"]) {
      expect(await sha256OfFile(join(out, name, part)), `${name}/${part}`).toBe(
        await sha256OfFile(join(whole, name, part)),
      );
    }
  }
  expect(await readdir(out)).toEqual(["first", "second"]);
});
