/** `fusechat push FOLDER org/name`: a model with its card to the Hub, as one commit; private unless asked. */
import { resolve } from "node:path";
import { inputError } from "../errors.ts";
import { connect, orFailure } from "../hub/connection.ts";
import { parseHubId } from "../hub/id.ts";
import { type PushPlan, planPush, push } from "../hub/push.ts";
import { belongsToModel, uploadFiles } from "../models/upload-files.ts";
import { formatBytes, formatCount } from "./figures.ts";
import type { Verb } from "./verb.ts";

export const pushVerb: Verb = {
  name: "push",
  summary: "upload a model with its card to the Hub, private unless asked",
  long: true,
  declare: (command) => {
    command
      .argument("<folder>", "a model folder with a card: a target, a merge, a fused model")
      .argument("<name>", "org/name on the Hub; made where it is not there")
      .option("--public", "for everybody to see (default: private)")
      .option("--force", "replace the model that is there")
      .option("--message <text>", "of the commit (default: what was uploaded)")
      .option("--dry-run", "only say what would be uploaded, and where");
  },
  run: async ({ print, document, reporter, signal, environment }, [given = "", name = ""], options) => {
    const id = parseHubId(name);
    if (id === undefined || name.includes("@")) {
      throw inputError(JSON.stringify(name), "expected org/name, as a model of the Hub is called");
    }
    const folder = resolve(given);
    const { files, leftOut } = await uploadFiles(folder);
    const connection = await connect({ environment, signal });
    const stage = `push ${id.repo}`;
    const plan = await orFailure(connection, id.repo, unreachable, () =>
      planPush(connection, {
        repo: id.repo,
        files,
        isPublic: options.public === true,
        replace: options.force === true,
        belongsToModel,
      }),
    );
    if (leftOut.length > 0 && options.dryRun !== true) {
      reporter.report({ type: "warning", stage, message: `no part of a model, and left here: ${leftOut.join(", ")}` });
    }
    const bytes = plan.upload.reduce((sum, file) => sum + file.bytes, 0);
    const figures = {
      repo: plan.repo,
      url: plan.url,
      private: plan.isPrivate,
      new: plan.isNew,
      bytes,
      files: plan.upload.map(({ path, bytes: size }) => ({ path, bytes: size })),
      same: plan.same,
      remove: plan.remove,
      left_out: leftOut,
    };
    if (options.dryRun === true) {
      print(planLines(plan, bytes, leftOut).join("\n"));
      document({ ...figures, commit: null });
      return undefined;
    }
    if (plan.upload.length === 0 && plan.remove.length === 0) {
      print(`${plan.url} already holds this model; nothing was uploaded`);
      document({ ...figures, commit: plan.parent });
      return undefined;
    }
    const total = Math.ceil(bytes / 1e5) / 10;
    reporter.report({ type: "end", stage: "push", summary: headline(plan, bytes) });
    reporter.report({ type: "start", stage, total, unit: "MB" });
    let sent = 0;
    const title = options.message === undefined ? `Upload ${plan.upload.length} files` : String(options.message);
    const pushed = await orFailure(connection, id.repo, untaken, () =>
      push(connection, plan, {
        title,
        sent: (count) => {
          // What is sent a second time counts once.
          sent = Math.min(bytes, sent + count);
          reporter.report({ type: "progress", stage, done: Math.round(sent / 1e5) / 10, total, unit: "MB" });
        },
      }),
    );
    reporter.report({ type: "end", stage, summary: `${formatBytes(bytes)} in ${plan.upload.length} files` });
    print(`${pushed.url}: ${plan.isPrivate ? "private" : "public"}, commit ${pushed.commit}`);
    document({ ...figures, commit: pushed.commit });
    return undefined;
  },
};

const unreachable = (message: string): string => `cannot be reached: ${message}`;
const untaken = (message: string): string =>
  `does not take it: ${message}; run the same command again, which sends only what is not there`;

function headline({ url, upload, isNew, isPrivate, same, remove }: PushPlan, bytes: number): string {
  const where = `${url} (${isPrivate ? "private" : "public"}${isNew ? ", new" : ""})`;
  const kept = same.length === 0 ? "" : `, ${formatCount(same.length)} are there already`;
  const gone = remove.length === 0 ? "" : `, ${formatCount(remove.length)} go`;
  return `${formatBytes(bytes)} in ${formatCount(upload.length)} files to ${where}${kept}${gone}`;
}

function planLines(plan: PushPlan, bytes: number, leftOut: readonly string[]): string[] {
  return [
    headline(plan, bytes),
    ...plan.upload.map(({ path, bytes: size }) => `  ${path}: ${formatBytes(size)}`),
    ...plan.same.map((path) => `  ${path}: there already`),
    ...plan.remove.map((path) => `  ${path}: would go`),
    ...leftOut.map((path) => `  ${path}: no part of a model, stays here`),
    "Nothing was uploaded.",
  ];
}
