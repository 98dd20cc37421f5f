/** The model card of a merge: configuration, inputs by their hashes, and what is known of every tensor. */
import { stringify } from "yaml";
import type { MergeRecord } from "./record.ts";

/** The README.md of the merged model. */
export function modelCard(record: MergeRecord, paper: string): string {
  const inputs = [...record.models, ...(record.base_model ? [record.base_model] : [])];
  const role = (index: number): string => (index < record.models.length ? "merged" : "base");
  const lines = [
    "---",
    "library_name: transformers",
    "tags: [merge, fusechat]",
    "---",
    "",
    `# Merge by ${record.method}`,
    "",
    `Made by fusechat with the method \`${record.method}\`: ${paper}.`,
    originOf(record),
    "",
    "## Configuration",
    "",
    "```yaml",
    stringify(record.config, { lineWidth: 0 }).trimEnd(),
    "```",
    ...(record.like === null ? [] : ["", "Merged with `--like mergekit`: known defects of mergekit were repeated."]),
    "",
    "## Inputs",
    "",
    "| model | role | SHA-256 of the weight files |",
    "|---|---|---|",
    ...inputs.map(({ model, weights_sha256: hash }, index) => `| ${code(model)} | ${role(index)} | \`${hash}\` |`),
    ...repairedTable(record),
    ...coefficientTable(record),
  ];
  return `${lines.join("\n")}\n`;
}

/** Whose config, tokenizer and template the model has. */
function originOf({ donor, config: { tokenizer, chat_template: template } }: MergeRecord): string {
  const source = tokenizer?.source ?? "base";
  const ofTokenizer = source === "base" ? code(donor) : source === "union" ? "all models" : code(source);
  const ofItsModel = source === "union" ? code(donor) : ofTokenizer;
  const chosen = template?.includes("{") ? "the configuration" : template === "auto" ? "most models" : template;
  return `Config from ${code(donor)}, tokenizer from ${ofTokenizer}, chat template from ${chosen ?? ofItsModel}.`;
}

function repairedTable({ models, base_model: base, tensors }: MergeRecord): string[] {
  const rows = tensors.flatMap(({ name, models: own = models.map(({ model }) => model), repaired = [] }) => {
    const inputs = [...own, ...(base === null ? [] : [base.model])];
    const bad = inputs.map((input, index) => ({ input, count: repaired[index] ?? 0 })).filter(({ count }) => count > 0);
    return bad.map(({ input, count }) => `| ${code(input)} | ${code(name)} | ${count} |`);
  });
  if (rows.length === 0) return [];
  const meaning = "Taken from the base model, without one as the mean of the others.";
  return [
    "",
    "## NaN and infinite entries",
    "",
    meaning,
    "",
    "| model | tensor | entries |",
    "|---|---|---:|",
    ...rows,
  ];
}

function coefficientTable({ models, tensors }: MergeRecord): string[] {
  const rows = tensors.filter(({ coefficients }) => coefficients !== undefined);
  if (rows.length === 0) return [];
  const shares = (coefficients: readonly number[]): string => coefficients.map((c) => c.toFixed(4)).join(" | ");
  const head = ["", "## Coefficients", "", "How much of each model's update went into each tensor.", ""];
  if (rows.some(({ models: own }) => own !== undefined)) {
    // Slices are merged from different models each.
    const cells = rows.map(({ name, models: own, coefficients }) => {
      const parts = own!.map((model, j) => `${code(model)} ${coefficients![j]!.toFixed(4)}`);
      return `| ${code(name)} | ${parts.join(", ")} |`;
    });
    return [...head, "| tensor | models |", "|---|---|", ...cells];
  }
  return [
    ...head,
    `| tensor | ${models.map(({ model }) => code(model)).join(" | ")} |`,
    `|---|${models.map(() => "---:|").join("")}`,
    ...rows.map(({ name, coefficients }) => `| ${code(name)} | ${shares(coefficients!)} |`),
  ];
}

/** A name from outside within a Markdown table: nothing in it may end the code, the cell or the line. */
function code(text: string): string {
  return `\`${text.replace(/[`|\s\p{Cc}]/gu, "_")}\``;
}
