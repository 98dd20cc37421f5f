/** `fusechat serve`: models of this machine behind an OpenAI-compatible server. */
import { once } from "node:events";
import { join } from "node:path";
import { ALIGNMENT_FILE } from "../align/align.ts";
import { MANIFEST_FILE } from "../distributions/folder.ts";
import { modelFacts } from "../engine/index.ts";
import { generationMemory, servingBudget } from "../engine/onnx/estimate.ts";
import { inputError, internalError, reasonOf } from "../errors.ts";
import { exists } from "../formats/files.ts";
import { openModel } from "../models/index.ts";
import { alignedFolder, distributionsFolder, RUN_FILES } from "../recipe/layout.ts";
import { readRunModels } from "../run/run-models.ts";
import type { RunReference } from "../serve/run/run-view.ts";
import type { NamedFolder } from "../serve/run/stored-rows.ts";
import { startServer } from "../serve/serve.ts";
import type { ServedReference } from "../serve/served-model.ts";
import { subjectsOf } from "./evaluate-models.ts";
import { integer } from "./option-values.ts";
import { declareTemplate, type TemplateFlags } from "./template-options.ts";
import type { Invocation, Verb } from "./verb.ts";

interface Options extends TemplateFlags {
  readonly run?: string;
  readonly models?: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly token?: string;
  readonly cors?: readonly string[];
  readonly threads?: number;
  readonly votes?: string;
}

/** Exit code after Ctrl-C (FORMATS). */
const INTERRUPTED = 130;

/** Tokens of a conversation that memory is planned for; longer ones take what is left. */
const USUAL_TOKENS = 2048;

const words = (text: string): string[] => text.split(",").map((word) => word.trim());

export const serveVerb: Verb = {
  name: "serve",
  summary: "answer chats and completions over HTTP, as OpenAI's and vLLM's servers do",
  declare: (command) => {
    command
      .argument("[models...]", "folders, org/name or org/name@revision of the Hub, or RUN:NAME")
      .option("--run <run>", "the models of a run directory")
      .option("--models <names>", "of --run only these, by name or role: pivot,sources,targets,fused", words)
      .option("--port <n>", "0 takes a free one", integer({ min: 0, max: 65535 }), 8000)
      .option("--host <address>", "where it listens; any but the loopback interface needs --token", "127.0.0.1")
      .option("--token <token>", "what every request has to carry (default: FUSECHAT_SERVE_TOKEN)")
      .option("--cors <origins>", "pages of these origins may ask too, with commas between them; * for all", words)
      .option("--votes <file>", "keep the votes of the page's arena there, for evaluate arena")
      .option("--threads <n>", "of the engine (default: one a physical core)", integer({ min: 1 }));
    declareTemplate(command);
    command.addHelpText("after", EXAMPLES);
  },
  run: async (invocation, positional, given) => {
    const options = given as unknown as Options;
    const models = await referencesOf(invocation, positional, options);
    const run = options.run === undefined ? null : await runReference(options.run, models);
    const server = await startServer({
      models,
      engine: await invocation.engine({ kind: "onnx", threads: options.threads ?? null }),
      host: options.host,
      port: options.port,
      token: options.token ?? (invocation.environment.FUSECHAT_SERVE_TOKEN || null),
      origins: options.cors ?? [],
      ...(options.votes === undefined ? {} : { votes: options.votes }),
      ...(run === null ? {} : { run }),
      mostBytes: servingBudget(),
      neededBytes: async (folder) => generationMemory(await openModel(folder), USUAL_TOKENS),
      report: (error) => {
        const message = reasonOf(error);
        invocation.reporter.report({ type: "warning", stage: "serve", message });
      },
    });
    invocation.onInterrupt(() => {
      const count = server.inFlight();
      if (count === 0) return "no request to finish";
      return `finishing ${count} request${count === 1 ? "" : "s"}, and taking no other`;
    });
    const names = models.map(({ name }) => name);
    invocation.print(
      `Serving ${names.join(", ")} at ${server.url}/v1; Ctrl-C ends it when all answers have ended, twice at once.`,
    );
    invocation.print(`Talk to them at ${server.url}`);
    invocation.document({ url: server.url, models: names });
    if (!invocation.signal.aborted) await once(invocation.signal, "abort");
    await server.close();
    return INTERRUPTED;
  },
};

const EXAMPLES = `
  fusechat serve out/fused
  fusechat serve --run out/run --models pivot,sources,fused
  curl http://127.0.0.1:8000/v1/chat/completions -d '{"model": "fused", "messages": [{"role": "user", "content": "Hello"}]}'
`;

/** Models that cannot be served are told now, not when somebody asks for them. */
async function referencesOf(
  { environment, hub }: Invocation,
  models: readonly string[],
  options: Options,
): Promise<ServedReference[]> {
  // How servers are asked plays no part: models behind one are refused below.
  const requests = { concurrency: 1, timeout: 1, retries: 0 };
  const subjects = await subjectsOf({ ...options, ...requests, model: models }, { environment, hub });
  if (subjects.length === 0)
    throw inputError("fusechat serve", "expected a model to serve; give a folder, or --run RUN");
  const references: ServedReference[] = [];
  for (const { subject } of subjects) {
    if (subject.kind !== "folder") throw inputError(subject.name, "is behind a server already; give a folder");
    const { name, folder, template } = subject;
    const { maxPositions } = await modelFacts("onnx", folder);
    references.push({ name, folder, context: maxPositions, ...(template !== undefined && { template }) });
  }
  return references;
}

/** What a run has stored of its rows; null where it has not come so far. */
async function runReference(run: string, models: readonly ServedReference[]): Promise<RunReference | null> {
  const all = await readRunModels(run);
  const pivot = all.find(({ role }) => role === "pivot");
  const data = join(run, RUN_FILES.train);
  if (pivot === undefined) throw internalError("a run without a pivot");
  const distributions = join(run, distributionsFolder(pivot.name));
  const isStored = (folder: string, last: string): Promise<boolean> => exists(join(folder, last));
  if (!(await isStored(distributions, MANIFEST_FILE)) || !(await exists(data))) return null;
  const sources: NamedFolder[] = [];
  for (const { name, role } of all) {
    const folder = join(run, alignedFolder(name));
    if (role === "source" && (await isStored(folder, ALIGNMENT_FILE))) sources.push({ name, folder });
  }
  const fused = all.filter(({ role }) => role === "fused").map(({ name }) => name);
  return {
    data,
    pivot: { name: pivot.name, folder: distributions },
    tokenizer: distributions,
    sources,
    asked: models.map(({ name }) => name).filter((name) => fused.includes(name)),
  };
}
