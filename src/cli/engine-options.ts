/** What computes, as options: the embedded engine, or PyTorch with where and how it is started. */
import { type Command, Option } from "commander";
import { EMBEDDED, ENGINE_KINDS, type EngineSettings, TORCH } from "../engine/index.ts";
import { isServerKind, SERVER_KIND_NAMES } from "../engine/server/kinds/index.ts";
import { SERVER_CONCURRENCY } from "../engine/server/settings.ts";
import { COMPUTES, type Compute, DEVICES, type Device } from "../engine/torch/settings.ts";
import { inputError } from "../errors.ts";
import { checkedUrl } from "./judge-options.ts";
import { integer } from "./option-values.ts";

export interface EngineFlags {
  readonly engine?: EngineSettings["kind"];
  readonly python?: string;
  readonly processes?: number;
  readonly compute?: Compute;
  readonly device?: Device;
  readonly launch?: "local" | "manual";
}

/** Of a server, where a verb takes one. */
export interface ServerFlags {
  readonly server?: string | undefined;
  readonly serverModel?: string | undefined;
  readonly concurrency?: number | undefined;
}

type LocalKind = "onnx" | "torch";
const LOCAL_KINDS: readonly LocalKind[] = ["onnx", "torch"];

/** `servers`: whether a server may compute, too. */
export function declareEngine(command: Command, servers = false): void {
  const group = "Engine:";
  const add = (option: Option): void => void command.addOption(option.helpGroup(group));
  const others = servers ? `, or of a server: ${SERVER_KIND_NAMES.join(", ")}` : "";
  add(
    new Option("--engine <kind>", `onnx inside this program, or torch (PyTorch)${others} (default: onnx)`).choices(
      servers ? ENGINE_KINDS : LOCAL_KINDS,
    ),
  );
  add(new Option("--python <command>", "torch: the Python that has it (default: python3)"));
  add(new Option("--processes <n>", "torch: processes (default: one a GPU, else one)").argParser(integer({ min: 1 })));
  add(new Option("--compute <dtype>", "torch: in which layers are computed (default: bfloat16)").choices(COMPUTES));
  add(new Option("--device <name>", "torch: where it computes (default: auto)").choices(DEVICES));
  add(new Option("--launch <how>", "torch: manual writes the job and says what to run").choices(["local", "manual"]));
  if (!servers) return;
  add(new Option("--server <url>", "address of a server that has the model; --model is then config and tokenizer"));
  add(new Option("--server-model <name>", "the server's name of the model (default: the only one that it has)"));
  add(
    new Option("--concurrency <n>", `requests in flight at most (default: ${SERVER_CONCURRENCY})`).argParser(
      integer({ min: 1, max: 1024 }),
    ),
  );
}

/** The engine that the flags ask for; undefined where there are none. */
export function engineGiven(
  { engine, ...torch }: EngineFlags,
  { server, serverModel, concurrency }: ServerFlags = {},
): EngineSettings | undefined {
  const given = Object.entries(torch).filter(([, value]) => value !== undefined);
  const [first] = given;
  if (engine !== undefined && isServerKind(engine)) {
    if (first !== undefined) throw inputError(`--${first[0]}`, "is a setting of --engine torch; leave it out");
    if (server === undefined)
      throw inputError("--engine", `${engine} needs the address of the server; add --server URL`);
    const url = checkedUrl(server, "--server");
    return {
      kind: engine,
      url,
      model: serverModel ?? null,
      concurrency: concurrency ?? SERVER_CONCURRENCY,
      maxLogprobs: null,
    };
  }
  const servers = { server, "server-model": serverModel, concurrency };
  const [ofServer] = Object.entries(servers).filter(([, value]) => value !== undefined);
  if (ofServer !== undefined) {
    const kinds = SERVER_KIND_NAMES.map((kind) => `--engine ${kind}`).join(" or ");
    throw inputError(`--${ofServer[0]}`, `is a setting of ${kinds}; add the one that the server is`);
  }
  if (engine === "torch") return { ...TORCH, ...Object.fromEntries(given) };
  if (first !== undefined)
    throw inputError(`--${first[0]}`, "is a setting of --engine torch; add that, or leave it out");
  return engine === undefined ? undefined : EMBEDDED;
}

/** A verb's other options, and its engine's. */
export function withoutEngine<Options extends EngineFlags>(
  options: Options,
): {
  readonly flags: EngineFlags;
  readonly rest: Omit<Options, keyof EngineFlags>;
} {
  const { engine, python, processes, compute, device, launch, ...rest } = options;
  const flags = { engine, python, processes, compute, device, launch };
  return { flags: Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)), rest };
}
