/** AlpacaEval's files in small, with instructions and answers of our own, in a temporary folder. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StageContext } from "#src/engine/context.js";
import type { BenchmarkRequest, BenchmarkSettings } from "#src/evaluate/benchmarks/benchmark.js";

export const COUNT = 12;
export const INSTRUCTIONS: readonly string[] = Array.from(
  { length: COUNT },
  (_, i) => `Say {output_1} ${i + 1} times.`,
);
export const BASELINE_NAME = "gpt4_1106_preview";

export interface Output {
  readonly instruction: string;
  readonly output: string;
  readonly generator: string;
  readonly dataset?: string;
}

/** Answers of growing length. */
export const BASELINE: readonly Output[] = INSTRUCTIONS.map((instruction, i) => ({
  dataset: "small",
  instruction,
  output: "word ".repeat(i + 3).trim(),
  generator: BASELINE_NAME,
}));

export const OUTPUTS: readonly Output[] = INSTRUCTIONS.map((instruction, i) => ({
  instruction,
  output: "WORD ".repeat(((i * 5) % 9) + 1).trim(),
  generator: "ours",
}));

export type Annotation = Record<string, unknown> & { instruction: string };

/** Preferences that look drawn, none of them 1, 1.5 or 2. */
export function annotations(rest: (place: number) => Record<string, unknown> = () => ({})): Annotation[] {
  return INSTRUCTIONS.map((instruction, place) => ({
    instruction,
    output_1: BASELINE[place]!.output,
    generator_1: BASELINE_NAME,
    dataset: "small",
    output_2: OUTPUTS[place]!.output,
    generator_2: "ours",
    annotator: "a-judge",
    preference: 1.6 + 0.35 * Math.sin(3 * place + 1),
    raw_completion: null,
    ...rest(place),
  }));
}

export const DIFFICULTY: readonly number[] = INSTRUCTIONS.map((_, i) => Math.cos(i));

export const DIFFICULTY_TABLE: string = `index,instruction_difficulty\n${DIFFICULTY.map((d, i) => `${i},${d}\n`).join("")}`;

export const GAMED_TABLE: string = `preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline,model\n${[
  1, -1,
]
  .flatMap((sign) =>
    DIFFICULTY.map((d, i) => {
      const delta = sign * (1 + Math.sin(i));
      return `${1 / (1 + Math.exp(delta + Math.sin(7 * i)))},${i},${delta},${d},False,${sign > 0 ? "concise" : "verbose"}\n`;
    }),
  )
  .join("")}`;

export const JUDGE_PROMPT: string = `<|im_start|>system
Judge.
<|im_end|>
<|im_start|>user
Task: {instruction}
m: {output_1}
M: {output_2}
<|im_end|>
`;

/** Writes a file a name, records as a JSON array; gives their paths. */
export async function filesIn<Name extends string>(
  files: Readonly<Record<Name, readonly unknown[] | string | Uint8Array>>,
): Promise<Record<Name | "folder", string>> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-alpaca-eval-"));
  const paths: Record<string, string> = { folder };
  for (const [name, content] of Object.entries<readonly unknown[] | string | Uint8Array>(files)) {
    paths[name] = join(folder, `${name}.json`);
    const bytes = typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content);
    await writeFile(paths[name], bytes);
  }
  return paths as Record<Name | "folder", string>;
}

export function contextWithoutEngine(): StageContext & { readonly warnings: string[] } {
  const warnings: string[] = [];
  const notAsked = () => Promise.reject(new Error("not asked for"));
  return {
    engine: { kind: "none", facts: notAsked, open: notAsked, train: notAsked, dispose: async () => {} },
    reporter: {
      report: (event) => {
        if (event.type === "warning") warnings.push(event.message);
      },
    },
    warnings,
  };
}

/** A request for finished annotations; `rest` asks for more. */
export function request(settings: BenchmarkSettings, rest: Partial<BenchmarkRequest> = {}): BenchmarkRequest {
  return {
    subject: null,
    settings: { temperature: 0.7, max_tokens: 64, both_orders: false, incomplete: false, ...settings },
    judge: null,
    out: null,
    seed: "0",
    ...rest,
  };
}
