/** Gemma 3 in the sizes that also see pictures: the decoder of `gemma3-text.ts` within a model of several parts. */
import type { Architecture } from "./architecture.ts";
import { gemma3Text } from "./gemma3-text.ts";
import { wrappedDecoder } from "./wrapper.ts";

export const gemma3: Architecture = {
  name: "gemma3",
  publishedClass: "Gemma3ForConditionalGeneration",
  readsNames: true,
  summary: "Gemma 3 (4B, 12B, 27B): the text part; what sees pictures is carried along",
  source: "https://arxiv.org/abs/2503.19786",
  network: (fields, stored) => wrappedDecoder(fields, gemma3Text, stored),
};
