import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { families } from "../../../src/models/blueprints/families/index.ts";
import { type BlueprintSupport, blueprintSupportOf, blueprintTable } from "../../support/blueprint-support.ts";
import { variants } from "../../support/safetensors-folder.ts";
import { steps } from "../../support/support.ts";

const results = new Map<string, BlueprintSupport>();

describe("a folder of weights goes the whole way", () => {
  it("of every family that is known", () => assert.deepEqual([...variants.keys()].sort(), families.map((f) => f.modelType).sort()));

  for (const { modelType } of families)
    it(modelType, async () => {
      const found = await blueprintSupportOf(modelType);
      results.set(modelType, found);
      assert.deepEqual(found.support, Object.fromEntries(steps.map((step) => [step, "yes"])));
    });

  // What the first variants have not: norms with a scale for each head, norms after the sums, groups, branches in another order.
  for (const [family, variant] of [
    ["stablelm", "norms"],
    ["cohere", "norms"],
    ["opt", "after"],
    ["falcon", "grouped"],
    ["gpt_neox", "sequential"],
  ] as const)
    it(`${family}, ${variant}`, async () => {
      const { support } = await blueprintSupportOf(family, variant);
      assert.deepEqual(support, Object.fromEntries(steps.map((step) => [step, "yes"])));
    });

  it("and docs/support.md says so", () => {
    const page = readFileSync(new URL("../../../docs/support.md", import.meta.url), "utf8");
    assert.ok(page.includes(blueprintTable(results)), "run: node --import tsx scripts/generate/support-matrix.ts");
  });
});
