/** What a merge would do, as a table: `fusechat merge --plan`, and `fusechat plan` of a merge configuration. */
import { basename, dirname, resolve } from "node:path";
import { exists } from "../formats/files.ts";
import type { SafetensorsHeader } from "../formats/safetensors.ts";
import type { HubId } from "../hub/id.ts";
import type { MergeConfig } from "../merge/config.ts";
import type { MergeOptions } from "../merge/merge.ts";
import { type MergePreview, previewMerge } from "../merge/preview.ts";
import { readMergeConfigs } from "../merge/read-config.ts";
import { resolveSequence } from "../merge/sequence.ts";
import { estimateFetch, type FetchEstimate } from "../models/fetch-estimate.ts";
import { type HubFolder, outlined } from "../models/reference.ts";
import { fetchLines } from "./fetch-lines.ts";
import { formatTable } from "./table.ts";
import type { Invocation } from "./verb.ts";

/** Notes which models of the Hub are asked for. */
function noting(ids: HubId[], hub: HubFolder): HubFolder {
  return (id) => {
    ids.push(id);
    return hub(id);
  };
}

/** Nothing is written; what cannot work is refused as the merge itself would. */
export async function showMergePlan(
  { print, document, reporter, hub }: Invocation,
  file: string,
  options: Partial<Omit<MergeOptions, "baseFolder">> = {},
): Promise<void> {
  const { likeMergekit = false } = options;
  const merges = await readMergeConfigs(file, { likeMergekit });
  const baseFolder = dirname(resolve(file));
  const outlines = new Map<string, SafetensorsHeader>();
  const ids: HubId[] = [];
  const places = { baseFolder, hub: noting(ids, outlined(hub, outlines)) };
  const show = async (config: MergeConfig, out: string | undefined): Promise<MergePreview> => {
    const { warnings, ...preview } = await previewMerge(config, {
      ...options,
      ...(out !== undefined && { out }),
      ...places,
      outlines,
    });
    for (const message of warnings) reporter.report({ type: "warning", stage: "merge", message });
    print(formatTable(preview));
    return { ...preview, warnings };
  };
  const fetchOf = async (): Promise<{ fetch?: FetchEstimate }> => {
    if (ids.length === 0) return {};
    const fetch = await estimateFetch(await hub(), ids);
    print(fetchLines(fetch).join("\n"));
    return { fetch };
  };
  if (merges.length === 1) {
    const preview = await show(merges[0]!.config, options.out);
    document({ ...preview, ...(await fetchOf()) });
    return;
  }
  const previews: unknown[] = [];
  for (const { config, out, needs } of await resolveSequence(merges, options.out ?? ".", places)) {
    const missing: string[] = [];
    for (const folder of needs) if (!(await exists(folder))) missing.push(basename(folder));
    print(
      `${basename(out)}${missing.length === 0 ? "" : `: of ${missing.join(", ")}, which is merged before and not there yet`}`,
    );
    previews.push(missing.length === 0 ? await show(config, options.out && out) : { out, needs: missing });
  }
  document({ merges: previews, ...(await fetchOf()) });
}
