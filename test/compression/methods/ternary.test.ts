import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { RuntimeAlgebra } from "../../../src/algebra/runtime-algebra.ts";
import { ternary } from "../../../src/compression/methods/ternary.ts";
import { patterns } from "../../../src/compression/options.ts";
import { blocksOf, compressed, expected, objective, smallGroup, weightsOf } from "./support.ts";

let algebra: RuntimeAlgebra;
before(async () => {
  algebra = await RuntimeAlgebra.open();
});
after(() => algebra.close());

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** `(w - a b)' S (w - a b)` */
function loss(s: Float64Array, w: Float64Array, signs: ArrayLike<number>, scale: number): number {
  const e = w.map((x, i) => x - scale * (signs[i] as number));
  const g = w.length;
  return sum([...e].map((x, i) => x * sum([...e].map((y, j) => y * (s[i * g + j] as number)))));
}

/** The least loss of signs, with the best scale. */
function lossOfSigns(s: Float64Array, w: Float64Array, signs: ArrayLike<number>): number {
  const whole = loss(s, w, signs, 0);
  // A parabola in the scale, through 0, 1 and -1.
  const [up, down] = [loss(s, w, signs, 1), loss(s, w, signs, -1)];
  const [slope, bend] = [(up - down) / 2, (up + down) / 2 - whole];
  return bend > 0 ? whole - slope ** 2 / (4 * bend) : whole;
}

describe("three levels", () => {
  const outputs = 40;
  const { gram, weights } = smallGroup(8, outputs);
  const columns = Array.from({ length: outputs }, (_, c) => Float64Array.from({ length: 8 }, (_, i) => weights[i * outputs + c] as number));

  for (const [kept, best] of Object.entries<number[]>(expected.ternaryOfEight))
    it(`of eight with at most ${kept}, most outputs have the best of all signs, and none is worse than signs and the mean size`, () => {
      const losses = columns.map((w, c) => {
        const large = [...w]
          .map((x, i) => [Math.abs(x), i] as const)
          .sort((a, b) => b[0] - a[0])
          .slice(0, Number(kept));
        const signs = Int8Array.from(w, (x, i) => (large.some(([, k]) => k === i) ? Math.sign(x) : 0));
        const plain = loss(gram, w, signs, sum(large.map(([size]) => size)) / large.length);
        const scale = ternary(gram, w, signs, [{ from: 0, to: 8, kept: Number(kept) }]);
        assert.ok(signs.filter((x) => x !== 0).length <= Number(kept));
        const own = loss(gram, w, signs, scale);
        assert.ok(own <= plain * (1 + 1e-12) && own >= (best[c] as number) * (1 - 1e-9));
        // No other scale does better with these signs.
        assert.ok(Math.abs(own - lossOfSigns(gram, w, signs)) < 1e-9 * own);
        return own;
      });
      const exact = losses.filter((own, c) => own < (best[c] as number) * (1 + 1e-9)).length;
      assert.ok(exact >= 28, `${exact} of 40`);
      assert.ok(sum(losses) < 1.25 * sum(best));
    });

  it("no sign of its own to turn, set to 0 or move would save more", () => {
    const { gram: s, weights: many } = smallGroup(32, 4, 3);
    const quotas = [0, 8, 16, 24].map((from) => ({ from, to: from + 8, kept: 4 }));
    for (let c = 0; c < 4; c++) {
      const w = Float64Array.from({ length: 32 }, (_, i) => many[i * 4 + c] as number);
      const signs = Int8Array.from(w, (x, i) => (i % 2 ? Math.sign(x) : 0));
      ternary(s, w, signs, quotas);
      const own = lossOfSigns(s, w, signs) * (1 - 1e-6);
      const others = quotas.flatMap(({ from, to }) =>
        Array.from({ length: (to - from) ** 2 * 9 }, (_, at) => {
          const next = signs.slice();
          const [i, k] = [from + (Math.floor(at / 9) % 8), from + Math.floor(at / 72)];
          next[i] = (at % 3) - 1;
          if (signs[i] !== 0 && signs[k] === 0) next[k] = (Math.floor(at / 3) % 3) - 1;
          return next.subarray(from, to).filter((x) => x !== 0).length > 4 ? null : next;
        }),
      );
      for (const next of others) if (next) assert.ok(lossOfSigns(s, w, next) >= own);
    }
  });

  it("a method's codes are 0, 1 and 2 about 1, keep their pattern, and lose less than signs and the mean size do", async () => {
    const group = smallGroup(140, 20);
    const { inputs: n, outputs: m } = group;
    for (const pattern of ["FOUR_OF_EIGHT", "SIX_OF_EIGHT", "UNSTRUCTURED"] as const)
      for (const blockSize of [32, 128] as const) {
        const found = await compressed("PBS2P", group, { scheme: "TERNARY", pattern, blockSize, sparsity: 0.3 }, algebra);
        const { codes, zeroPoints, bits } = blocksOf(found);
        assert.equal(bits, 2);
        assert.ok(codes.every((code) => code <= 2) && zeroPoints.every((zero) => zero === 1));
        const of = patterns[pattern]?.of ?? blockSize;
        for (let c = 0; c < m; c++)
          for (let from = 0; from < n; from += of) {
            const size = Math.min(of, n - from);
            const kept = patterns[pattern] ? Math.ceil((size * patterns[pattern].kept) / of) : size - Math.round(size * 0.3);
            assert.ok(Array.from({ length: size }, (_, i) => codes[(from + i) * m + c]).filter((code) => code !== 1).length <= kept);
          }
        const plain = group.weights.map((_, at) => {
          const first = Math.floor(Math.floor(at / m) / blockSize) * blockSize;
          const own = Array.from({ length: Math.min(blockSize, n - first) }, (_, i) => group.weights[(first + i) * m + (at % m)] as number);
          return Math.sign(group.weights[at] as number) * (sum(own.map(Math.abs)) / own.length);
        });
        assert.ok(sum(objective(group, weightsOf(found, m))) < 0.5 * sum(objective(group, Float64Array.from(plain))));
      }
  });

  for (const { codes, ...options } of expected.pbs2p)
    it(`a method finds what plain elimination finds: ${JSON.stringify(options)}`, async () => {
      const { gram, weights, outputs: m } = smallGroup();
      const n = 40;
      const own = {
        inputs: n,
        gram: Float64Array.from({ length: n * n }, (_, at) => gram[Math.floor(at / n) * 72 + (at % n)] as number),
        weights: weights.slice(0, n * m),
        outputs: m,
      };
      const group = { ...own, matrices: [{ parameter: "w", outputs: m, weights: own.weights }] };
      assert.deepEqual([...blocksOf(await compressed("PBS2P", group, { scheme: "TERNARY", ...options }, algebra)).codes], codes);
    });

  it("a block of zeros is one", async () => {
    const group = smallGroup(40, 2);
    const zeros = { ...group, matrices: [{ parameter: "w", outputs: 2, weights: new Float32Array(80) }], weights: new Float32Array(80) };
    const { codes, scales } = blocksOf(await compressed("PBS2P", zeros, { scheme: "TERNARY" }, algebra));
    assert.ok(codes.every((code) => code === 1) && scales.every((scale) => scale === 0));
  });
});
