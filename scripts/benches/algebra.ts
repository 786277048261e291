/**
 * Measures what compression does with the statistics of a product's inputs: factoring their inverse, by numbers of inputs.
 *
 *     npm run bench:algebra -- [--inputs 576,1536,4096,11008]
 */
import { parseArgs } from "node:util";
import { inverseFactorInPlace } from "../../src/algebra/inverse-factor.ts";
import { RuntimeAlgebra } from "../../src/algebra/runtime-algebra.ts";
import { seededRandom } from "../../src/random.ts";

const { values } = parseArgs({ options: { inputs: { type: "string", default: "576,1536,4096,11008" } } });
const algebra = await RuntimeAlgebra.open();
console.log("| inputs | seconds |\n| --- | --- |");
for (const n of values.inputs.split(",").map(Number)) {
  const random = seededRandom(n, "algebra");
  const h = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = i; j < n; j++) h[i * n + j] = random() - 0.5;
    h[i * n + i] = n;
  }
  const begun = performance.now();
  if (!(await inverseFactorInPlace(h, n, algebra))) throw new Error("not positive definite");
  console.log(`| ${n} | ${((performance.now() - begun) / 1000).toFixed(2)} |`);
}
await algebra.close();
