/** What is still to come from the Hub, in lines for people. */
import type { FetchEstimate } from "../models/fetch-estimate.ts";
import { formatBytes, formatCount, formatSeconds } from "./figures.ts";

/** A line a model, and how long it will take. */
export function fetchLines({ models, from, missing_bytes: missing, seconds, rate }: FetchEstimate): string[] {
  const lines = models.map(({ model, files, bytes, missing_bytes: left }) => {
    const count = `${formatCount(files)} ${files === 1 ? "file" : "files"} of weights`;
    return `${model}: ${count}, ${formatBytes(bytes)}, ${left === 0 ? "all here" : `${formatBytes(left)} to fetch`}`;
  });
  if (missing > 0) {
    lines.push(`to fetch from ${from}: ${formatBytes(missing)}, about ${formatSeconds(seconds)} (${rate})`);
  }
  return lines;
}
