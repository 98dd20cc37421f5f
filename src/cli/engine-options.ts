/** What computes, as options: the embedded engine, or PyTorch with where and how it is started. */
import { type Command, Option } from "commander";
import { EMBEDDED, ENGINE_KINDS, type EngineSettings, TORCH } from "../engine/index.ts";
import { COMPUTES, type Compute, DEVICES, type Device } from "../engine/torch/settings.ts";
import { inputError } from "../errors.ts";
import { integer } from "./option-values.ts";

export interface EngineFlags {
  readonly engine?: EngineSettings["kind"];
  readonly python?: string;
  readonly processes?: number;
  readonly compute?: Compute;
  readonly device?: Device;
  readonly launch?: "local" | "manual";
}

export const ENGINE_FLAGS = ["engine", "python", "processes", "compute", "device", "launch"] as const;

export function declareEngine(command: Command): void {
  const group = "Engine:";
  const add = (option: Option): void => void command.addOption(option.helpGroup(group));
  add(
    new Option("--engine <kind>", "onnx inside this program, or torch (PyTorch) (default: onnx)").choices(ENGINE_KINDS),
  );
  add(new Option("--python <command>", "torch: the Python that has it (default: python3)"));
  add(new Option("--processes <n>", "torch: processes (default: one a GPU, else one)").argParser(integer({ min: 1 })));
  add(new Option("--compute <dtype>", "torch: in which layers are computed (default: bfloat16)").choices(COMPUTES));
  add(new Option("--device <name>", "torch: where it computes (default: auto)").choices(DEVICES));
  add(new Option("--launch <how>", "torch: manual writes the job and says what to run").choices(["local", "manual"]));
}

/** The engine that the flags ask for; undefined where there are none. */
export function engineGiven({ engine, ...torch }: EngineFlags): EngineSettings | undefined {
  const given = Object.entries(torch).filter(([, value]) => value !== undefined);
  if (engine === "torch") return { ...TORCH, ...Object.fromEntries(given) };
  const [first] = given;
  if (first !== undefined)
    throw inputError(`--${first[0]}`, "is a setting of --engine torch; add that, or leave it out");
  return engine === undefined ? undefined : EMBEDDED;
}

/** A verb's other options, and its engine's. */
export function withoutEngine<Options extends EngineFlags>(
  options: Options,
): {
  readonly flags: EngineFlags;
  readonly rest: Omit<Options, (typeof ENGINE_FLAGS)[number]>;
} {
  const { engine, python, processes, compute, device, launch, ...rest } = options;
  const flags = { engine, python, processes, compute, device, launch };
  return { flags: Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)), rest };
}
