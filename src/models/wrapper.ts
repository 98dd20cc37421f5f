/**
 * Models that read more than text: a decoder like any other, with its settings in `text_config` and its weights under a
 * prefix, beside a tower that sees pictures and a projector from there. Only texts are read here; the other weights are
 * carried along untouched.
 *
 * Checkpoints come with either of two prefixes, and whether the head is tied is what they hold rather than what their
 * configs say: that of Mistral Small 3.1 says nothing, which transformers takes for tied, and has a head of its own.
 */
import type { Architecture, Network, StoredNames } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { refuseQuantised } from "./published-class.ts";

/** What a name of the decoder alone begins with, by what it begins with in the checkpoint. */
const LAYOUTS: readonly Readonly<Record<string, string>>[] = [
  { "model.": "language_model.model.", "lm_head.": "language_model.lm_head." },
  { "model.": "model.language_model.", "lm_head.": "lm_head." },
];

const CARRIED = /^(model\.)?(vision_tower|multi_modal_projector)\./;

/** The decoder `inner` within a model of several parts. Without `stored` the names are those of published checkpoints. */
export function wrappedDecoder(fields: ConfigFields, inner: Architecture, stored: StoredNames | null): Network {
  const text = fields.section("text_config");
  if (text === undefined) fields.refuse("text_config", "expected the settings of the language model, found nothing");
  text.only("model_type", [inner.name]);
  refuseQuantised(text);
  const plain = inner.network(text, null);
  const layout = LAYOUTS.find((names) => stored?.names.has(renamed(plain.embedding, names))) ?? LAYOUTS[0]!;
  const rename = (name: string): string => renamed(name, layout);
  const embedding = rename(plain.embedding);
  const head = rename("lm_head.weight");
  const tied = stored === null ? plain.config.tied : !stored.names.has(head) || stored.headIsCopy;
  return {
    ...plain,
    config: { ...plain.config, tied },
    embedding,
    head: tied ? embedding : head,
    layerPrefix: (layer) => rename(plain.layerPrefix(layer)),
    enter: (scope, embedded) => plain.enter(within(scope), embedded),
    layer: (scope, index, x) => plain.layer(within(scope), index, x),
    leave: (scope, x) => plain.leave(within(scope), x),
    isCarried: (name) => CARRIED.test(name),
  };

  /** A scope in which the decoder's weights have their plain names. */
  function within(scope: Parameters<Network["layer"]>[0]): typeof scope {
    return { ...scope, weight: (name, shape) => scope.weight(rename(name), shape) };
  }
}

function renamed(name: string, layout: Readonly<Record<string, string>>): string {
  const [plain, prefix] = Object.entries(layout).find(([start]) => name.startsWith(start))!;
  return prefix + name.slice(plain.length);
}
