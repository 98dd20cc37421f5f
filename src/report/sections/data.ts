/** What the run was trained and judged on. */
import { isTrained } from "../../data/conversation.ts";
import { leftOutSentence } from "../../data/irregular.ts";
import { count } from "../figures.ts";
import { html } from "../html.ts";
import type { Section } from "./section.ts";

export const data: Section = {
  id: "data",
  title: "Data",
  render: ({ data: parts, leftOut }) => {
    if (parts.length === 0) return undefined;
    const skills = [...new Set(parts.flatMap(({ value }) => value.map(({ skill }) => skill ?? "")))].sort();
    const labelled = skills.some((skill) => skill !== "");
    return html`<div class="scroll"><table><thead><tr><th>part</th><th class="number">conversations</th><th class="number">responses</th><th class="number">bytes of responses</th></tr></thead><tbody>
${parts.map(({ name, value }) => {
  const responses = value.flatMap(({ turns }) => turns.filter(isTrained));
  const bytes = responses.reduce((total, { content }) => total + Buffer.byteLength(content, "utf8"), 0);
  return html`<tr><td>${name}</td><td class="number">${count(value.length)}</td><td class="number">${count(responses.length)}</td><td class="number">${count(bytes)}</td></tr>`;
})}</tbody></table></div>
${leftOut.length > 0 && html`<p>${leftOutSentence(leftOut)}.</p>`}
${
  labelled &&
  html`<details><summary>conversations by skill</summary><table><thead><tr><th>skill</th>${parts.map(({ name }) => html`<th class="number">${name}</th>`)}</tr></thead><tbody>
${skills.map((skill) => html`<tr><td>${skill || "without a label"}</td>${parts.map(({ value }) => html`<td class="number">${count(value.filter((one) => (one.skill ?? "") === skill).length)}</td>`)}</tr>`)}</tbody></table></details>`
}`;
  },
};
