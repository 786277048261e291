/**
 * Writes the table of docs/support.md from what the product really does with every fixture:
 *
 *     node --import tsx scripts/generate/support-matrix.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { fixtures, refusedByExporter } from "../../test/support/fixtures.ts";
import { markdown, type Support, supportOf } from "../../test/support/support.ts";

const path = fileURLToPath(new URL("../../docs/support.md", import.meta.url));
const [begin, end] = ["<!-- table -->\n", "\n<!-- end -->"];

const results = new Map<string, Support>();
for (const fixture of fixtures) results.set(fixture.name, await supportOf(fixture, 7));
const page = readFileSync(path, "utf8");
const [before, after] = [page.slice(0, page.indexOf(begin) + begin.length), page.slice(page.indexOf(end))];
writeFileSync(path, `${before}${markdown(results, refusedByExporter)}${after}`);
