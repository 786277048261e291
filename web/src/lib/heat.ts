/** One cell of a heat map: neighbouring structures. */
export interface HeatCell {
  /** What the shade shows; null where nothing was scored. */
  readonly value: number | null;
  /** Share that is gone, 0 to 1: so much of the cell is hatched. */
  readonly gone: number;
  /** Written on it, where there is room. */
  readonly mark?: string | null;
}

export interface HeatRow {
  readonly label: string;
  readonly cells: readonly HeatCell[];
}

/** What is written above the columns: what they are, and one for each. */
export interface Heads {
  readonly title: string;
  readonly labels: readonly string[];
}

/** From values to places between 0 and 1. Values that span more than two powers of ten are placed by their logarithm. */
export interface Shades {
  readonly low: number;
  readonly high: number;
  readonly isLogarithmic: boolean;
  readonly at: (value: number) => number;
}

/** The lowest and highest hundredth do not count, so that a single outlier leaves the others their shades. */
export function shades(rows: readonly HeatRow[]): Shades | null {
  const values = rows.flatMap(({ cells }) => cells.flatMap(({ value }) => (value === null || !Number.isFinite(value) ? [] : [value])));
  if (values.length === 0) return null;
  values.sort((a, b) => a - b);
  const quantile = (share: number) => values[Math.round(share * (values.length - 1))] as number;
  const [low, high] = [quantile(0.01), quantile(0.99)];
  const isLogarithmic = low > 0 && high / low > 100;
  const scaled = isLogarithmic ? Math.log : (value: number) => value;
  const [from, to] = [scaled(low), scaled(high)];
  const at = (value: number) => (to > from ? Math.min(1, Math.max(0, (scaled(Math.max(value, low)) - from) / (to - from))) : 0.5);
  return { low, high, isLogarithmic, at };
}

export type Colour = readonly [red: number, green: number, blue: number];

/** Reads what a browser computes a colour to: `rgb(1, 2, 3)`. */
export const colourOf = (text: string): Colour => {
  const [red = 0, green = 0, blue = 0] = (text.match(/[\d.]+/g) ?? []).map(Number);
  return [red, green, blue];
};

export const between = (low: Colour, high: Colour, share: number): string =>
  `rgb(${low.map((from, i) => Math.round(from + ((high[i] as number) - from) * share)).join(", ")})`;

/** Where a map's cells lie, in pixels. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly left: number;
  readonly top: number;
  readonly cellWidth: number;
  readonly rowHeight: number;
  readonly columns: number;
}

export function layoutOf(rows: readonly HeatRow[], heads: Heads | null, width: number, left: number): Layout {
  const top = heads ? 18 : 2;
  const columns = Math.max(1, ...rows.map(({ cells }) => cells.length));
  const rowHeight = Math.max(7, Math.min(26, Math.floor(560 / Math.max(1, rows.length))));
  const cellWidth = Math.min(64, (width - left) / columns);
  return { width, left, top, cellWidth, rowHeight, columns, height: top + rows.length * rowHeight + 2 };
}

/** Those of the heads for which there is room, each with the middle of its column. */
export function headsShown({ labels }: Heads, layout: Layout): (readonly [label: string, x: number])[] {
  const longest = labels.reduce((most, label) => Math.max(most, label.length), 1);
  const every = Math.ceil((longest * 7 + 6) / layout.cellWidth);
  return labels.flatMap((label, column) => {
    const [x, , w] = boxOf(layout, 0, column);
    return column % every === 0 ? [[label, x + w / 2] as const] : [];
  });
}

/** Whether a mark has room in a cell. */
export const isRoomy = (mark: string, w: number, h: number): boolean => h >= 16 && w >= mark.length * 7 + 8;

/** The box of a cell. Neighbours share no pixel and leave none between them. */
export function boxOf(
  { left, top, cellWidth, rowHeight }: Layout,
  row: number,
  column: number,
): readonly [x: number, y: number, w: number, h: number] {
  const [from, to] = [Math.round(left + column * cellWidth), Math.round(left + (column + 1) * cellWidth)];
  const gap = cellWidth >= 5 ? 1 : 0;
  return [from, top + row * rowHeight, Math.max(1, to - from - gap), rowHeight - 1];
}

/** The cell at a place in a map; null beside all cells. */
export function cellAt(layout: Layout, rows: readonly HeatRow[], x: number, y: number): readonly [row: number, column: number] | null {
  const [row, column] = [Math.floor((y - layout.top) / layout.rowHeight), Math.floor((x - layout.left) / layout.cellWidth)];
  return column >= 0 && rows[row]?.cells[column] ? [row, column] : null;
}

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** The map as a drawing that stands by itself. */
export function heatSvg(title: string, rows: readonly HeatRow[], heads: Heads | null, low: Colour, high: Colour, line: string): string {
  const layout = layoutOf(rows, heads, 960, 90);
  const scale = shades(rows);
  const above = heads
    ? [
        `<text x="${layout.left - 8}" y="12" text-anchor="end">${escaped(heads.title)}</text>`,
        ...headsShown(heads, layout).map(([label, x]) => `<text x="${x}" y="12" text-anchor="middle">${escaped(label)}</text>`),
      ]
    : [];
  const parts = rows.flatMap(({ label, cells }, row) => [
    `<text x="${layout.left - 8}" y="${layout.top + row * layout.rowHeight + layout.rowHeight * 0.72}" text-anchor="end">${escaped(label)}</text>`,
    ...cells.map(({ value, gone, mark }, column) => {
      const [x, y, w, h] = boxOf(layout, row, column);
      const fill = value === null || !scale ? "none" : between(low, high, scale.at(value));
      const box = `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${fill}"${fill === "none" ? ` stroke="${line}" stroke-width="0.3"` : ""}/>`;
      const cut = Math.round(h * gone);
      const plate =
        mark && isRoomy(mark, w, h)
          ? `<text x="${x + w / 2}" y="${y + h * 0.72}" text-anchor="middle" font-weight="600" stroke="#fff" stroke-width="4" paint-order="stroke">${escaped(mark)}</text>`
          : "";
      return gone > 0 ? `${box}<rect x="${x}" y="${y + h - cut}" width="${w}" height="${cut}" fill="url(#gone)"/>${plate}` : box;
    }),
  ]);
  const size = Math.max(6, Math.min(12, layout.rowHeight - 1));
  return `<svg xmlns="http://www.w3.org/2000/svg" width="960" height="${layout.height}" viewBox="0 0 960 ${layout.height}" font-family="sans-serif" font-size="${size}">
<title>${escaped(title)}</title>
<defs><pattern id="gone" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="5" height="5" fill="#fff"/><rect width="1.6" height="5" fill="#555"/></pattern></defs>
${[...above, ...parts].join("\n")}
</svg>
`;
}
