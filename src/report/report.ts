/** Renders a run directory as one self-contained HTML page. */
export async function renderReport(runFolder: string): Promise<string> {
  return `<!doctype html><title>${runFolder.replace(/[<>&"]/g, "")}</title>`;
}
