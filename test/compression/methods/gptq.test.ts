import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RuntimeAlgebra } from "../../../src/algebra/runtime-algebra.ts";
import { compressionMethodNamed } from "../../../src/compression/methods/index.ts";
import { defaultCompressionOptions } from "../../../src/compression/options.ts";
import { alike, blocksOf, compressed, expected, objective, smallGroup, weightsOf } from "./support.ts";

let algebra: RuntimeAlgebra;
before(async () => {
  algebra = await RuntimeAlgebra.open();
});
after(() => algebra.close());

describe("CLIP", () => {
  for (const { codes, bits, ...options } of expected.clip)
    it(`finds what plain search finds: ${bits} bits, ${JSON.stringify(options)}`, async () => {
      const found = await compressed("CLIP", smallGroup(), { scheme: `INT${bits as 4 | 8}`, ...options }, algebra);
      assert.deepEqual([...blocksOf(found).codes], codes);
    });

  it("without statistics all inputs count alike, as if all were as strong as one another", async () => {
    const group = smallGroup();
    const even = new Float64Array(group.inputs ** 2);
    for (let i = 0; i < group.inputs; i++) even[i * (group.inputs + 1)] = 1;
    const run = (name: string, gram: Float64Array | null) =>
      compressionMethodNamed(name).compress({ ...group, gram }, defaultCompressionOptions, algebra);
    const [found, gptq, same] = await Promise.all([run("CLIP", null), run("GPTQ", null), run("CLIP", even)]);
    assert.deepEqual([found, gptq], [same, same]);
  });
});

describe("GPTQ", () => {
  for (const { codes, objective: wanted, bits, ...options } of expected.gptq)
    it(`finds what plain elimination finds: ${bits} bits, ${JSON.stringify(options)}`, async () => {
      const group = smallGroup();
      const found = await compressed("GPTQ", group, { scheme: `INT${bits as 4 | 8}`, ...options }, algebra);
      assert.deepEqual([...blocksOf(found).codes], codes);
      // To what float64 loses when G is summed in another order.
      alike(objective(group, weightsOf(found, group.outputs)), wanted, 1e-6);
      const plain = await compressed("RTN", group, { scheme: `INT${bits as 4 | 8}`, ...options }, algebra);
      const sum = (values: number[]) => values.reduce((a, b) => a + b);
      assert.ok(sum(wanted) < sum(objective(group, weightsOf(plain, group.outputs))));
    });

  it("outputs are worked on some at a time, and give the same as by themselves", async () => {
    const wide = smallGroup(40, 700);
    const found = blocksOf(await compressed("GPTQ", wide, {}, algebra));
    for (const c of [0, 511, 512, 699]) {
      const weights = Float32Array.from({ length: 40 }, (_, i) => wide.weights[i * 700 + c] as number);
      const one = { ...wide, weights, outputs: 1, matrices: [{ parameter: "w", outputs: 1, weights }] };
      const alone = blocksOf(await compressed("GPTQ", one, {}, algebra));
      assert.deepEqual(
        [...alone.codes],
        Array.from({ length: 40 }, (_, i) => found.codes[i * 700 + c]),
      );
    }
  });

  it("an input that is always 0 has the nearest codes, and statistics of nothing give those of a search by itself", async () => {
    const group = smallGroup();
    const row = 11 * group.outputs;
    const { codes, scales, zeroPoints } = blocksOf(await compressed("GPTQ", group, {}, algebra));
    for (let c = 0; c < group.outputs; c++) {
      const [scale, zero] = [scales[c] as number, zeroPoints[c] as number];
      const nearest = Math.max(0, Math.min(15, Math.round((group.weights[row + c] as number) / scale) + zero));
      assert.equal(codes[row + c], nearest);
    }
    const alike = { ...group, gram: group.gram.map((_, at) => (at % (group.inputs + 1) === 0 ? 1 : 0)) };
    const nothing = { ...group, gram: new Float64Array(group.gram.length) };
    assert.deepEqual((await compressed("GPTQ", nothing, {}, algebra)).result, (await compressed("CLIP", alike, {}, algebra)).result);
  });

  it("without damping, statistics of fewer tokens than inputs are damped for as much as it takes", async () => {
    const group = smallGroup();
    const n = group.inputs;
    // Of one token, whose inputs are all alike: of rank 1.
    const { result } = await compressed("GPTQ", { ...group, gram: new Float64Array(n * n).fill(1) }, { damping: 0 }, algebra);
    assert.equal(result.kind, "BLOCKS");
  });

  it("refuses statistics that are no numbers", async () => {
    const group = smallGroup(4, 1);
    await assert.rejects(compressed("GPTQ", { ...group, gram: new Float64Array(16).fill(Number.NaN) }, {}, algebra), {
      code: "NON_FINITE_STATISTICS",
    });
  });
});
