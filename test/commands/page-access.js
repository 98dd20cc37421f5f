/**
 * Runs in the page: what WCAG 2.2 asks of colours, and what a keyboard reaches. Defines `access`.
 */
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

/** Any CSS colour as [red, green, blue, alpha], 0 to 255. */
function rgba(colour) {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
}

/** A colour with alpha on an opaque one. */
const over = ([r, g, b, a], under) => [r, g, b].map((channel, at) => (channel * a + under[at] * (255 - a)) / 255);

function backgroundOf(element) {
  const layers = [];
  for (let at = element; at !== null; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255]);
}

/** WCAG 2.2, "relative luminance". */
function luminance(colour) {
  const [r, g, b] = colour.map((channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(element, pseudo) {
  const under = backgroundOf(element);
  const [a, b] = [luminance(over(rgba(getComputedStyle(element, pseudo).color), under)), luminance(under)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

const isShown = (element) => element.checkVisibility({ visibilityProperty: true }) && !element.matches(":disabled");

window.access = {
  /** Texts whose contrast is below `least`, each with what it has. */
  faint: (least) => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
      const element = node.parentElement;
      if (node.textContent.trim() === "" || !isShown(element)) continue;
      const has = contrast(element);
      if (has < least) found.push(`${node.textContent.trim().slice(0, 40)}: ${has.toFixed(2)}`);
    }
    for (const element of document.querySelectorAll("[placeholder]")) {
      const has = contrast(element, "::placeholder");
      if (isShown(element) && has < least) found.push(`${element.placeholder}: ${has.toFixed(2)}`);
    }
    return found;
  },
  /** What can be focused, in the order of the document; of a toolbar its one stop. */
  stops: () =>
    [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
      .filter((element) => isShown(element) && element.tabIndex >= 0)
      .map(window.access.name),
  /** What has the focus, with whether one sees it. */
  focused: () => {
    const element = document.activeElement;
    if (element === document.body || element === null) return null;
    return { name: window.access.name(element), isSeen: getComputedStyle(element).outlineStyle !== "none" };
  },
  name: (element) => {
    const label = element.labels?.[0]?.textContent ?? element.getAttribute("aria-label") ?? element.textContent;
    return `${element.localName} ${(label || element.id).trim().replace(/\s+/g, " ").slice(0, 40)}`;
  },
};
