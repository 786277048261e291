import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RuntimeAlgebra } from "../../../src/algebra/runtime-algebra.ts";
import { quotasOf } from "../../../src/compression/methods/masks.ts";
import { patternNames } from "../../../src/compression/options.ts";
import { alike, compressed, expected, objective, smallGroup, weightsOf } from "./support.ts";

let algebra: RuntimeAlgebra;
before(async () => {
  algebra = await RuntimeAlgebra.open();
});
after(() => algebra.close());

describe("sparse weights", () => {
  for (const { method, inputs, zeros, objective: wanted, ...options } of expected.sparse)
    it(`${method} finds what plain code finds: ${inputs} inputs, ${options.pattern}, ${options.sparsity}`, async () => {
      const group = smallGroup(inputs);
      const found = weightsOf(await compressed(method, group, { scheme: "SPARSE", ...options }, algebra), group.outputs);
      assert.equal([...found].map((v) => (v === 0 ? 1 : 0)).join(""), zeros);
      // Weights are kept as float32.
      alike(objective(group, found), wanted, 1e-6);
    });

  it("SparseGPT loses less than Wanda, and Wanda less than magnitude", async () => {
    const group = smallGroup(140, 40);
    for (const pattern of patternNames) {
      const losses = [];
      for (const method of ["SPARSEGPT", "WANDA", "MAGNITUDE"])
        losses.push(
          objective(
            group,
            weightsOf(await compressed(method, group, { scheme: "SPARSE", pattern, sparsity: 0.5 }, algebra), group.outputs),
          ).reduce((a, b) => a + b),
        );
      const [sparseGpt, wanda, magnitude] = losses as [number, number, number];
      assert.ok(sparseGpt < wanda && wanda < magnitude, `${pattern}: ${losses}`);
    }
  });

  it("shares are exact, however inputs are split", () => {
    for (const sparsity of [0.1, 0.5, 0.37, 0.999])
      for (const within of [128, 1000]) {
        const quotas = quotasOf(1000, { pattern: "UNSTRUCTURED", sparsity }, within);
        assert.equal(
          quotas.reduce((n, q) => n + q.kept, 0),
          1000 - Math.round(1000 * sparsity),
        );
        assert.ok(quotas.every((q) => q.kept >= 0 && q.kept <= q.to - q.from));
      }
    assert.deepEqual(quotasOf(6, { pattern: "SIX_OF_EIGHT", sparsity: 0.5 }), [{ from: 0, to: 6, kept: 5 }]);
    assert.deepEqual(
      quotasOf(6, { pattern: "TWO_OF_FOUR", sparsity: 0.5 }).map((q) => q.kept),
      [2, 1],
    );
  });
});
