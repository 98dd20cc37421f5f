/** The HTML report of a run directory. */
export { renderReport } from "./report.ts";
