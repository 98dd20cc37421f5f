/**
 * Keys of servers, from the environment alone: FUSECHAT_SERVER_KEYS holds `ORIGIN=KEY`, several with spaces between them. A
 * key goes to its own origin and to no other, whatever a recipe says.
 */
import type { KeyFor } from "../engine/server/settings.ts";
import { inputError } from "../errors.ts";

const VARIABLE = "FUSECHAT_SERVER_KEYS";

export function serverKeys(environment: Readonly<Record<string, string | undefined>>): KeyFor {
  return (url) => {
    const keys = new Map<string, string>();
    for (const entry of (environment[VARIABLE] ?? "").split(/\s+/).filter(Boolean)) {
      const equals = entry.indexOf("=");
      const address = entry.slice(0, equals);
      // The entry itself is not repeated: it holds the key.
      if (equals < 1 || !URL.canParse(address) || equals === entry.length - 1) {
        throw inputError(VARIABLE, "expected http://host:port=KEY, several with spaces between them");
      }
      keys.set(new URL(address).origin, entry.slice(equals + 1));
    }
    return URL.canParse(url) ? keys.get(new URL(url).origin) : undefined;
  };
}
