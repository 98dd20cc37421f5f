/** What every stage does with its folder: it has it alone, and takes for done only what it has looked at. */
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { alignDistributions } from "#src/align/align.js";
import { readConversations } from "#src/data/read.js";
import { collectDistributions } from "#src/distributions/collect.js";
import { fuseTarget } from "#src/fuse/fuse.js";
import { mergeModels } from "#src/merge/merge.js";
import { type Reporter, type ReporterEvent, silent } from "#src/reporter.js";
import { VERSION } from "#src/version.js";
import { fakeEngine as fakeReader } from "../distributions/fake-engine.ts";
import { fakeEngine } from "../fuse/fake-engine.ts";
import { fuse, options as fuseOptions, useFolder } from "../fuse/golden-stage.ts";
import { CONVERSATIONS, GOLDEN, MISTRAL, QWEN2, temporaryFolder } from "./fixtures.ts";

/** No process here has this number, and on that host nobody knows. */
const ELSEWHERE = JSON.stringify({ pid: 999_999_999, started: "then", host: "elsewhere", space: "" });

useFolder();
let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const STAGES: Record<string, (out: string, reporter?: Reporter) => Promise<unknown>> = {
  distributions: async (out, reporter = silent) =>
    collectDistributions(
      {
        model: MISTRAL,
        conversations: (await readConversations(CONVERSATIONS)).conversations,
        out,
        topK: 3,
        maxLength: 512,
        template: "native",
      },
      { engine: fakeReader(479), reporter },
    ),
  align: (out, reporter = silent) =>
    alignDistributions(
      {
        pivot: join(GOLDEN, "pipeline/distributions/mistral"),
        source: join(GOLDEN, "pipeline/distributions/qwen2"),
        out,
        vocabulary: "exact",
        sequence: "bytes",
        pivotModel: MISTRAL,
        sourceModel: QWEN2,
      },
      { reporter },
    ),
  fuse: (out, reporter = silent) => fuseTarget({ ...fuseOptions("unused"), out }, { engine: fakeEngine(), reporter }),
  merge: (out, reporter = silent) =>
    mergeModels(
      { merge_method: "linear", models: [{ model: MISTRAL }, { model: MISTRAL }], parameters: { weight: 1 } },
      { out, baseFolder: folder },
      { reporter },
    ),
};

describe.each(Object.keys(STAGES))("%s", (stage) => {
  test("waits for nobody: a folder that another host writes to is refused and stays as it is", async () => {
    const out = join(folder, stage);
    const lock = stage === "merge" ? `${out}.lock` : join(out, ".lock");
    // What the other process has begun, and would go on with.
    const begun = stage === "merge" ? `${out}.999999999.tmp/model.safetensors` : join(out, "begun");
    await mkdir(dirname(begun), { recursive: true });
    await writeFile(begun, "begun elsewhere");
    await writeFile(lock, ELSEWHERE);
    await expect(STAGES[stage]!(out)).rejects.toMatchObject({
      exitCode: 2,
      message: `${out}: process 999999999 of host "elsewhere" is writing to this folder; wait for it, or choose another folder; if that process has ended, remove ${lock}`,
    });
    expect([await readFile(begun, "utf8"), await readFile(lock, "utf8")]).toEqual(["begun elsewhere", ELSEWHERE]);
  });

  test("leaves no lock behind, and no folder where it fails", async () => {
    const out = join(folder, `${stage}-free/out`);
    await STAGES[stage]!(out);
    expect((await readdir(dirname(out), { recursive: true })).filter((name) => /\.(lock|tmp)$/.test(name))).toEqual([]);
    await writeFile(join(folder, "file"), "");
    await expect(STAGES[stage]!(join(folder, "file/out"))).rejects.toMatchObject({ exitCode: 2 });
  });
});

test("a training that fails at once takes away what it made, and nothing else", async () => {
  const out = join(folder, "failed/target");
  const failing = fakeEngine({
    onStep: () => {
      throw new Error("stop");
    },
  });
  await expect(fuse({ ...fuseOptions("unused"), out }, failing)).rejects.toThrow("stop");
  expect(await readdir(folder)).not.toContain("failed");
  await mkdir(out, { recursive: true });
  await expect(fuse({ ...fuseOptions("unused"), out }, failing)).rejects.toThrow("stop");
  expect(await readdir(out)).toEqual([]);
});

test.each(["notes.txt", ".checkpoint/notes.txt"])(
  "a folder that holds %s of somebody else's is refused",
  async (name) => {
    const out = join(folder, "somebody", name.replaceAll("/", "-"));
    await mkdir(dirname(join(out, name)), { recursive: true });
    await writeFile(join(out, name), "precious");
    await expect(fuse({ ...fuseOptions("unused"), out })).rejects.toThrow(
      `${out}: exists and holds ${name}, but no target of this program; choose another folder`,
    );
    expect(await readFile(join(out, name), "utf8")).toBe("precious");
  },
);

describe.each(["fuse", "merge"])("a finished %s", (stage) => {
  let out: string;
  beforeAll(async () => {
    out = join(folder, `${stage}-finished`);
    await STAGES[stage]!(out);
  });
  const weights = (): string => join(out, "model.safetensors");

  test("is there already while its weights are", async () => {
    const before = await stat(weights());
    await STAGES[stage]!(out);
    expect((await stat(weights())).mtimeMs).toBe(before.mtimeMs);
  });

  test("is not, once a byte of its weights is another, at the same size and time", async () => {
    const whole = await readFile(weights());
    const { atime, mtime } = await stat(weights());
    const changed = Buffer.from(whole);
    changed[changed.length - 1]! ^= 1;
    await writeFile(weights(), changed);
    await utimes(weights(), atime, mtime);
    await expect(STAGES[stage]!(out)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(
        /-finished: holds this (target|merge), but its weights have changed since.*; remove the folder to (train|merge) again, or choose another one$/,
      ),
    });
    expect(await readFile(weights())).toEqual(changed);
    await writeFile(weights(), whole);
  });

  test("is not, once its weights are gone", async () => {
    await rename(weights(), `${weights()}.aside`);
    await expect(STAGES[stage]!(out)).rejects.toMatchObject({
      exitCode: 2,
      message: `${out}: expected model.safetensors or model.safetensors.index.json, found neither`,
    });
    await rename(`${weights()}.aside`, weights());
  });
});

test.each([
  ["distributions", "settings.json", "begun"],
  ["fuse", "fuse.json", "trained"],
  ["merge", "merge.json", "merged"],
])("%s tells who made what is there, where it would make it otherwise", async (stage, file, verb) => {
  const out = join(folder, `${stage}-other`);
  await STAGES[stage]!(out);
  const path = join(out, file);
  const record = JSON.parse(await readFile(path, "utf8"));
  expect(record.program).toEqual({ version: VERSION, revision: 1 });
  const warnings = async (revision: number): Promise<string[]> => {
    await writeFile(path, JSON.stringify({ ...record, program: { version: "0.0.1", revision } }));
    const events: ReporterEvent[] = [];
    await STAGES[stage]!(out, { report: (event) => void events.push(event) });
    return events.flatMap((event) => (event.type === "warning" ? [event.message] : []));
  };
  expect(await warnings(1)).toEqual([]);
  expect(await warnings(0)).toEqual([
    `${out} was ${verb} by fusechat 0.0.1; fusechat ${VERSION} computes that otherwise`,
  ]);
});
