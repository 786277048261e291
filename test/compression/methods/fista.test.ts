import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RuntimeAlgebra } from "../../../src/algebra/runtime-algebra.ts";
import { largestEigenvalue, lasso } from "../../../src/compression/methods/lasso.ts";
import { patternNames } from "../../../src/compression/options.ts";
import { solveInPlace } from "../../../src/recovery/cholesky.ts";
import { alike, compressed, expected, objective, type Small, smallGroup, weightsOf } from "./support.ts";

let algebra: RuntimeAlgebra;
before(async () => {
  algebra = await RuntimeAlgebra.open();
});
after(() => algebra.close());

/** With the diagonal of G larger by a hundredth, as the method damps it. */
function damped(group: Small): Small {
  const n = group.inputs;
  return { ...group, gram: group.gram.map((x, at) => (at % (n + 1) === 0 ? 1.01 * x : x)) };
}

describe("FISTA", () => {
  it("its steps come to what coordinates one after the other come to", async () => {
    const { gram, weights } = smallGroup(8, 40);
    const h = gram.map((x) => x / 100);
    const largest = await largestEigenvalue(h, 8, algebra);
    for (const [k, lambda] of [0.05, 0.3].entries()) {
      const target = Float64Array.from({ length: 24 }, (_, at) => weights[Math.floor(at / 3) * 40 + (at % 3)] as number);
      const pulled = await algebra.multiply(h, target, 8, 8, 3);
      const { values } = await lasso(h, pulled, target, new Float64Array(3).fill(lambda), largest, 4000, algebra);
      for (let c = 0; c < 3; c++)
        for (let i = 0; i < 8; i++) assert.ok(Math.abs((values[i * 3 + c] as number) - expected.lasso[c][k][i]) < 1e-6);
    }
  });

  it("no output loses more than Wanda's or SparseGPT's, whatever the pattern", async () => {
    for (const [inputs, seed] of [
      [72, 0],
      [140, 1],
      [37, 2],
    ] as const)
      for (const pattern of patternNames) {
        const group = smallGroup(inputs, 24, seed);
        const options = { scheme: "SPARSE", pattern, sparsity: 0.5 } as const;
        const losses = async (method: string, of: Small) =>
          objective(of, weightsOf(await compressed(method, group, options, algebra), group.outputs));
        const own = damped(group);
        for (const [c, loss] of (await losses("FISTA", own)).entries()) {
          assert.ok(loss <= ((await losses("WANDA", own))[c] as number) * (1 + 1e-9));
          assert.ok(loss <= ((await losses("SPARSEGPT", own))[c] as number) * (1 + 1e-9));
        }
      }
  });

  it("what stays is the least squares of its mask, and the certificate says how nearly", async () => {
    const group = damped(smallGroup());
    const { inputs: n, outputs: m, gram, weights } = group;
    const found = await compressed("FISTA", smallGroup(), { scheme: "SPARSE", pattern: "FOUR_OF_EIGHT" }, algebra);
    const v = weightsOf(found, m);
    for (let c = 0; c < m; c++) {
      const kept = Array.from({ length: n }, (_, i) => i).filter((i) => v[i * m + c] !== 0);
      assert.ok(kept.length <= n / 2 && kept.length >= n / 2 - 1);
      const a = Float64Array.from({ length: kept.length ** 2 }, (_, at) => {
        const [i, j] = [kept[Math.floor(at / kept.length)] as number, kept[at % kept.length] as number];
        return gram[i * n + j] as number;
      });
      const b = Float64Array.from(kept, (i) =>
        weights.reduce((sum, w, at) => (at % m === c ? sum + w * (gram[i * n + Math.floor(at / m)] as number) : sum), 0),
      );
      assert.ok(solveInPlace(a, b, kept.length));
      alike(
        kept.map((i) => v[i * m + c] as number),
        [...b],
        1e-4,
      );
    }
    const { iterations, residual } = found.certificate as NonNullable<typeof found.certificate>;
    assert.ok(iterations > 60 && residual < 1e-6);
  });

  it("among eight inputs it finds the best of all masks for most outputs, and comes near it in sum", async () => {
    for (const [pattern, best] of Object.entries<number[]>(expected.bestOfEight)) {
      const group = smallGroup(8, 40);
      const found = await compressed("FISTA", group, { scheme: "SPARSE", pattern: pattern as "TWO_OF_FOUR" }, algebra);
      const losses = objective(damped(group), weightsOf(found, 40));
      for (const [c, loss] of losses.entries()) assert.ok(loss > (best[c] as number) * (1 - 1e-6));
      const exact = losses.filter((loss, c) => loss < (best[c] as number) * (1 + 1e-5)).length;
      assert.ok(exact >= 28, `${pattern}: the best mask of ${exact} of 40 outputs`);
      const sum = (values: readonly number[]) => values.reduce((a, b) => a + b);
      assert.ok(sum(losses) < 1.08 * sum(best));
    }
  });

  it("a share of nothing changes nothing", async () => {
    const group = smallGroup(20, 3);
    const { result } = await compressed("FISTA", group, { scheme: "SPARSE", pattern: "UNSTRUCTURED", sparsity: 0.01 }, algebra);
    const v = weightsOf({ result }, 3);
    for (const [at, w] of group.weights.entries()) if (Math.floor(at / 3) !== 11) assert.ok(Math.abs((v[at] as number) - w) < 1e-6);
  });
});
