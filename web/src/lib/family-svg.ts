/** One model in the drawing, where it stands. */
export interface DrawnNode {
  readonly x: number;
  readonly y: number;
  readonly name: string;
  readonly facts: string;
  readonly value: string;
  /** How it was made, beside the line to it. */
  readonly how: string;
  /** Its colour; null where nothing was measured. */
  readonly colour: string | null;
  readonly parent: DrawnNode | null;
}

export interface DrawnTree {
  readonly title: string;
  readonly width: number;
  readonly height: number;
  readonly nodeWidth: number;
  readonly nodeHeight: number;
  readonly nodes: readonly DrawnNode[];
  readonly line: (parent: DrawnNode, child: DrawnNode) => string;
}

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const cut = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** The whole family, as far as it is unfolded, as a drawing that stands by itself: also what is out of sight on the page. */
export function familySvg({ title, width, height, nodeWidth, nodeHeight, nodes, line }: DrawnTree): string {
  const edges = nodes.flatMap((node) =>
    node.parent
      ? [
          `<path d="${line(node.parent, node)}" fill="none" stroke="#b5bcb1" stroke-width="1.6"/>`,
          `<text x="${node.x - 8}" y="${node.y + nodeHeight / 2 - 6}" text-anchor="end" font-size="11" fill="#566058">${escaped(node.how)}</text>`,
        ]
      : [],
  );
  const boxes = nodes.map(
    ({ x, y, name, facts, value, colour }) =>
      `<g><rect x="${x}" y="${y}" width="${nodeWidth}" height="${nodeHeight}" rx="8" fill="#fff" stroke="#b5bcb1"/>${
        colour === null ? "" : `<rect x="${x + 1}" y="${y + 6}" width="8" height="${nodeHeight - 12}" fill="${colour}"/>`
      }<text x="${x + 18}" y="${y + 26}" font-size="14" font-weight="600" fill="#1b221d">${escaped(cut(name, 24))}<title>${escaped(name)}</title></text><text x="${x + 18}" y="${y + 46}" font-size="12" fill="#566058">${escaped(facts)}</text><text x="${x + nodeWidth - 12}" y="${y + 46}" font-size="12" font-weight="600" text-anchor="end" fill="#1b221d">${escaped(value)}</text></g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif">
<title>${escaped(title)}</title>
${[...edges, ...boxes].join("\n")}
</svg>
`;
}
