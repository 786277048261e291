import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { inverseFactorInPlace } from "../../src/algebra/inverse-factor.ts";
import { RuntimeAlgebra } from "../../src/algebra/runtime-algebra.ts";
import { seededRandom } from "../../src/random.ts";

let algebra: RuntimeAlgebra;
before(async () => {
  algebra = await RuntimeAlgebra.open();
});
after(() => algebra.close());

describe("the upper factor of an inverse", () => {
  for (const n of [1, 2, 40, 97, 193, 1100])
    it(`U' U is the inverse of H [${n}, ${n}]`, async () => {
      const random = seededRandom(n, "inverse factor");
      const x = Float64Array.from({ length: n * n }, () => random() - 0.5);
      const turned = Float64Array.from(x, (_, at) => x[(at % n) * n + Math.floor(at / n)] as number);
      const h = await algebra.multiply(turned, x, n, n, n);
      for (let i = 0; i < n; i++) h[i * n + i] = (h[i * n + i] as number) + 0.1;
      const u = h.slice();
      assert.ok(await inverseFactorInPlace(u, n, algebra));
      // U H U' = 1, and what is below the diagonal is 0.
      const across = Float64Array.from(u, (_, at) => u[(at % n) * n + Math.floor(at / n)] as number);
      const one = await algebra.multiply(await algebra.multiply(u, h, n, n, n), across, n, n, n);
      for (let i = 0; i < n; i++)
        for (let j = 0; j < n; j++) {
          assert.ok(Math.abs((one[i * n + j] as number) - (i === j ? 1 : 0)) < 1e-9);
          if (j < i) assert.equal(u[i * n + j], 0);
        }
    });

  it("there is none of what is not positive definite", async () => {
    for (const n of [3, 200]) {
      const h = new Float64Array(n * n);
      for (let i = 0; i < n; i++) h[i * n + i] = i === 1 ? -1 : 1;
      assert.equal(await inverseFactorInPlace(h, n, algebra), false);
    }
  });
});
