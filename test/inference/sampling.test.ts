import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { sample } from "../../src/inference/sampling.ts";
import { seededRandom } from "../../src/random.ts";

const all = { temperature: 1, topK: 0, topP: 1 };
const logits = Float32Array.from([2, -1, 0.5, 3, 3, -20, 1, 0]);

/** Probabilities worked out the long way round: by the definition, over tokens sorted by probability. */
function expected({ temperature, topK, topP }: typeof all): number[] {
  const weights = [...logits].map((l) => Math.exp(l / temperature));
  const order = [...weights.keys()].sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const first = topK > 0 ? order.slice(0, topK) : order;
  const mass = first.reduce((sum, i) => sum + (weights[i] as number), 0);
  const kept: number[] = [];
  let reached = 0;
  for (const i of first) {
    if (reached >= topP) break;
    kept.push(i);
    reached += (weights[i] as number) / mass;
  }
  const total = kept.reduce((sum, i) => sum + (weights[i] as number), 0);
  return weights.map((w, i) => (kept.includes(i) ? w / total : 0));
}

describe("sampling", () => {
  const rows = [
    all,
    { ...all, temperature: 0.5 },
    { ...all, temperature: 3 },
    { ...all, topK: 1 },
    { ...all, topK: 3 },
    { ...all, topK: 100 },
    { ...all, topP: 0.3 },
    { ...all, topP: 0.8 },
    { temperature: 1.5, topK: 4, topP: 0.9 },
    { temperature: 1, topK: 2, topP: 0.5 },
  ];
  for (const options of rows)
    it(`draws by ${JSON.stringify(options)} in the right shares`, () => {
      const draws = 20_000;
      const random = seededRandom(11, JSON.stringify(options));
      const counts = new Array<number>(logits.length).fill(0);
      for (let i = 0; i < draws; i++) {
        const id = sample(logits, options, random);
        counts[id] = (counts[id] as number) + 1;
      }
      let chiSquare = 0;
      for (const [i, p] of expected(options).entries()) {
        if (p === 0) assert.equal(counts[i], 0, `token ${i}`);
        else chiSquare += ((counts[i] as number) - draws * p) ** 2 / (draws * p);
      }
      // The 99.99% quantile for 7 degrees of freedom; fewer tokens, fewer degrees.
      assert.ok(chiSquare < 29.9, `${chiSquare}: ${counts}`);
    });

  it("takes the most probable at temperature 0, the first of equals, whatever the chance", () => {
    for (const topK of [0, 1, 5])
      assert.equal(
        sample(logits, { temperature: 0, topK, topP: 0.5 }, () => 0.999),
        3,
      );
  });

  it("stays inside the vocabulary and the nucleus at the ends of chance", () => {
    const values = fc.float32Array({ minLength: 1, maxLength: 40, noNaN: true, min: -50, max: 50 });
    const ends = fc.constantFrom(0, 2 ** -32, 0.5, 1 - 2 ** -32);
    const topP = fc.double({ min: 0.01, max: 1, noNaN: true });
    fc.assert(
      fc.property(values, fc.nat(50), topP, ends, (row, topK, p, chance) => {
        const id = sample(row, { temperature: 1, topK, topP: p }, () => chance);
        // In weights, not logits: logits may differ by less than their exponentials can.
        const weights = [...row].map(Math.exp);
        const better = weights.filter((w) => w > (weights[id] as number));
        const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
        assert.ok(id >= 0 && id < row.length);
        if (topK > 0) assert.ok(better.length < topK);
        assert.ok(topK > 0 || sum(better) <= p * sum(weights) * (1 + 1e-9));
      }),
    );
  });

  it("refuses what is no distribution", () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY])
      for (const temperature of [0, 1])
        assert.throws(() => sample(Float32Array.from([0, bad, 1]), { ...all, temperature }, () => 0.5), { code: "NON_FINITE_LOGITS" });
    assert.equal(
      sample(Float32Array.from([Number.NEGATIVE_INFINITY, 1]), all, () => 0),
      1,
    );
  });
});
