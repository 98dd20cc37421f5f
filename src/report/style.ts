/** The page's one style sheet. Colours are chosen to be told apart by the colour-blind (Okabe and Ito, 2008). */
import { Markup } from "./html.ts";

const CSS = `
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--paper:#fff;--panel:#f6f8fa;--accent:#0072b2;
--pivot:#5b6675;--source:#e69f00;--target:#56b4e9;--fused:#0072b2;--merge:#cc79a7;--baseline:#009e73;--better:#00795a;--worse:#c1440e;--noise:#7a8594}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--soft:#9aa7b6;--line:#2c3642;--paper:#12171e;--panel:#1a212a;--accent:#56b4e9;
--pivot:#a7b3c1;--fused:#4aa3e0;--better:#35c79a;--worse:#f08a5d;--noise:#8a96a5}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:36px}
h1{font-size:28px;line-height:1.2;margin:0 0 12px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:20px;margin:0 0 14px}
h3{font-size:15px;margin:26px 0 8px;overflow-wrap:anywhere}
h2+h3{margin-top:0}
section{padding:26px 0;border-top:1px solid var(--line)}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:18px 0 26px}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.models{display:flex;flex-wrap:wrap;gap:4px 26px;margin:0;color:var(--soft)}.models b{color:var(--ink)}
.small{font-size:13px;color:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;margin:12px 0;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;color:var(--soft);font-size:13px;white-space:nowrap}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
th+th,td+td{padding-left:6px}
.name{white-space:nowrap;max-width:280px;overflow:hidden;text-overflow:ellipsis}
.number{text-align:right;white-space:nowrap}
.range{color:var(--soft);font-size:12.5px}
.shade{background:color-mix(in srgb,var(--worse) var(--shade),transparent);padding-right:8px}
.dot,.legend i{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:7px;background:var(--soft)}
.badge{display:inline-block;min-width:104px;text-align:center;padding:1px 9px;border-radius:10px;font-size:12.5px;font-weight:600;color:#fff;background:var(--noise);white-space:nowrap}
.badge.better{background:var(--better)}.badge.worse{background:var(--worse)}
@media(prefers-color-scheme:dark){.badge{color:#10151b}}
.verdicts{list-style:none;padding:0;margin:0}.verdicts li{padding:7px 0;border-bottom:1px solid var(--line)}.verdicts .badge{margin-right:8px}
figure{margin:0}
.chart{display:block;width:100%;max-width:900px;height:auto;font:12.5px system-ui,sans-serif}
.chart text{fill:var(--ink)}.chart .tick,.chart .unit{fill:var(--soft);font-size:12px}
.grid{stroke:var(--line)}.reference{stroke:var(--soft);stroke-dasharray:4 4}
.mark{--own:var(--noise)}.mark circle{fill:var(--own)}.whisker{stroke:var(--own);stroke-width:4;stroke-opacity:.45;stroke-linecap:round}
${["pivot", "source", "target", "fused", "merge", "baseline", "better", "worse", "noise"]
  .map((kind) => `.mark.${kind}{--own:var(--${kind})}.dot.${kind}{background:var(--${kind})}`)
  .join("\n")}
.curve{fill:none;stroke-width:1.8;stroke-linejoin:round}
${["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7500", "#7a8594"]
  .map((colour, index) => `.curve.colour-${index}{stroke:${colour}}.legend .colour-${index}{background:${colour}}`)
  .join("\n")}
.legend{display:flex;flex-wrap:wrap;gap:2px 20px;font-size:13px;color:var(--soft)}
.heat-maps{display:flex;flex-wrap:wrap;gap:18px 34px}.heat-maps figure{min-width:260px;flex:0 1 auto}.heat-maps figcaption{font-weight:600;margin-bottom:4px}
.cell{fill:var(--accent)}.chart .cell-text{font-size:11px}.chart .cell-text.dark{fill:#fff}
@media(prefers-color-scheme:dark){.chart .cell-text.dark{fill:#0c1116}}
.mass{display:inline-block;margin-right:10px;white-space:nowrap;font-size:13px}
.passage{margin:14px 0 22px}.passage figcaption{font-weight:600;font-size:14px}
blockquote{margin:6px 0;padding:2px 12px;border-left:3px solid var(--line);white-space:pre-wrap;overflow-wrap:anywhere}
.tokens{margin:6px 0}.tokens th,.tokens td{border-bottom:0;padding:1px 4px;text-align:center}.tokens th{text-align:left;padding-right:12px}
.tokens td{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace;white-space:pre}
.tokens .token{border:1px dashed var(--soft);color:var(--soft)}.tokens .shared{border:1px solid var(--ink);border-left-width:3px;color:var(--ink);background:var(--panel)}
.numbers td{font-size:11px;color:var(--soft)}
code,pre{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,monospace}
code{background:var(--panel);padding:1px 5px;border-radius:4px;white-space:pre}
pre{background:var(--panel);padding:14px 16px;border-radius:8px;overflow-x:auto;margin:0}
summary{cursor:pointer;color:var(--accent);margin:10px 0}
@media print{nav{display:none}section{break-inside:avoid}}
`;

export const STYLE: Markup = new Markup(`<style>${CSS}</style>`);
