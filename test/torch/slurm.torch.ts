/**
 * Two launchers: the example for Slurm, with stand-ins of `srun` and `scontrol` that take this host for two nodes, trains
 * the weights that one launcher of as many processes trains.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { readConversations } from "#src/data/read.js";
import { createEngine, TORCH } from "#src/engine/index.js";
import type { TorchSettings } from "#src/engine/torch/settings.js";
import { fuseTarget } from "#src/fuse/fuse.js";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "#src/fuse/options.js";

const ROOT = resolve(import.meta.dirname, "../..");
const GOLDEN = join(ROOT, "test/golden");
const { python } = inject("torch");
const environment = { ...process.env };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-slurm-"));
  await program("scontrol", "echo 127.0.0.1; echo 127.0.0.1");
  // Without its own options, once a node.
  await program(
    "srun",
    `while [[ "$1" == --* ]]; do shift; done
for node in $(seq "$SLURM_NNODES"); do "$@" & nodes+=($!); done
for node in "\${nodes[@]}"; do wait "$node" || exit 1; done`,
  );
  Object.assign(process.env, {
    PATH: `${folder}${delimiter}${process.env.PATH}`,
    PYTHON: python,
    PROCESSES: "1",
    SLURM_NNODES: "2",
    SLURM_JOB_ID: "7",
    SLURM_JOB_NODELIST: "node[1-2]",
  });
});
afterAll(async () => {
  process.env = environment;
  await rm(folder, { recursive: true, force: true });
});

async function program(name: string, text: string): Promise<void> {
  await writeFile(join(folder, name), `#!/bin/bash\n${text}\n`);
  await chmod(join(folder, name), 0o755);
}

/** The target of plain fine-tuning. */
async function train(name: string, how: Partial<TorchSettings>): Promise<Buffer> {
  const out = join(folder, name);
  const { conversations } = await readConversations(join(GOLDEN, "pipeline/conversations.jsonl"));
  const engine = await createEngine({ ...TORCH, device: "cpu", compute: "float32", ...how });
  const settings = { ...FUSION_DEFAULTS, ...TRAINING_DEFAULTS, epochs: 2, batch: 4, lr: 1e-3 };
  const model = join(GOLDEN, "models/mistral");
  await fuseTarget({ ...settings, model, conversations, out }, { engine, reporter: { report: () => {} } });
  return readFile(join(out, "model.safetensors"));
}

test("two launchers train the weights of one with two processes, byte for byte", async () => {
  const two = await train("two", { launch: ["bash", join(ROOT, "examples/slurm/torchrun.sh")] });
  const one = await train("one", { python, processes: 2 });
  expect(two.equals(one)).toBe(true);
});
