/** Mistral Small 3.1 and 3.2, which also see pictures: the decoder of Mistral within a model of several parts. */
import type { Architecture } from "./architecture.ts";
import { mistral } from "./mistral.ts";
import { wrappedDecoder } from "./wrapper.ts";

export const mistral3: Architecture = {
  name: "mistral3",
  publishedClass: "Mistral3ForConditionalGeneration",
  readsNames: true,
  summary: "Mistral Small 3.1, 3.2: the text part; what sees pictures is carried along",
  source: "https://mistral.ai/news/mistral-small-3-1",
  network: (fields, stored) => wrappedDecoder(fields, mistral, stored),
};
