import assert from "node:assert/strict";
import { it } from "node:test";
import { RuntimeAlgebra } from "../../src/algebra/runtime-algebra.ts";
import { seededRandom } from "../../src/random.ts";

it("multiplies matrices of float64 of any sizes, and the same twice", async () => {
  const algebra = await RuntimeAlgebra.open();
  const random = seededRandom(0, "product");
  for (const [n, k, m] of [
    [1, 1, 1],
    [3, 5, 2],
    [70, 33, 41],
  ] as const) {
    const [a, b] = [n * k, k * m].map((size) => Float64Array.from({ length: size }, () => random() - 0.5)) as [Float64Array, Float64Array];
    const y = await algebra.multiply(a, b, n, k, m);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < m; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += (a[i * k + l] as number) * (b[l * m + j] as number);
        assert.ok(Math.abs((y[i * m + j] as number) - sum) < 1e-13);
      }
    assert.deepEqual(await algebra.multiply(a, b, n, k, m), y);
  }
  await algebra.close();
});
