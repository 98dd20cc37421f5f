/** The kinds of servers that give distributions. To add one: a file beside this one, and its name in both lines below. */
import type { ServerKind } from "./kind.ts";
import { sglang } from "./sglang.ts";
import { vllm } from "./vllm.ts";

export type ServerKindName = "vllm" | "sglang";
const KINDS: Readonly<Record<ServerKindName, ServerKind>> = { vllm, sglang };

export const SERVER_KINDS: readonly ServerKind[] = Object.values(KINDS);
export const SERVER_KIND_NAMES: readonly ServerKindName[] = Object.keys(KINDS) as ServerKindName[];

export function serverKind(name: ServerKindName): ServerKind {
  return KINDS[name];
}

export function isServerKind(name: string): name is ServerKindName {
  return Object.hasOwn(KINDS, name);
}
