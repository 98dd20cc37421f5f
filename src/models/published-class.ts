/**
 * Whether a config describes what its `model_type` says: the published causal language model, in plain weights. The
 * same type also names classifiers and reward models, which have another head, and models whose own code replaces the
 * published one.
 */
import { excerptOf } from "../excerpt.ts";
import type { Architecture } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";

/** Refuses configs of other classes of this `model_type`, of foreign code, and of quantised weights. */
export function checkPublishedClass(fields: ConfigFields, { name, publishedClass }: Architecture): void {
  const type = (publishedClass ?? `${name}ForCausalLM`).toLowerCase();
  const classes = fields.value("architectures");
  if (classes !== undefined && !(Array.isArray(classes) && classes.some((found) => isClass(found, type)))) {
    const expected = publishedClass ?? `the causal language model of ${name}`;
    const problem = `expected ${expected}, found ${excerptOf(classes)}`;
    if (isNames(classes)) fields.lack("architectures", problem);
    fields.refuse("architectures", problem);
  }
  const code = fields.section("auto_map");
  const own = code?.value("AutoModelForCausalLM");
  if (own !== undefined && !isPublishedCode(own, name, type)) {
    const problem = `the model's own code, ${excerptOf(own)}, is not that of ${name}, and is never run`;
    if (isNames([own].flat())) code!.lack("AutoModelForCausalLM", problem);
    code!.refuse("AutoModelForCausalLM", problem);
  }
  refuseQuantised(fields);
  for (const field of ["is_encoder_decoder", "add_cross_attention"]) fields.only(field, [false]);
}

export function refuseQuantised(fields: ConfigFields): void {
  for (const name of ["quantization_config", "compression_config"]) {
    if (fields.value(name) === undefined) continue;
    fields.lack(name, "quantised weights are not supported; use the unquantised checkpoint");
  }
}

function isNames(found: unknown): boolean {
  return Array.isArray(found) && found.every((name) => typeof name === "string");
}

/** `expected` is in lower case, for the rule that names the classes capitalises as it likes: InternLM2, Qwen2. */
function isClass(name: unknown, expected: string): boolean {
  return typeof name === "string" && name.toLowerCase() === expected;
}

/**
 * A copy of the published code, as InternLM2 and Phi-3 carry it: `modeling_phi3.Phi3ForCausalLM`, perhaps after
 * `repository--`. Other models keep the class's name in a module called otherwise.
 */
function isPublishedCode(reference: unknown, type: string, expected: string): boolean {
  if (typeof reference !== "string") return false;
  const [module, name, ...rest] = (reference.split("--").at(-1) ?? "").split(".");
  return module === `modeling_${type}` && isClass(name, expected) && rest.length === 0;
}
