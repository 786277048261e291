/**
 * Writes the tables of docs/support.md from what the product really does with every fixture and every blueprint:
 *
 *     node --import tsx scripts/generate/support-matrix.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { families } from "../../src/models/blueprints/families/index.ts";
import { type BlueprintSupport, blueprintSupportOf, blueprintTable } from "../../test/support/blueprint-support.ts";
import { fixtures, refusedByExporter } from "../../test/support/fixtures.ts";
import { markdown, type Support, supportOf } from "../../test/support/support.ts";

const path = fileURLToPath(new URL("../../docs/support.md", import.meta.url));
/** The page with what stands between two marks replaced. */
function between(page: string, begin: string, end: string, table: string): string {
  const [from, to] = [page.indexOf(begin) + begin.length, page.indexOf(end)];
  return `${page.slice(0, from)}\n${table}\n${page.slice(to)}`;
}

const results = new Map<string, Support>();
for (const fixture of fixtures) results.set(fixture.name, await supportOf(fixture, 7));
const blueprints = new Map<string, BlueprintSupport>();
for (const { modelType } of families) blueprints.set(modelType, await blueprintSupportOf(modelType));
const page = between(readFileSync(path, "utf8"), "<!-- table -->", "<!-- end -->", markdown(results, refusedByExporter));
writeFileSync(path, between(page, "<!-- blueprints -->", "<!-- end blueprints -->", blueprintTable(blueprints)));
