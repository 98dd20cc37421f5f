/**
 * A feed-forward layer of several gated experts of which every row takes a few (Jiang et al. 2024, section 2.1). The
 * router and the experts are trained together: the router's gradient flows through the weights of the experts it
 * chose. Only the experts that a row chose are computed for it, so that the work is that of the chosen ones.
 */

import { excerptOf } from "../excerpt.ts";
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/arithmetic.ts";
import { gatedSilu } from "../graph/ops/gated-silu.ts";
import { groupedLinear } from "../graph/ops/grouped-linear.ts";
import { combine, dispatch, route } from "../graph/ops/routing.ts";
import type { ModelConfig, Scope } from "./architecture.ts";
import { type GatedLayerNames, project } from "./blocks.ts";
import type { ConfigFields } from "./config-fields.ts";

export interface ExpertLayerOptions {
  readonly experts: number;
  /** Experts that every row takes. */
  readonly chosen: number;
  /** Width of an expert. */
  readonly size: number;
  /** Whether the probabilities of a row's experts are divided by their sum. */
  readonly normalised: boolean;
  /** Name of the router's module, its weight [experts, hidden]. */
  readonly router: string;
  /** Names of an expert's modules. */
  readonly names: (expert: number) => GatedLayerNames;
}

/** In all layers; the largest published models have some 30,000. */
const MOST_EXPERTS = 100_000;

/** How many experts there are and a position takes, by the names of either version of transformers. */
export function readExperts(
  fields: ConfigFields,
  defaults: Pick<ExpertLayerOptions, "experts" | "chosen">,
): Pick<ExpertLayerOptions, "experts" | "chosen"> {
  const [name, other] = ["num_local_experts", "num_experts"] as const;
  // A tensor or three for each of them in every layer, which are listed before a weight is read.
  const most = Math.floor(MOST_EXPERTS / fields.count("num_hidden_layers", 1));
  const experts = fields.count(name, fields.count(other, defaults.experts, most), most);
  const outside = fields.value(other) ?? experts;
  if (outside !== experts) fields.refuse(other, `is ${excerptOf(outside)}, and ${name} is ${experts}`);
  const chosen = fields.count("num_experts_per_tok", defaults.chosen);
  if (chosen > experts) {
    const field = fields.value(other) === undefined ? name : other;
    fields.refuse("num_experts_per_tok", `expected at most ${field} (${experts}), found ${chosen}`);
  }
  return { experts, chosen };
}

/** The layer of experts of `x` [rows, hidden], added to `residual` where there is one. */
export function expertLayer(
  scope: Scope,
  x: Value,
  { hiddenSize }: ModelConfig,
  options: ExpertLayerOptions,
  residual?: Value,
): Value {
  const { size } = options;
  const routing = route(project(scope, x, options.router, options.experts), options.chosen, options.normalised);
  const weights = Array.from({ length: options.experts }, (_, expert) => {
    const { gate, up, down } = options.names(expert);
    return {
      gate: scope.weight(`${gate}.weight`, [size, hiddenSize]),
      up: scope.weight(`${up}.weight`, [size, hiddenSize]),
      down: scope.weight(`${down}.weight`, [hiddenSize, size]),
    };
  });
  const through = (rows: Value, part: keyof GatedLayerNames): Value =>
    groupedLinear(
      rows,
      routing.sizes,
      weights.map((expert) => expert[part]),
    );
  const slots = dispatch(x, routing);
  const answers = through(gatedSilu(through(slots, "gate"), through(slots, "up")), "down");
  const combined = combine(answers, routing);
  return residual === undefined ? combined : add(residual, combined);
}
