/**
 * Whether a config describes what its `model_type` says: the published causal language model, in plain weights. The
 * same type also names classifiers and reward models, which have another head, and models whose own code replaces the
 * published one.
 */
import { type ConfigFields, describe } from "./config-fields.ts";

/**
 * Refuses configs of other classes of this `model_type`, of foreign code, and of quantised weights. Classes are named
 * after `family`, which for all but a few is the `model_type`.
 */
export function checkPublishedClass(fields: ConfigFields, type: string, family: string = type): void {
  const classes = fields.value("architectures");
  if (classes !== undefined && !(Array.isArray(classes) && classes.some((name) => isCausalModel(name, family)))) {
    fields.refuse("architectures", `expected the causal language model of ${type}, found ${describe(classes)}`);
  }
  const code = fields.section("auto_map");
  const own = code?.value("AutoModelForCausalLM");
  if (own !== undefined && !isPublishedCode(own, family)) {
    code!.refuse(
      "AutoModelForCausalLM",
      `the model's own code, ${describe(own)}, is not that of ${type}, and is never run`,
    );
  }
  for (const name of ["quantization_config", "compression_config"]) {
    if (fields.value(name) === undefined) continue;
    fields.refuse(name, "quantised weights are not supported; use the unquantised checkpoint");
  }
  for (const name of ["is_encoder_decoder", "add_cross_attention"]) fields.only(name, [false]);
}

/** By the rule that names the classes: MistralForCausalLM for mistral. */
function isCausalModel(name: unknown, type: string): boolean {
  return typeof name === "string" && name.toLowerCase() === `${type}forcausallm`;
}

/**
 * A copy of the published code, as InternLM2 and Phi-3 carry it: `modeling_phi3.Phi3ForCausalLM`, perhaps after
 * `repository--`. Other models keep the class's name in a module called otherwise.
 */
function isPublishedCode(reference: unknown, type: string): boolean {
  const [module, name, ...rest] = String(reference).replace(/^.*--/, "").split(".");
  return module === `modeling_${type}` && isCausalModel(name, type) && rest.length === 0;
}
