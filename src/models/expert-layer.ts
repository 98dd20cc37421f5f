/**
 * A feed-forward layer of several gated experts of which every row takes a few (Jiang et al. 2024, section 2.1). The
 * router and the experts are trained together: the router's gradient flows through the weights of the experts it
 * chose. Only the experts that a row chose are computed for it, so that the work is that of the chosen ones.
 */
import type { Value } from "../graph/graph.ts";
import { add } from "../graph/ops/arithmetic.ts";
import { gatedSilu } from "../graph/ops/gated-silu.ts";
import { groupedLinear } from "../graph/ops/grouped-linear.ts";
import { combine, dispatch, route } from "../graph/ops/routing.ts";
import type { ModelConfig, Scope } from "./architecture.ts";
import { type GatedLayerNames, project } from "./blocks.ts";

export interface ExpertLayerOptions {
  readonly experts: number;
  /** Experts that every row takes. */
  readonly chosen: number;
  /** Name of the router's module, its weight [experts, hidden]. */
  readonly router: string;
  /** Names of an expert's modules. */
  readonly names: (expert: number) => GatedLayerNames;
}

/** The layer of experts of `x` [rows, hidden], added to `residual` where there is one. */
export function expertLayer(
  scope: Scope,
  x: Value,
  config: ModelConfig,
  options: ExpertLayerOptions,
  residual?: Value,
): Value {
  const { hiddenSize, intermediateSize } = config;
  const routing = route(project(scope, x, options.router, options.experts), options.chosen);
  const weights = Array.from({ length: options.experts }, (_, expert) => {
    const { gate, up, down } = options.names(expert);
    return {
      gate: scope.weight(`${gate}.weight`, [intermediateSize, hiddenSize]),
      up: scope.weight(`${up}.weight`, [intermediateSize, hiddenSize]),
      down: scope.weight(`${down}.weight`, [hiddenSize, intermediateSize]),
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
