/**
 * The torch engine: PyTorch on as many processes as there are GPUs, started with a job folder of numbers and waited for.
 * Text, rows, targets, order and rates are made here; Python computes.
 */
import { join } from "node:path";
import { internalError } from "../../errors.ts";
import { createRandom } from "../../random.ts";
import type { Engine, EngineModel, GenerateOptions, ModelFacts, Watch } from "../engine.ts";
import { type PackedSequences, packSequences } from "../packed.ts";
import { manners, signalOf, type TorchContext } from "./context.ts";
import type { JobEvent } from "./events.ts";
import {
  hasSettings,
  type JobSettings,
  jobName,
  writeDraws,
  writeRowDraws,
  writeSequences,
  writeSettings,
} from "./job.ts";
import { runJob } from "./launch.ts";
import { modelFacts } from "./model-facts.ts";
import { explainingMemory } from "./out-of-memory.ts";
import { probePython } from "./python.ts";
import { type JobRows, openJobRows, readAnswers, readLogits } from "./results.ts";
import { openSession, type Session } from "./session.ts";
import { identityOf, microTokensOf, type TorchSettings } from "./settings.ts";
import { trainWhole } from "./training.ts";

/** Sequences of a file of rows, and the most that an interruption costs. */
const BLOCK = 256;

/** Looks for Python first; throws one sentence where it cannot do the work. */
export async function createTorchEngine(settings: TorchSettings): Promise<Engine> {
  const facts = settings.launch !== "local" ? null : await probePython(settings.python, settings.device);
  const onProcessor = settings.device === "cpu" || (facts !== null && facts.cuda === 0 && !facts.mps);
  const context: TorchContext = { settings, facts, microTokens: microTokensOf(settings, onProcessor) };
  const sessions: Session[] = [];
  return {
    kind: "torch",
    identity: identityOf(settings),
    facts: (folder) => modelFacts(folder),
    open: async (folder, work) => {
      const model = await modelFacts(folder);
      const session = openSession(context, folder);
      sessions.push(session);
      return openTorchModel(context, model, session, work);
    },
    train: () => Promise.reject(internalError("the torch engine trains as a whole")),
    trainWhole: (training, watch) => trainWhole(context, training, watch),
    dispose: async () => {
      await Promise.all(sessions.map((session) => session.end()));
    },
  };
}

function openTorchModel(
  context: TorchContext,
  model: ModelFacts,
  session: Session,
  work: string | undefined,
): EngineModel {
  const { folder, vocabulary, parameters } = model;
  const need = { model: folder, kind: "rows", lora: null } as const;
  const ask: Session["ask"] = (question) => explainingMemory(context, need, () => session.ask(question));
  let announced: JobRows | undefined;
  /** Computes the rows of all sequences in a job of its own, which stays. */
  const compute = async (job: string, packed: PackedSequences, topK: number, watch: Watch): Promise<JobRows> => {
    if (!(await hasSettings(job))) await writeRowArrays(job, packed);
    await writeSettings(job, rowsSettings(context, folder, topK, packed));
    const onEvent = ({ event, done }: JobEvent): void => {
      if (event === "progress" && typeof done === "number") watch.onProgress?.(done);
    };
    await explainingMemory(context, need, () =>
      runJob(job, context.settings, context.facts, { onEvent, ...signalOf(watch) }),
    );
    return openJobRows(job, packed, topK, BLOCK);
  };
  return {
    folder,
    vocabulary,
    parameters,
    ...(work !== undefined && {
      ahead: async (sequences, topK, watch = {}) => {
        const packed = packSequences(sequences, model);
        const kept = Math.min(topK, vocabulary);
        const name = jobName(rowsSettings(context, folder, kept, packed), packed);
        announced = await compute(join(work, name), packed, kept, watch);
      },
    }),
    rows: async (sequences, topK) => {
      const packed = packSequences(sequences, model);
      const kept = Math.min(topK, vocabulary);
      const known = await announced?.find(packed, kept);
      if (known !== undefined) return known;
      return ask({
        write: async (job) => {
          await writeRowArrays(job, packed);
          return rowsSettings(context, folder, kept, packed);
        },
        read: (job) => openJobRows(job, packed, kept, BLOCK).all(),
      });
    },
    logits: async (ids) => {
      // A row is read before its label: one more id, any, gives the last position a row.
      const longer = Int32Array.from([...ids, 0]);
      const positions = Int32Array.from(ids, (_, index) => index + 1);
      const packed = packSequences([{ ids: longer, positions }], { ...model, maxPositions: null });
      return ask({
        write: async (job) => {
          await writeSequences(job, packed, true);
          return { ...rowsSettings(context, folder, 1, packed), logits: true };
        },
        read: readLogits,
      });
    },
    generate: async (prompts, options, onToken) => {
      const packed = packSequences(
        prompts.map((ids) => ({ ids, positions: new Int32Array(0) })),
        model,
      );
      const told = prompts.map(() => 0);
      const tell = (prompt: number, id: number): void => {
        told[prompt]!++;
        onToken?.(prompt, id);
      };
      const answers = await ask({
        write: async (job) => {
          await writeSequences(job, packed, false);
          if (options.temperature > 0) await writeDraws(job, drawsOf(prompts.length, options), options.maxTokens);
          const settings = { kind: "generate" as const, model: folder, ...manners(context), ...generationOf(options) };
          return { ...settings, stream: onToken !== undefined };
        },
        read: (job) => readAnswers(job, prompts.length),
        onEvent: ({ event, prompt, id }) => {
          if (event === "token") tell(Number(prompt), Number(id));
        },
        ...signalOf(options),
      });
      // Only the first process tells of its prompts.
      answers.forEach((answer, prompt) => {
        for (const id of answer.subarray(told[prompt]!)) tell(prompt, id);
      });
      return answers;
    },
    dispose: () => session.end(),
  };
}

function rowsSettings(
  context: TorchContext,
  model: string,
  topK: number,
  { uniform }: Pick<PackedSequences, "uniform">,
): JobSettings {
  const sampled = uniform === null ? {} : { sampled: true };
  return { kind: "rows", model, ...manners(context), top_k: topK, block: BLOCK, ...sampled };
}

async function writeRowArrays(job: string, packed: PackedSequences): Promise<void> {
  await writeSequences(job, packed, true);
  if (packed.uniform !== null) await writeRowDraws(job, packed.uniform);
}

function generationOf({ maxTokens, stopIds, temperature, topK, topP, bannedFrom }: GenerateOptions): object {
  return {
    max_tokens: maxTokens,
    stop_ids: [...stopIds],
    temperature,
    top_k: topK,
    top_p: topP,
    ...(bannedFrom === undefined ? {} : { vocabulary: bannedFrom }),
  };
}

/** [prompts, maxTokens] the numbers that the embedded engine's generator would draw with. */
function drawsOf(prompts: number, { maxTokens, seed, seeds }: GenerateOptions): Float64Array {
  const draws = new Float64Array(prompts * maxTokens);
  for (let prompt = 0; prompt < prompts; prompt++) {
    const random = createRandom(seeds?.[prompt] ?? `${seed}/${prompt}`);
    for (let token = 0; token < maxTokens; token++) draws[prompt * maxTokens + token] = random.next();
  }
  return draws;
}
