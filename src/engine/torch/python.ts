/**
 * The Python that the torch engine needs: looked at before anything is written, so that what is missing is one sentence
 * and not a traceback.
 */
import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { failure } from "../../errors.ts";
import type { Device } from "./settings.ts";

/** The folder that holds the package `fusechat_torch`, beside the compiled program. */
export const PACKAGE_FOLDER: string = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "..", "python");

/** FSDP2's and AttentionInterface's forms that the package uses came with these. */
const LEAST_TORCH = [2, 11] as const;

/** Importing torch takes 2 to 9 s, transformers up to 17 more, from a cold disk longer. */
const PROBE_MILLISECONDS = 180_000;

/** What there is, or why it is not. */
export interface PythonFacts {
  readonly python: string;
  readonly torch: string;
  readonly transformers: string;
  readonly safetensors: string;
  readonly cuda: number;
  readonly mps: boolean;
  readonly gpus: readonly { readonly name: string; readonly bytes: number }[];
}

const PROBE = `
import json, sys
facts = {"python": sys.version.split()[0]}
try:
    for name in ("torch", "transformers", "safetensors"):
        facts["missing"] = name
        facts[name] = __import__(name).__version__
    del facts["missing"]
    import torch
    facts["cuda"] = torch.cuda.device_count() if torch.cuda.is_available() else 0
    facts["mps"] = torch.backends.mps.is_available()
    facts["gpus"] = [
        {"name": torch.cuda.get_device_name(i), "bytes": torch.cuda.get_device_properties(i).total_memory}
        for i in range(facts["cuda"])
    ]
except Exception as error:
    facts["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
print(json.dumps(facts))
`;

/** Throws one sentence where this Python cannot run the engine on this device. */
export async function probePython(python: string, device: Device): Promise<PythonFacts> {
  const output = await runProbe(python);
  const facts = parseFacts(python, output);
  const [major = 0, minor = 0] = facts.torch.split(".").map(Number);
  if (major < LEAST_TORCH[0] || (major === LEAST_TORCH[0] && minor < LEAST_TORCH[1])) {
    throw failure(python, `expected torch ${LEAST_TORCH.join(".")} or later, found ${facts.torch}; update it`);
  }
  if (device === "cuda" && facts.cuda === 0) {
    throw failure(python, "torch sees no CUDA GPU here; look at its driver, or choose device: cpu");
  }
  if (device === "mps" && !facts.mps) throw failure(python, "torch sees no Apple GPU here; choose device: cpu");
  return facts;
}

function runProbe(python: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(python, ["-c", PROBE], { timeout: PROBE_MILLISECONDS }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      if (typeof error.code === "string") {
        const advice = "set engine.python to a Python with torch, transformers and safetensors";
        return reject(failure(python, `could not be started (${error.code}); ${advice}`, error));
      }
      const last = stderr.trim().split("\n").at(-1);
      const reason = error.killed ? `gave no answer in ${PROBE_MILLISECONDS / 1000} s` : `failed: ${last}`;
      return reject(failure(python, reason, error));
    });
  });
}

function parseFacts(python: string, output: string): PythonFacts {
  let facts: Partial<PythonFacts> & { readonly missing?: string; readonly error?: string };
  try {
    facts = JSON.parse(output.trim().split("\n").at(-1) ?? "");
  } catch {
    throw failure(python, `expected what it has installed, found ${JSON.stringify(output.slice(0, 80))}`);
  }
  if (facts.error !== undefined) {
    const what = facts.missing === undefined ? "torch" : facts.missing;
    throw failure(
      python,
      `Python ${facts.python} cannot import ${what} (${facts.error}); install it, or set engine.python to another Python`,
    );
  }
  return facts as PythonFacts;
}
