/** `fusechat align`: brings a source's distributions to the pivot's rows and vocabulary. */
import type { Command } from "commander";
import { alignDistributions } from "../align/align.ts";
import { DEFAULT_LABEL_MASS, LABEL_MASSES } from "../align/label-mass.ts";
import { DEFAULT_DIVISION, DIVISIONS } from "../align/preference.ts";
import { alignmentFigures } from "../align/report.ts";
import { SEQUENCES } from "../align/sequences/index.ts";
import { DEFAULT_STRATEGY, STRATEGIES } from "../align/strategies/index.ts";
import { DEFAULT_WITHIN, WITHIN } from "../align/within/within.ts";
import { textOnly } from "../models/reference.ts";
import { formatCount } from "./figures.ts";
import { MODEL_WORDS, modelFolder } from "./model-option.ts";
import { integer } from "./option-values.ts";
import type { Verb } from "./verb.ts";

interface Options {
  readonly pivot: string;
  readonly source: string;
  readonly out: string;
  readonly sequence: string;
  readonly vocabulary: string;
  readonly labelMass: string;
  readonly divide: string;
  readonly within: string;
  readonly width?: number;
  readonly pivotModel?: string;
  readonly sourceModel?: string;
}

export const alignVerb: Verb = {
  name: "align",
  summary: "bring a source's distributions to the pivot's rows and vocabulary",
  long: true,
  declare: (command: Command) => {
    const names = (list: readonly { readonly name: string }[]): string => list.map(({ name }) => name).join(", ");
    command
      .requiredOption("--pivot <folder>", "the pivot's distributions")
      .requiredOption("--source <folder>", "the source's distributions of the same conversations")
      .requiredOption("--out <folder>", "where the aligned shards go")
      .option("--sequence <name>", `how rows are matched: ${names(SEQUENCES)}`, "bytes")
      .option("--vocabulary <name>", `where tokens find a place: ${names(STRATEGIES)}`, DEFAULT_STRATEGY)
      .option(
        "--label-mass <name>",
        `where the label's mass comes from: ${LABEL_MASSES.join(", ")}`,
        DEFAULT_LABEL_MASS,
      )
      .option(
        "--divide <name>",
        `by what tokens with several places are divided: ${DIVISIONS.join(", ")}`,
        DEFAULT_DIVISION,
      )
      .option("--within <name>", `what rows within a source's token get: ${WITHIN.join(", ")}`, DEFAULT_WITHIN)
      .option("--width <n>", "tokens kept a row (default: twice the source's top_k)", integer({ min: 1 }))
      .option("--pivot-model <model>", `the pivot's tokenizer, where none lies beside the shards: ${MODEL_WORDS}`)
      .option("--source-model <model>", `the source's tokenizer, likewise`);
  },
  run: async (invocation, _positional, options) => {
    const { pivot, source, out, sequence, vocabulary, labelMass, divide, within, width, pivotModel, sourceModel } =
      options as unknown as Options;
    const summary = await alignDistributions(
      {
        pivot,
        source,
        out,
        sequence,
        vocabulary,
        labelMass,
        divide,
        within,
        ...(width !== undefined && { width }),
        ...(pivotModel !== undefined && { pivotModel: await modelFolder(invocation, pivotModel, textOnly) }),
        ...(sourceModel !== undefined && { sourceModel: await modelFolder(invocation, sourceModel, textOnly) }),
      },
      { reporter: invocation.reporter, signal: invocation.signal },
    );
    const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;
    invocation.print(
      `${out}: ${formatCount(summary.shared_rows)} of ${formatCount(summary.rows)} rows shared ` +
        `(${percent(summary.shared_rows / Math.max(1, summary.rows))}), of their mass`,
    );
    const share = (mass: number): string => percent(mass / Math.max(summary.mass_stored, Number.MIN_VALUE));
    for (const [name, { mass_kept, mass_lost }] of Object.entries(summary.strategies)) {
      const used = name === summary.vocabulary ? " (used)" : "";
      invocation.print(`  ${name}: ${share(mass_kept)} placed, ${share(mass_lost)} without a place${used}`);
    }
    invocation.document({ out, ...alignmentFigures(summary) });
    return undefined;
  },
};
