/** The experiment's one page, as Markdown: claims with verdicts, models by skill, the curves, and how to repeat it. */
import { variance } from "../../statistics/moments.ts";
import { RECOMMENDED } from "./arms.ts";
import type { ClaimFinding, ExperimentResult, ModelFigures, SkillFinding } from "./findings.ts";

/** Nats per byte: a given model is the same for all seeds, but for what rounding leaves of a variance of equal numbers. */
const NO_SPREAD = 1e-12;

/** Conversations at a time, as people write them. */
const counted = (value: number): string => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ",");

export function experimentPage(result: ExperimentResult): string {
  const { settings, seeds, pivot, sources } = result;
  const { conversations, held_out: heldOut, lambda, lr, epochs } = settings;
  return `# The experiment

What the papers claim, and what this project adds, in the [laboratory](laboratory.md), where the truth is known: \`${pivot}\` is fused with ${list(
    sources.map((name) => `\`${name}\``),
  )},
on ${counted(conversations)} conversations unless another number is said, ${seeds} seeds (each has conversations of its own, in an order of its own), lambda ${lambda}, learning
rate ${lr}, ${epochs} epochs. All figures are thousandths of a nat per byte above the entropy floor on the same ${counted(heldOut)} held-out conversations: 0 is
a perfect model, less is better.

\`\`\`
fusechat lab experiment --out out/experiment
\`\`\`

repeats all of it, some hours on two cores, and goes on where it was interrupted. [\`experiment.json\`](experiment.json) has every figure.

## Claims

The effect is the first model's distance minus the second's, the mean over seeds, with a 95 % interval over seeds and conversations (a hierarchical
bootstrap); p is adjusted for all claims of the table (Holm). The last column is the smallest effect that the experiment would
have seen in 80 % of the cases.

| claim | effect | p | verdict | detectable |
|---|---|---|---|---|
${result.claims.map(claimRow).join("\n")}

## The recommended way, skill by skill

\`${RECOMMENDED}\`: all sources together, chosen by groups of the prompts, steps by what the sources know beyond the pivot, rows given what the pivot has
written (\`align.within: conditional\`; the other arms but \`within\` have \`none\`); ${counted(settings.recommended.conversations)} conversations, lambda ${settings.recommended.lambda}, learning rate
${settings.recommended.lr}, batches of ${settings.recommended.batch}, ${settings.recommended.epochs} epochs, ${100 * settings.recommended.even_share} % of the steps to all conversations alike.
Beside it the one of the six models that is nearest to the floor in that skill; p by Holm over this table.

| skill | ${RECOMMENDED} | best of the six | minus the best | p | verdict |
|---|---|---|---|---|---|
${result.skills.map((finding) => skillRow(finding, result)).join("\n")}

## Models

| model | all | ${skillsOf(result).join(" | ")} |
|---|---|${skillsOf(result)
    .map(() => "---|")
    .join("")}
${result.models.map((model) => modelRow(model, skillsOf(result))).join("\n")}

"All" is the mean over seeds and, after ±, the standard deviation between them.

## How many conversations

| conversations | fine-tuning | one target of all sources, chosen by group |
|---|---|---|
${[...settings.curve]
  .sort((a, b) => a - b)
  .map((count) => curveRow(count, result))
  .join("\n")}

Fine-tuning needs so many conversations for the distance that these have with ${counted(conversations)} (along the curve, by seed):

${Object.entries(result.fine_tuning_needs)
  .map(([name, needs]) => `- ${name}: ${needs.map((count) => needed(count, settings.curve)).join(", ")}`)
  .join("\n")}
`;
}

function claimRow({ claim, value, low, high, p_adjusted: p, verdict, detectable }: ClaimFinding): string {
  const interval = `${signed(value)} [${signed(low)}, ${signed(high)}]`;
  const said = { better: "holds", worse: "the opposite holds", "within noise": "within noise" }[verdict];
  const least = detectable === undefined ? "" : thousandths(detectable);
  return `| ${claim} | ${interval} | ${p < 0.001 ? "< 0.001" : p.toFixed(3)} | ${said} | ${least} |`;
}

function skillRow(finding: SkillFinding, { models }: ExperimentResult): string {
  const { skill, best, best_above_floor: distance, value, low, high, p_adjusted: p, verdict } = finding;
  const own = models.find(({ name }) => name === RECOMMENDED)!.by_skill[skill]!;
  const interval = `${signed(value)} [${signed(low)}, ${signed(high)}]`;
  return `| ${skill} | ${thousandths(own)} | ${thousandths(distance)} (${best}) | ${interval} | ${p < 0.001 ? "< 0.001" : p.toFixed(3)} | ${verdict} |`;
}

function modelRow({ name, above_floor: all, by_seed: seeds, by_skill: skills }: ModelFigures, names: string[]): string {
  const spread = deviation(seeds);
  const cells = names.map((skill) => thousandths(skills[skill]!));
  return `| ${name} | ${thousandths(all)}${spread < NO_SPREAD ? "" : ` ± ${thousandths(spread)}`} | ${cells.join(" | ")} |`;
}

function curveRow(count: number, { settings, models }: ExperimentResult): string {
  const of = (name: string): string => {
    const found = models.find(
      (model) => model.name === (count === settings.conversations ? name : `${name} of ${count}`),
    )!;
    return `${thousandths(found.above_floor)} ± ${thousandths(deviation(found.by_seed))}`;
  };
  return `| ${counted(count)} | ${of("sft-0")} | ${of("together-group")} |`;
}

function needed(count: number | null, curve: readonly number[]): string {
  return count === null ? `more than ${counted(Math.max(...curve))}` : counted(count);
}

function skillsOf({ models }: ExperimentResult): string[] {
  return Object.keys(models[0]!.by_skill);
}

function thousandths(nats: number): string {
  return (1000 * nats).toFixed(1);
}

function signed(nats: number): string {
  return `${nats < 0 ? "-" : "+"}${thousandths(Math.abs(nats))}`;
}

function deviation(values: readonly number[]): number {
  return Math.sqrt(variance(values));
}

function list(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
