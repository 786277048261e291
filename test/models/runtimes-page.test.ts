import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { families } from "../../src/models/blueprints/families/index.ts";
import { columns, marks, readPage, runtimesPage, testedWith } from "../support/runtimes-page.ts";

const anew = "write docs/runtimes.md anew for these families, as scripts/generate/runtimes-table.ts says";
const page = readFileSync(runtimesPage, "utf8");
const { rows, tested } = readPage(page);

test("the table of runtimes has a row for each family and a column for each form and runtime", () => {
  assert.deepEqual(
    [...rows.keys()],
    families.map(({ name }) => name),
    anew,
  );
  const heads = Object.values(columns).map(([heading]) => heading);
  assert.ok(page.includes(`\n| family | ${heads.join(" | ")} |\n`), "the headings are the columns");
  const cell = (most: number) => new RegExp(`^(?:[${Object.values(marks).join("")}]|[${Object.values(marks).join("")}]{${most}})$`);
  for (const [name, row] of rows) {
    const cells = row.split(" | ").slice(1);
    assert.equal(cells.length, heads.length, name);
    for (const [i, [, most]] of Object.values(columns).entries()) assert.match((cells[i] as string).replace(/ \|$/, ""), cell(most), name);
  }
});

test("the rows are of the tiny models and the runtimes that the tests have now", () => {
  const now = new Map(families.map(({ modelType }) => [modelType, testedWith(modelType)]));
  const stale = [...now].filter(([family, digest]) => tested.get(family) !== digest).map(([family]) => family);
  assert.deepEqual(stale, [], anew);
  assert.deepEqual([...tested.keys()], [...now.keys()], anew);
});
