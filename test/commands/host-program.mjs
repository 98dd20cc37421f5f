/**
 * A program of somebody's that uses the package: calls all that reads files with damaged ones, several at once, and prints
 * what came of each, and what reached nobody. `node host-program.mjs ROOT FOLDER`
 */
import { copyFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [, , root, folder] = process.argv;
const unheard = [];
process.on("unhandledRejection", (error) => unheard.push(`unhandled rejection: ${error?.stack ?? error}`));
process.on("uncaughtException", (error) => unheard.push(`uncaught exception: ${error?.stack ?? error}`));
process.on("exit", () => console.log(JSON.stringify({ unheard })));

const api = await import(pathToFileURL(join(root, "dist/index.js")).href);
const golden = join(root, "test/golden");
const lab = join(root, "lab/models/lab-llama");
const results = [];
const call = async (name, work) => {
  const outcome = await work().then(
    () => "read",
    (error) => (error instanceof api.FusechatError ? error.code : `${error?.stack ?? error}`),
  );
  results.push({ name, outcome });
};

/** Half of the bytes, a byte changed in the middle, none at all, and many of one. */
const damages = [
  (bytes) => bytes.subarray(0, bytes.length >> 1),
  (bytes) => Buffer.from(bytes).fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 4),
  () => Buffer.alloc(0),
  () => Buffer.alloc(100_000, "["),
];
let made = 0;
async function damaged(from, name, read) {
  const bytes = await readFile(from);
  await Promise.all(
    damages.map(async (damage, number) => {
      const place = join(folder, `${made++}`);
      await mkdir(place, { recursive: true });
      await writeFile(join(place, name), damage(bytes));
      await call(`${name}, damage ${number}`, () => read(join(place, name), place));
    }),
  );
}

const none = { reporter: api.silent, engine: await api.createOnnxEngine({ threads: 1 }) };
for (const name of ["chats.jsonl", "chats.parquet", "chats.arrow", "chats.jsonl.zst"]) {
  await damaged(join(golden, "datasets", name), name, (path) => api.readConversations(path));
}
const conversations = (await api.readConversations(join(golden, "datasets/chats.jsonl"))).conversations.slice(0, 1);
const shards = join(golden, "pipeline");
const shard = "shard-00000.safetensors";
await damaged(join(shards, "distributions/mistral", shard), shard, (path) => api.readDistributionsShard(path));
await damaged(join(shards, "aligned/qwen2", shard), shard, (path) => api.readAlignedShard(path));
await damaged(join(shards, "distributions/mistral", shard), shard, (_, pivot) =>
  api.alignDistributions(
    { pivot, source: pivot, out: join(pivot, "out"), vocabulary: "split", sequence: "bytes", width: 20 },
    none,
  ),
);
await damaged(join(lab, "config.json"), "config.json", (_, place) => api.openModel(place));
await damaged(join(lab, "tokenizer.json"), "tokenizer.json", async (_, place) =>
  (await api.loadTokenizer(place)).release(),
);
for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
  await damaged(join(lab, name), name, async (path, place) => {
    const model = join(place, "model");
    await cp(lab, model, { recursive: true });
    await copyFile(path, join(model, name));
    const out = join(place, "out");
    const options = { model, conversations, out, topK: 4, maxLength: 64, template: "native" };
    await Promise.all([
      call(`${name} in collectDistributions`, () => api.collectDistributions(options, none)),
      call(`${name} in evaluateHeldOut`, () => api.evaluateHeldOut({ model, conversations, maxLength: 64 }, none)),
      call(`${name} in mergeModels`, () =>
        api.mergeModels(
          { merge_method: "linear", models: [{ model, parameters: { weight: 1 } }], dtype: "float32" },
          { out: join(place, "merged"), baseFolder: place },
          none,
        ),
      ),
    ]);
  });
}
await damaged(join(lab, "model.safetensors"), "model.safetensors", (path) => api.readSafetensors(path));
await damaged(join(lab, "model.safetensors"), "model.safetensors", (_, place) => api.openWeights(place));
await damaged(join(root, "examples/laboratory/merge.yaml"), "merge.yaml", (path) => api.readMergeConfigs(path));
await damaged(join(root, "examples/laboratory/recipe.yaml"), "recipe.yaml", (path) => api.loadRecipe(path));
await damaged(join(lab, "config.json"), "plan.json", (_, place) => api.renderReport(place));
await damaged(join(root, "examples/laboratory/recipe.yaml"), "recipe.yaml", async (path, place) => {
  const { recipe, text } = await api.loadRecipe(join(root, "examples/laboratory/recipe.yaml"));
  const data = { ...recipe.data, path: [path] };
  const options = { out: join(place, "run"), force: false, recipeText: text, recipeFile: path };
  await api.runRecipe({ ...recipe, data }, options, { ...none, createEngine: async () => none.engine });
});
await none.engine.dispose();
console.log(JSON.stringify({ results }));
