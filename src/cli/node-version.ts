/** The oldest Node that runs this package; `package.json` says the same in `engines`. */
const OLDEST_NODE = 20;

/** What to tell a user whose Node is too old, or undefined where it is new enough. `version` reads `20.11.1`. */
export function oldNodeMessage(version: string): string | undefined {
  const major = Number.parseInt(version, 10);
  if (major >= OLDEST_NODE) return undefined;
  return `fusechat: Node ${OLDEST_NODE} or later is needed, found ${version}; install a newer one from nodejs.org`;
}
