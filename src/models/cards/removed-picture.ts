import { largest } from "../../large-lists.ts";
import type { Generation, RemovedGroup } from "./facts.ts";

/** Sizes in pixels. */
const [cell, gap, row, left, title] = [14, 3, 44, 96, 26] as const;
const [attentionColour, mlpColour, goneColour] = ["#3b6ea8", "#b0713a", "#e4e2dd"] as const;

/** What is left of a layer's attention and MLP, 0 to 1. */
export function leftOf(groups: readonly RemovedGroup[]): { readonly attention: number; readonly mlp: number }[] {
  const count = largest([-1, ...groups.map(({ layer }) => layer)]) + 1;
  return Array.from({ length: count }, (_, layer) => {
    const own = groups.filter((g) => g.layer === layer);
    const share = (whole: RemovedGroup["kind"], ...kinds: readonly RemovedGroup["kind"][]): number => {
      const gone = own.some((g) => (g.kind === whole || g.kind === "LAYER") && g.removed > 0);
      if (gone) return 0;
      return kinds.reduce((left, kind) => {
        const parts = own.filter((g) => g.kind === kind);
        const all = parts.reduce((n, g) => n + g.count, 0);
        return all === 0 ? left : left * (1 - parts.reduce((n, g) => n + g.removed, 0) / all);
      }, 1);
    };
    return { attention: share("ATTENTION", "HEAD"), mlp: share("MLP", "EXPERT", "CHANNEL") };
  });
}

/**
 * A picture of what was removed, in SVG: for each generation the layers of its parent from left to right, attentions above and MLPs below,
 * each filled as high as is left of it.
 *
 * @returns null if nothing was removed
 */
export function removedPicture(line: readonly Generation[]): string | null {
  const makings = line.flatMap(({ making }) => (making?.groups.some((g) => g.removed > 0) ? [leftOf(making.groups)] : []));
  if (makings.length === 0) return null;
  const width = left + largest(makings.map((layers) => layers.length)) * (cell + gap) + gap;
  const parts: string[] = [];
  let top = 0;
  const text = (x: number, y: number, words: string) => parts.push(`<text x="${x}" y="${y}">${words}</text>`);
  for (const [i, layers] of makings.entries()) {
    text(0, top + 16, makings.length > 1 ? `step ${i + 1}: what is left of each layer` : "what is left of each layer");
    top += title;
    for (const [name, colour] of [
      ["attention", attentionColour],
      ["mlp", mlpColour],
    ] as const) {
      text(0, top + row / 2, name === "mlp" ? "MLP" : name);
      for (const [layer, kept] of layers.entries()) {
        const [x, height] = [left + layer * (cell + gap), Math.round((row - gap) * kept[name])];
        parts.push(`<rect x="${x}" y="${top}" width="${cell}" height="${row - gap}" fill="${goneColour}"/>`);
        if (height > 0) parts.push(`<rect x="${x}" y="${top + row - gap - height}" width="${cell}" height="${height}" fill="${colour}"/>`);
      }
      top += row;
    }
    for (let layer = 0; layer < layers.length; layer += 4) text(left + layer * (cell + gap), top + 10, String(layer));
    top += title;
  }
  const style = "<style>text{font:12px sans-serif;fill:#555}</style>";
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}">${style}\n${parts.join("\n")}\n</svg>\n`;
}
