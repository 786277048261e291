/** Hands a text to the browser as a file to keep. */
export function saveText(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A title as the name of a file. */
export const fileName = (title: string): string =>
  title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "") || "chart";

/** Rows of a table, its head first. */
export type Table = readonly (readonly (string | number | null)[])[];

const quoted = (value: string | number | null): string => {
  const text = value === null ? "" : String(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** A table as CSV (RFC 4180). Texts that a spreadsheet would take for a formula are set apart by an apostrophe. */
export function saveCsv(name: string, rows: Table): void {
  const safe = (value: string | number | null) => (typeof value === "string" && /^[=+\-@\t]/.test(value) ? `'${value}` : value);
  saveText(name, "text/csv", rows.map((row) => `${row.map((value) => quoted(safe(value))).join(",")}\r\n`).join(""));
}

/** What of an element's look goes into a picture of its own, away from the page's style sheets. */
const looks = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor"];

/** A drawing of the page as a text that stands by itself. */
function textOf(svg: SVGSVGElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const copies = [copy, ...copy.querySelectorAll("*")];
  for (const [i, element] of [svg, ...svg.querySelectorAll("*")].entries()) {
    const style = getComputedStyle(element);
    for (const look of looks) copies[i]?.setAttribute(look, style.getPropertyValue(look));
    for (const name of ["class", "tabindex", "role"]) copies[i]?.removeAttribute(name);
  }
  const { width, height } = svg.viewBox.baseVal;
  for (const [attribute, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width: String(width), height: String(height) }))
    copy.setAttribute(attribute, value);
  return new XMLSerializer().serializeToString(copy);
}

/** Does something while the page's colours are those for light surroundings. Nothing of it is seen: it is over before the page is painted. */
function inLight<T>(work: () => T): T {
  const { dataset } = document.documentElement;
  const theme = dataset["theme"];
  dataset["theme"] = "light";
  try {
    return work();
  } finally {
    if (theme === undefined) delete dataset["theme"];
    else dataset["theme"] = theme;
  }
}

/** Saves a chart as SVG, in the colours of the light theme: papers and READMEs are light. */
export function saveDrawing(name: string, drawing: () => SVGSVGElement | string): void {
  const text = inLight(() => {
    const drawn = drawing();
    return typeof drawn === "string" ? drawn : textOf(drawn);
  });
  saveText(name, "image/svg+xml", text);
}
