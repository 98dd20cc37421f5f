/**
 * Who answers at an address: another kind of server, one that cannot give rows at all, or the one that is meant, and
 * whether it has the model.
 */
import { z } from "zod";
import { inputError, suggestion } from "../../errors.ts";
import { type Connection, parseAddress, type Unreadable } from "../http/connection.ts";
import type { ServerKind } from "./kinds/kind.ts";
import type { ServerSettings } from "./settings.ts";

/** Bytes of a reply about itself. */
export const LONGEST_ANSWER: number = 1 << 22;
const EXAMPLE = "http://127.0.0.1:8000";

const modelList = z.looseObject({
  data: z.array(
    z.looseObject({
      id: z.string(),
      owned_by: z.string().nullish(),
      max_model_len: z.number().int().positive().nullish(),
    }),
  ),
});

type ModelList = z.infer<typeof modelList>["data"];

export async function findModel(
  connection: Connection,
  base: URL,
  kind: ServerKind,
  settings: ServerSettings,
  kinds: readonly ServerKind[],
): Promise<{ readonly model: string; readonly context: number | null }> {
  const url = below(base, "v1/models");
  const list = await get(connection, url, (json) => modelList.safeParse(json).data?.data);
  if (list === null || !list.some(({ owned_by }) => owned_by === kind.owner)) {
    await refuseOthers(connection, base, kind, list ?? [], kinds);
  }
  if (list === null) {
    throw inputError(url.href, `there is no list of models: is this the address of ${kind.title}, without its routes?`);
  }
  const names = list.map(({ id }) => id);
  const wanted = settings.model ?? (names.length === 1 ? names[0] : undefined);
  const found = list.find(({ id }) => id === wanted);
  if (found === undefined) {
    const has = names.length === 0 ? "none" : names.map((name) => JSON.stringify(name)).join(", ");
    const asked =
      wanted === undefined ? "which of its models is meant is not said" : `it has no model ${JSON.stringify(wanted)}`;
    throw inputError(
      url.href,
      `${asked}; there are ${has}; say which with \`model\`${suggestion(wanted ?? "", names)}`,
    );
  }
  return { model: found.id, context: found.max_model_len ?? null };
}

/** Servers that cannot give what is wanted, by name, and what would do. */
async function refuseOthers(
  connection: Connection,
  base: URL,
  kind: ServerKind,
  list: ModelList,
  kinds: readonly ServerKind[],
): Promise<void> {
  const other = kinds.find(({ owner }) => owner !== kind.owner && list.some(({ owned_by }) => owned_by === owner));
  if (other !== undefined) {
    throw inputError(base.href, `${other.title} answers there, not ${kind.title}; say engine ${other.name}`);
  }
  const instead = `start the model with ${kinds.map(({ title }) => title).join(" or ")}, or give the folder of its weights`;
  if (
    list.some(({ owned_by }) => owned_by === "llamacpp") ||
    (await has(connection, below(base, "props"), "default_generation_settings"))
  ) {
    throw inputError(
      base.href,
      `llama.cpp's server answers there, which gives the most probable tokens of what it writes only, not of a given text; ${instead}`,
    );
  }
  if (await has(connection, below(base, "info"), "max_input_tokens")) {
    throw inputError(
      base.href,
      `Text Generation Inference answers there, which gives a given text's own tokens only, not the most probable ones; ${instead}`,
    );
  }
}

async function has(connection: Connection, url: URL, key: string): Promise<boolean> {
  const found = await get(connection, url, (json) =>
    typeof json === "object" && json !== null && key in json ? true : undefined,
  );
  return found === true;
}

/** What a route tells of a server; null where there is no such route, or it tells something else. */
async function get<T>(connection: Connection, url: URL, read: (json: unknown) => T | undefined): Promise<T | null> {
  const { value } = await connection.ask<{ readonly value: T | null }>({
    url,
    what: url.pathname,
    model: "",
    longest: LONGEST_ANSWER,
    body: () => null,
    read: (body) => {
      const json = jsonOf(body);
      return { value: "problem" in json ? null : (read(json.value) ?? null) };
    },
    refused: ({ status }) => ([400, 404, 405, 501].includes(status) ? { value: null } : undefined),
  });
  return value;
}

/** Whatever route of the server was given, its base. */
export function baseAddress(text: string, { route }: ServerKind): URL {
  const url = parseAddress(text, EXAMPLE);
  const path = url.pathname.replace(/\/+$/, "");
  const routes = [route, "v1/completions", "v1/chat/completions", "v1/models", "v1"].map((name) => `/${name}`);
  const given = routes.find((name) => path.endsWith(name)) ?? "";
  url.pathname = `${path.slice(0, path.length - given.length)}/`;
  return url;
}

export function below(base: URL, route: string): URL {
  const url = new URL(base);
  url.pathname = `${url.pathname}${route}`;
  return url;
}

export function jsonOf(body: Uint8Array): { readonly value: unknown } | Unreadable {
  const text = Buffer.from(body).toString("utf8");
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    const cut = /^\s*[[{]/.test(text) && !/[\]}]$/.test(text.trimEnd());
    return { problem: cut ? "the reply ends in the middle" : "expected a reply in JSON, found something else", cut };
  }
}
