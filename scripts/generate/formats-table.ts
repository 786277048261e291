/**
 * Writes the table of docs/exporting.md from the list of formats:
 *
 *     node --import tsx scripts/generate/formats-table.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { formats } from "../../src/models/formats/formats.ts";

/** The rows of the table. */
export const rows = (): string =>
  formats
    .map(
      ({ name, description, loadedBy, weights }) =>
        `| \`${name}\` | ${description} | ${loadedBy} | ${weights.map((w) => `\`${w}\``).join(", ")} |`,
    )
    .join("\n");

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL("../../docs/exporting.md", import.meta.url));
  const page = readFileSync(path, "utf8");
  const head = "| --- | --- | --- | --- |\n";
  const [from, to] = [page.indexOf(head) + head.length, page.indexOf("<!-- end -->")];
  writeFileSync(path, `${page.slice(0, from)}${rows()}\n${page.slice(to)}`);
}
