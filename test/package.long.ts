/** The manifest is a promise: what a user installs, what runs on installing, and what the lock file records. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);

const root = resolve(import.meta.dirname, "..");
const text = (name: string): string => readFileSync(resolve(root, name), "utf8");
const manifest = JSON.parse(text("package.json"));

test("the runtime dependencies are these, pinned to one version each", () => {
  expect(Object.keys(manifest.dependencies)).toEqual([
    "@hono/node-server",
    "@huggingface/hub",
    "apache-arrow",
    "commander",
    "fzstd",
    "hono",
    "hyparquet",
    "hyparquet-compressors",
    "onnxruntime-node",
    "tokenizers",
    "yaml",
    "zod",
  ]);
  const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });
  for (const version of versions) expect(version).toMatch(/^\d+\.\d+\.\d+$/);
});

test("every dependency is justified in docs/decisions.md", () => {
  const decisions = text("docs/decisions.md");
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.devDependencies })) {
    expect(decisions, name).toContain(`\`${name}\``);
  }
});

test("no install script runs and the lock file records no registry address", () => {
  expect(manifest.allowScripts).toEqual({ "onnxruntime-node": false });
  expect(text(".npmrc")).toContain("onnxruntime-node-install=skip");
  expect(text("package-lock.json")).not.toContain('"resolved"');
});

test("everything that the public signatures name is exported", () => {
  const dist = resolve(root, "dist");
  const declarations = (from: string, folder: string): string => resolve(folder, from).replace(/\.[jt]s$/, ".d.ts");
  const namesOf = (list: string): string[] => list.split(",").map((name) => name.trim().replace(/^type /, ""));
  const index = readFileSync(resolve(dist, "index.d.ts"), "utf8");
  /** Public names, and the file that each comes from. */
  const exported = new Map<string, string>();
  for (const [, names, from] of index.matchAll(/export (?:type )?\{([^}]*)\} from "([^"]+)"/g)) {
    for (const name of namesOf(names!)) exported.set(name.split(" as ")[0]!, declarations(from!, dist));
  }
  const hidden: string[] = [];
  for (const [name, path] of exported) {
    const code = readFileSync(path, "utf8").replaceAll(/\/\*[\s\S]*?\*\//g, "");
    const signature = new RegExp(`export declare (?:function|const) ${name}\\b[\\s\\S]*?;\\n`).exec(code)?.[0] ?? "";
    const own = [...code.matchAll(/(?:interface|type|class) (\w+)/g)].map(([, type]) => type!);
    const imported = [...code.matchAll(/import (?:type )?\{([^}]*)\}/g)].flatMap(([, names]) => namesOf(names!));
    for (const [type] of signature.matchAll(/\b[A-Z]\w*/g)) {
      if ([...own, ...imported].includes(type) && !exported.has(type)) hidden.push(`${type} of ${name}`);
    }
  }
  expect(hidden).toEqual([]);
  expect(exported.size).toBeGreaterThan(100);
});

describe("the packed tarball", () => {
  let folder: string;
  let package_: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fusechat-package-"));
    // Its scripts would build again, under the feet of the other tests.
    await run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", folder], { cwd: root });
    await run("tar", ["-xzf", `fusechat-${manifest.version}.tgz`], { cwd: folder });
    await mkdir(join(folder, "node_modules"));
    package_ = join(folder, "node_modules/fusechat");
    await rename(join(folder, "package"), package_);
    for (const name of await readdir(resolve(root, "node_modules"))) {
      await symlink(resolve(root, "node_modules", name), join(folder, "node_modules", name));
    }
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("has what its manifest and its documents speak of", async () => {
    const files = await readdir(package_, { recursive: true });
    for (const name of [
      "LICENSE",
      "README.md",
      "CHANGELOG.md",
      "docs/glossary.md",
      "schema/recipe.json",
      "dist/index.d.ts",
      "page/index.html",
    ]) {
      expect(files, name).toContain(name);
    }
    for (const { types, default: code } of [manifest.exports["."]]) {
      for (const path of [types, code, manifest.bin.fusechat]) await access(join(package_, path));
    }
    expect(manifest.license).toBe("Apache-2.0");
    expect(text("LICENSE")).toMatch(/^SPDX-License-Identifier: Apache-2\.0\n/);
    expect(manifest.keywords).toContain("model-merging");
  });

  test("has no source maps, for the sources are not in it", async () => {
    const files = (await readdir(package_, { recursive: true })).filter((name) => /^dist.*\.[jt]s/.test(name));
    expect(files.length).toBeGreaterThan(500);
    expect(files.filter((name) => name.endsWith(".map"))).toEqual([]);
    for (const name of files)
      expect(await readFile(join(package_, name), "utf8"), name).not.toContain("sourceMappingURL");
  });

  test("serves a program of twenty lines, types and all, with nothing but objects and defaults", async () => {
    const program = await readFile(join(package_, "examples/library.ts"), "utf8");
    expect(program.trimEnd().split("\n").length).toBe(20);
    await writeFile(join(folder, "library.ts"), program);
    await writeFile(join(folder, "package.json"), '{"type": "module"}');
    const options = {
      target: "ES2022",
      module: "NodeNext",
      strict: true,
      exactOptionalPropertyTypes: true,
      types: ["node"],
    };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["library.ts"] }));
    const compiler = resolve(root, "node_modules/typescript/bin/tsc");
    const complaints = await run(process.execPath, [compiler, "-p", folder]).catch(
      (error: { stdout: string }) => error,
    );
    expect(complaints.stdout).toBe("");
    const golden = resolve(root, "test/golden");
    const data = join(golden, "pipeline/conversations.jsonl");
    const models = ["mistral", "qwen2"].map((name) => join(golden, "models", name));
    const { stdout } = await run(process.execPath, [join(folder, "library.js"), ...models, data, folder]);
    expect(stdout).toBe(`${join(folder, "run/report.html")}, and 21 tensors in ${join(folder, "halfway")}\n`);
  });
});
