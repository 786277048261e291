/**
 * Writes the table of docs/methods.md from the list of methods:
 *
 *     node --import tsx scripts/generate/methods-table.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { methods } from "../../src/pruning/methods/index.ts";

/** The rows of the table. */
export const rows = (): string =>
  methods.map(({ name, kinds, needs, description }) => `| \`${name}\` | ${kinds.join(", ")} | \`${needs}\` | ${description} |`).join("\n");

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL("../../docs/methods.md", import.meta.url));
  const page = readFileSync(path, "utf8");
  const head = "| --- | --- | --- | --- |\n";
  const [from, to] = [page.indexOf(head) + head.length, page.indexOf("<!-- end -->")];
  writeFileSync(path, `${page.slice(0, from)}${rows()}\n${page.slice(to)}`);
}
