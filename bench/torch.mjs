/**
 * The torch engine beside other programs on the same model, ids, dtype and device, in one run: a plain loop over a model of
 * transformers, as it is and compiled, and TRL's SFTTrainer. Tokens a second and peak memory, of training and of rows.
 *
 *   node bench/torch.mjs [--python PYTHON] [--trl PYTHON] [--size smollm2-135m] [--pass training,rows]
 *                        [--compute float32] [--device cpu] [--threads 2] [--batch 8] [--steps 5] [--only ours,compiled] [--tiny]
 *
 * PYTHON is by default the environment of `npm run test:torch`; TRL's is made by bench/torch/make-trl.sh, and left out where it
 * is not there. Lengths are spread as those of chats are, and half of each sequence is an answer. Of a step the quickest
 * counts; on processors also by processor time, which a busy machine disturbs less.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { homedir, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { packSequences } from "../dist/engine/packed.js";
import { writeSequences, writeSettings, writeSteps } from "../dist/engine/torch/job.js";
import { createRandom } from "../dist/random.js";
import { randomModel, SIZES } from "./random-model.mjs";

const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "fusechat");
const { values } = parseArgs({
  options: {
    python: { type: "string", default: join(CACHE, "torch/bin/python") },
    trl: { type: "string", default: join(CACHE, "trl/bin/python") },
    size: { type: "string", default: "smollm2-135m" },
    pass: { type: "string", default: "training,rows" },
    compute: { type: "string", default: "float32" },
    device: { type: "string", default: "cpu" },
    threads: { type: "string", default: "2" },
    batch: { type: "string", default: "8" },
    steps: { type: "string", default: "5" },
    only: { type: "string" },
    tiny: { type: "boolean", default: false },
  },
});
const size = values.tiny ? SIZES.small : SIZES[values.size];
const [threads, batch, steps] = [values.threads, values.batch, values.steps].map(Number);
/** Steps that are not counted: a compiled model is compiled in them, for one length and for any. */
const WARM = 2;
const SIDES = resolve(import.meta.dirname, "torch");

const folder = await mkdtemp(join(tmpdir(), "fusechat-bench-torch-"));
const model = await randomModel(size);
try {
  const { sequences, batches } = draw();
  const packed = packSequences(sequences, { folder: model, vocabulary: size.vocabulary, maxPositions: null });
  await writeSequences(join(folder, "data"), packed, true);
  const tokens = batches.slice(WARM).map((members) => members.reduce((sum, n) => sum + sequences[n].ids.length, 0));
  console.log(
    `${values.tiny ? "small" : values.size}, ${values.compute} on ${values.device}, ${threads} threads, ${batch} sequences of ` +
      `${Math.min(...lengths(sequences))} to ${Math.max(...lengths(sequences))} tokens a step, load ${loadavg()[0].toFixed(1)}`,
  );
  for (const pass of values.pass.split(",")) {
    const found = {};
    for (const [name, side] of Object.entries(await sides(pass, packed, batches))) {
      if (values.only !== undefined && !values.only.split(",").includes(name)) continue;
      found[name] = measure(side, { pass, batches, out: join(folder, "trl") });
    }
    print(pass, found, tokens);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
  await rm(model, { recursive: true, force: true });
}

/** Lengths are log-normal, as those of chats nearly are: half are within 100 and 250 tokens. */
function draw() {
  const random = createRandom("bench/torch");
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const longest = values.tiny ? 96 : 512;
  const median = values.tiny ? 32 : 160;
  const sequences = Array.from({ length: batch * (steps + WARM) }, () => {
    const length = Math.max(8, Math.min(longest, Math.round(median * Math.exp(0.7 * normal()))));
    const ids = Int32Array.from({ length }, () => Math.floor(random.next() * size.vocabulary));
    const positions = Int32Array.from({ length: Math.floor(length / 2) }, (_, i) => Math.ceil(length / 2) + i);
    return { ids, positions };
  });
  const batches = Array.from({ length: steps + WARM }, (_, s) =>
    Array.from({ length: batch }, (_, b) => s * batch + b),
  );
  return { sequences, batches };
}

function lengths(sequences) {
  return sequences.map(({ ids }) => ids.length);
}

/** What runs, by name: Python, script, flags, and for the engine its job folder. */
async function sides(pass, packed, batches) {
  const job = join(folder, pass);
  await writeSequences(job, packed, true);
  const common = {
    model,
    device: values.device,
    compute: values.compute,
    micro_tokens: values.device === "cpu" ? 2048 : 8192,
  };
  if (pass === "training") {
    await writeSteps(
      job,
      batches.map((members) => ({ batch: members, learningRate: 1e-5 })),
    );
    const adam = { clip_norm: 1, betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 0 };
    await writeSettings(job, { kind: "train", ...common, lambda: 1, ...adam, checkpoint_steps: 0, dtype: "float32" });
  } else await writeSettings(job, { kind: "rows", ...common, top_k: 10, block: batch });
  const { python } = values;
  return {
    ours: { python, script: "ours.py", flags: [], folder: job },
    plain: { python, script: "plain.py", flags: [] },
    ...(pass === "training" && { recomputing: { python, script: "plain.py", flags: ["--recompute"] } }),
    compiled: { python, script: "plain.py", flags: ["--compile"] },
    ...(pass === "training" &&
      existsSync(values.trl) && { trl: { python: values.trl, script: "trl_sft.py", flags: [] } }),
  };
}

function measure({ python, script, flags, folder: job }, { pass, batches, out }) {
  const argument = {
    model,
    sequences: join(folder, "data/sequences.safetensors"),
    batches,
    compute: values.compute,
    device: values.device,
    threads,
    pass,
    warm: WARM,
    folder: job,
    out,
  };
  const { status, stdout, stderr } = spawnSync(python, [join(SIDES, script), JSON.stringify(argument), ...flags], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    env: {
      ...process.env,
      OMP_NUM_THREADS: String(threads),
      // Threads that wait for work do not count as working.
      OMP_WAIT_POLICY: "passive",
      PYTHONPATH: [resolve(import.meta.dirname, "../python"), SIDES].join(":"),
      HF_HUB_OFFLINE: "1",
      TOKENIZERS_PARALLELISM: "false",
      PYTHONDONTWRITEBYTECODE: "1",
    },
  });
  if (status !== 0) throw new Error(`${script} ${flags.join(" ")} ended with ${status}: ${stderr.slice(-2000)}`);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

function print(pass, found, tokens) {
  const rate = (times) => Math.max(...times.map((seconds, step) => tokens[step] / seconds));
  const onProcessor = values.device === "cpu";
  console.log(
    `\n${pass.padEnd(12)} ${"tokens/s".padStart(9)} ${onProcessor ? "tokens/processor s" : ""} ${"peak GB".padStart(8)}  first loss`,
  );
  for (const [name, { seconds, processor, peak, losses }] of Object.entries(found)) {
    const figures = [
      rate(seconds).toFixed(0).padStart(9),
      ...(onProcessor ? [rate(processor).toFixed(0).padStart(18)] : []),
    ];
    console.log(
      `${name.padEnd(12)} ${figures.join(" ")} ${(peak / 1e9).toFixed(2).padStart(8)}  ${losses[0]?.toFixed(4) ?? ""}`,
    );
  }
}
