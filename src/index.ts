/** Public API: named exports only. */
export { FusechatError } from "./errors.ts";
export { type Reporter, type ReporterEvent, silent } from "./reporter.ts";
