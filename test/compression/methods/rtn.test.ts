import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Algebra } from "../../../src/algebra/algebra.ts";
import { nearestFloat16 } from "../../../src/compression/methods/float16.ts";
import { compressionMethodNamed } from "../../../src/compression/methods/index.ts";
import type { Blocks } from "../../../src/compression/methods/method.ts";
import { type CompressionOptions, defaultCompressionOptions } from "../../../src/compression/options.ts";
import { bytesOf, floatsOf, floatTensor } from "../../../src/onnx/tensors.ts";
import { seededRandom } from "../../../src/random.ts";

const none: Algebra = { multiply: () => assert.fail("no product is asked for") };
const [inputs, outputs] = [40, 5];

async function blocksOf(weights: Float32Array, options: Partial<CompressionOptions>): Promise<Blocks> {
  const group = { inputs, gram: null, matrices: [{ parameter: "w", outputs, weights }] };
  const [found] = await compressionMethodNamed("RTN").compress(group, { ...defaultCompressionOptions, ...options }, none);
  assert.ok(found?.result.kind === "BLOCKS");
  return found.result;
}

describe("round to nearest", () => {
  const random = seededRandom(1, "rtn");
  const weights = Float32Array.from({ length: inputs * outputs }, () => random() - 0.3);

  for (const scheme of ["INT4", "INT8"] as const)
    for (const symmetric of [true, false])
      it(`of ${scheme}${symmetric ? ", symmetric" : ""}, no code of a block is nearer`, async () => {
        const { codes, scales, zeroPoints, bits, blockSize } = await blocksOf(weights, { scheme, symmetric });
        assert.equal(bits, scheme === "INT4" ? 4 : 8);
        assert.equal(scales.length, 2 * outputs);
        for (let i = 0; i < inputs; i++)
          for (let j = 0; j < outputs; j++) {
            const at = Math.floor(i / blockSize) * outputs + j;
            const [w, scale, zero] = [weights[i * outputs + j] as number, scales[at] as number, zeroPoints[at] as number];
            const error = (code: number) => Math.abs(scale * (code - zero) - w);
            const least = Math.min(...Array.from({ length: 2 ** bits }, (_, code) => error(code)));
            assert.equal(error(codes[i * outputs + j] as number), least);
            // All of a block lies within its levels, or half a step beyond; symmetric ones lack a level on one side.
            assert.ok(least <= Math.abs(scale) * (symmetric ? 1.01 : 0.51));
            if (symmetric) assert.equal(zero, 2 ** (bits - 1));
          }
      });

  it("scales are numbers of float16, also where weights are tiny, vast or 0", async () => {
    const columns = [1e-9, 1e30, 0, -3e-6, 1];
    const odd = weights.map((w, at) => w * (columns[at % outputs] as number));
    for (const symmetric of [true, false]) {
      const { scales, zeroPoints, codes } = await blocksOf(odd, { symmetric });
      const stored = floatTensor("scales", "float16", [scales.length], scales);
      assert.deepEqual(floatsOf(stored, bytesOf(stored)), scales);
      assert.ok(scales.every(Number.isFinite));
      for (let i = 0; i < inputs; i++) assert.equal(codes[i * outputs + 2], zeroPoints[2]);
    }
  });

  it("nothing that has no name is found", () => {
    assert.throws(() => compressionMethodNamed("NOTHING"), { code: "UNKNOWN_METHOD" });
  });
});

it("numbers are rounded to the nearest of float16", () => {
  const random = seededRandom(2, "float16");
  const numbers = Float32Array.from({ length: 5000 }, () => (random() - 0.5) * 2 ** (random() * 45 - 28));
  const stored = floatTensor("numbers", "float16", [numbers.length], numbers);
  assert.deepEqual(
    Float32Array.from(numbers, (x) => nearestFloat16(x)),
    floatsOf(stored, bytesOf(stored)),
  );
  assert.equal(nearestFloat16(1e9), 65_504);
  assert.equal(nearestFloat16(-1e9), -65_504);
});
