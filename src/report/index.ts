/** The HTML report of a run directory, or of one merged model. */
export { renderMergeReport, renderReport } from "./report.ts";
