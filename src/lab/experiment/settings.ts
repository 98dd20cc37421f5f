/**
 * How large an experiment is, and what its trainings have in common. Lambda, learning rate and epochs are the
 * demonstration's; they and those of the recommended way were chosen on validation draws.
 */
import { DEMO_SETTINGS } from "../demo-recipe.ts";

/** Of the recommended way; found on the validation draw. */
export interface RecommendedSettings {
  readonly conversations: number;
  readonly batch: number;
  readonly lr: number;
  readonly epochs: number;
  /** Weight of the label term. */
  readonly lambda: number;
  /** Of the steps by gain, the share that goes to all conversations alike. */
  readonly even_share: number;
}

export interface ExperimentSettings {
  readonly seeds: number;
  /** To fuse on. */
  readonly conversations: number;
  /** Numbers of conversations of the curves. */
  readonly curve: readonly number[];
  readonly held_out: number;
  readonly lambda: number;
  readonly lr: number;
  readonly epochs: number;
  readonly recommended: RecommendedSettings;
}

/** Some hours on two cores: 59 models a seed, most of them 20 to 40 seconds each. */
export const EXPERIMENT: ExperimentSettings = {
  seeds: 5,
  conversations: 2400,
  curve: [1200, 2400, 4800, 16_000],
  held_out: 1600,
  ...DEMO_SETTINGS,
  recommended: { conversations: 96_000, batch: 16, lr: 1e-3, epochs: 3, lambda: 0.5, even_share: 0.75 },
};
