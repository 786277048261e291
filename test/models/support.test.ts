import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fixtures, refusedByExporter } from "../support/fixtures.ts";
import { markdown, type Support, steps, supportOf } from "../support/support.ts";

const results = new Map<string, Support>();

describe("every exporter's model goes the whole way", () => {
  for (const fixture of fixtures)
    it(fixture.name, async () => {
      const support = await supportOf(fixture, 7);
      results.set(fixture.name, support);
      assert.deepEqual(support, Object.fromEntries(steps.map((step) => [step, "yes"])));
    });

  it("and docs/support.md says so", () => {
    const page = readFileSync(new URL("../../docs/support.md", import.meta.url), "utf8");
    assert.ok(page.includes(markdown(results, refusedByExporter)), "run: node --import tsx scripts/generate/support-matrix.ts");
  });
});
