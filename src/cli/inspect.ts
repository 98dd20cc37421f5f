/** `fusechat inspect`: what is in a file or folder, and how a model's tokenizer and template see texts and conversations. */
import { Option } from "commander";
import { inputError, inputErrors } from "../errors.ts";
import { irregularOption } from "./conversations-option.ts";
import { type AlignedSummary, formatAligned } from "./inspect-aligned.ts";
import { summarise } from "./inspect-path.ts";
import { inspectRender, type RenderOptions } from "./inspect-render.ts";
import { inspectTokens, type TokensOptions } from "./inspect-tokens.ts";
import { integer } from "./option-values.ts";
import { formatTable } from "./table.ts";
import { declareTemplate } from "./template-options.ts";
import type { Verb } from "./verb.ts";

type InspectOptions = TokensOptions & RenderOptions;

/** Which options belong to which form of the verb; the others would be ignored without a word. */
const OPTIONS_OF = {
  tokens: ["model", "textFile", "texts"],
  render: [
    "model",
    "data",
    "irregular",
    "maxLength",
    "template",
    "templateModel",
    "date",
    "templateVariable",
    "templateName",
  ],
  path: [],
} as const;

export const inspectVerb: Verb = {
  name: "inspect",
  summary: "what a model, shard, run or tokenizer holds; tokens of a text; rows of conversations",
  declare: (command) => {
    command
      .argument(
        "<what>",
        "tokens, render, or a path: model, shard, aligned, run or tokenizer folder; or org/name of the Hub",
      )
      .option("--model <model>", "tokens, render: the model; for tokens a tokenizer folder suffices")
      .option("--text-file <file>", "tokens: one text, the whole file")
      .option("--texts <file>", "tokens: one JSON string a line")
      .option("--data <path>", "render: conversations: a file, a folder or a pattern of files")
      .addOption(irregularOption("render: "))
      .option("--max-length <n>", "render: tokens a conversation is cut to (default: 2048)", integer({ min: 1 }))
      .addOption(
        new Option("--template <which>", "render: the model's own template or the pivot's (default: native)").choices([
          "native",
          "pivot",
        ]),
      )
      .option("--template-model <model>", "render: the model whose template --template pivot means");
    declareTemplate(command, "render: ");
  },
  run: async (invocation, positional, given) => {
    const what = positional[0]!;
    const options = { template: "native", ...given } as InspectOptions;
    const form = what === "tokens" || what === "render" ? what : "path";
    const allowed: readonly string[] = OPTIONS_OF[form];
    const other = Object.keys(given).find((key) => !["json", "quiet", ...allowed].includes(key));
    if (other !== undefined) {
      const flag = `--${other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
      throw inputError(flag, `does not belong to inspect ${form === "path" ? "PATH" : form}`);
    }
    if (form === "tokens") await inspectTokens(invocation, options);
    else if (form === "render") return inspectRender(invocation, options);
    else {
      const { summary, wrong } = await summarise(what, invocation.hub);
      invocation.print(summary.kind === "aligned" ? formatAligned(summary as AlignedSummary) : formatTable(summary));
      invocation.document(summary);
      if (wrong.length > 0) {
        const { message, exitCode } = inputErrors(wrong);
        invocation.complain(message);
        return exitCode;
      }
    }
    return undefined;
  },
};
