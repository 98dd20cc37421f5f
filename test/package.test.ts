/** The manifest is a promise: what a user installs, what runs on installing, and what the lock file records. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "..");
const text = (name: string): string => readFileSync(resolve(root, name), "utf8");
const manifest = JSON.parse(text("package.json"));

test("the runtime dependencies are these, pinned to one version each", () => {
  expect(Object.keys(manifest.dependencies)).toEqual([
    "@huggingface/jinja",
    "commander",
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
