/** What a run that goes on takes for finished: what it has looked at, and no more. */
import { cp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type LoadedRecipe, loadRecipe } from "#src/recipe/load.js";
import { programOf, VERSION } from "#src/version.js";
import { type FakeRun, type FakeStages, fakes, runFakes, told } from "./fake-stages.ts";
import { CONVERSATIONS, hashesOf, MISTRAL, QWEN2, temporaryFolder, writeRecipe } from "./fixtures.ts";

let folder: string;
let loaded: LoadedRecipe;
let whole: string;
let out: string;
let number = 0;
beforeAll(async () => {
  folder = await temporaryFolder();
  // A model of its own, whose weights may change.
  const model = join(folder, "qwen2");
  await cp(QWEN2, model, { recursive: true });
  loaded = await loadRecipe(
    await writeRecipe(
      folder,
      `pivot: ${MISTRAL}\nsources: [${model}]\ndata: { path: ${CONVERSATIONS}, held_out: 0.3 }\nevaluate: []\n`,
    ),
  );
  whole = join(folder, "whole");
  await runFakes(loaded, whole, fakes());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  out = join(folder, `run-${number++}`);
  await cp(whole, out, { recursive: true, preserveTimestamps: true });
});

async function goOn(verify = false): Promise<FakeRun & { readonly performed: readonly string[] }> {
  const stages: FakeStages = fakes();
  return { ...(await runFakes(loaded, out, stages, { verify })), performed: stages.performed };
}

/** Other bytes of the same number. */
async function change(file: string, { keepTimes = false } = {}): Promise<void> {
  const path = join(out, file);
  const { atime, mtime } = await stat(path);
  await writeFile(path, (await readFile(path, "utf8")).replace(/./, "#"));
  await utimes(path, ...(keepTimes ? ([atime, mtime] as const) : ([atime, new Date(mtime.getTime() + 5000)] as const)));
}

describe("an output", () => {
  test("whose bytes changed at the same length is made again, and that is told", async () => {
    await change("targets/qwen2/file.txt");
    const { performed, events } = await goOn();
    expect(performed).toEqual(["fuse/qwen2"]);
    expect(told(events, "warning")).toEqual([
      "fuse/qwen2 is done again: targets/qwen2/file.txt is not what was written",
    ]);
    expect(await hashesOf(out)).toEqual(await hashesOf(whole));
  });

  test("that is gone is made again, and that is told", async () => {
    await rm(join(out, "fused/file.txt"));
    const { performed, events } = await goOn();
    expect(performed).toEqual(["merge/fused"]);
    expect(told(events, "warning")).toEqual(["merge/fused is done again: fused/file.txt is gone"]);
  });

  test("that was only touched is hashed once, and kept", async () => {
    // Copying has rounded the times.
    await goOn();
    const path = join(out, "targets/qwen2/file.txt");
    await utimes(path, new Date(), new Date(0));
    expect((await goOn()).performed).toEqual([]);
    const lines = (await readFile(join(out, ".units/timing.jsonl"), "utf8")).trimEnd().split("\n");
    expect(JSON.parse(lines.at(-1)!)).toEqual({ file: "targets/qwen2/file.txt", bytes: 11, changed: "0" });
    expect((await goOn()).performed).toEqual([]);
    expect((await readFile(join(out, ".units/timing.jsonl"), "utf8")).trimEnd().split("\n")).toEqual(lines);
  });

  test("that changed at the same size and time is found by --verify", async () => {
    await goOn();
    await change("aligned/qwen2/file.txt", { keepTimes: true });
    expect((await goOn()).performed).toEqual([]);
    const { performed, events } = await goOn(true);
    expect(performed).toEqual(["align/qwen2"]);
    expect(events.filter(({ type }) => type === "progress")).toHaveLength(6);
  });

  test("is hashed where nobody knows what it looked like", async () => {
    await rm(join(out, ".units/timing.jsonl"));
    await change("data/train.jsonl", { keepTimes: true });
    expect((await goOn()).performed).toEqual(["data"]);
  });

  test("that has to be made again does not take somebody else's file with it", async () => {
    await writeFile(join(out, "targets/qwen2/model.gguf"), "converted by hand");
    await change("targets/qwen2/file.txt");
    await expect(goOn()).rejects.toMatchObject({
      exitCode: 2,
      message: `${out}: fuse/qwen2 has to be done again, but among its outputs is targets/qwen2/model.gguf, which this run did not write; move it away`,
    });
    expect((await readdir(join(out, "targets/qwen2"))).sort()).toEqual(["file.txt", "model.gguf"]);
  });
});

test("--verify reads models to the last byte where their distributions say what they were", async () => {
  const settings = { weights_sha256: "another" };
  await writeFile(join(out, "distributions/qwen2/settings.json"), JSON.stringify(settings));
  expect((await goOn()).performed).toEqual([]);
  await expect(goOn(true)).rejects.toMatchObject({
    exitCode: 2,
    message: `${join(folder, "qwen2")}: its weights are no longer those that ${out} began with; restore them, or use another --out`,
  });
});

describe("a result of another program", () => {
  async function madeBy(unit: string, program: unknown): Promise<void> {
    const path = join(out, `.units/${unit.replace("/", "--")}.json`);
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), program }, null, 2));
  }

  test("that would compute the same is as good as one of this", async () => {
    await madeBy("data", { ...programOf("data"), version: "0.0.1" });
    const { performed, events } = await goOn();
    expect([performed, told(events, "warning")]).toEqual([[], []]);
  });

  test("that would compute otherwise is kept and told of", async () => {
    await madeBy("align/qwen2", { version: "0.0.1", revision: 0 });
    await madeBy("fuse/qwen2", { version: "0.0.1", revision: 0 });
    await madeBy("data", undefined);
    const { performed, events } = await goOn();
    expect(performed).toEqual([]);
    expect(told(events, "warning")).toEqual([
      `data was computed by a version of fusechat that did not say which it was; fusechat ${VERSION} computes that otherwise; what is there is kept, --force starts anew`,
      `align/qwen2, fuse/qwen2 were computed by fusechat 0.0.1; fusechat ${VERSION} computes that otherwise; what is there is kept, --force starts anew`,
    ]);
  });

  test("is not made again because of its name alone", async () => {
    await madeBy("data", { ...programOf("data"), version: "0.0.1" });
    await change("data/train.jsonl");
    expect((await goOn()).performed).toEqual(["data"]);
    const manifest = JSON.parse(await readFile(join(out, ".units/data.json"), "utf8"));
    expect(manifest.program).toEqual(programOf("data"));
  });
});
