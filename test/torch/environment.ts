/** Hands the tests the Python of the torch engine, which `npm run test:torch` has made before. */
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    torch: { readonly python: string };
  }
}

export default function setup(project: TestProject): void {
  const python = process.env.FUSECHAT_TORCH_PYTHON;
  if (python === undefined) throw new Error("FUSECHAT_TORCH_PYTHON is not set; npm run test:torch sets it");
  project.provide("torch", { python });
}
