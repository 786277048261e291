import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bitsOf, meanOf } from "../../src/evaluation/statistics.ts";
import { seededRandom } from "../../src/random.ts";
import { accuracyKept } from "../../src/services/retained.ts";

const answers = (right: readonly number[], chanceAccuracy = 0.25) => {
  const { value, standardError } = meanOf(right);
  return {
    accuracy: value,
    accuracyStandardError: standardError,
    chanceAccuracy,
    itemCount: right.length,
    correctItems: bitsOf(right),
  };
};

/** What two models had right of the same items: a share of the items is easy for both, and of the others each has its own luck. */
function sample(seed: number, n: number, own: number, other: number, shared: number) {
  const random = seededRandom(seed, "retained");
  return Array.from({ length: n }, () => {
    if (random() < shared) {
      const luck = random();
      return [luck < own ? 1 : 0, luck < other ? 1 : 0] as const;
    }
    return [random() < own ? 1 : 0, random() < other ? 1 : 0] as const;
  });
}

const deviation = (values: readonly number[]): number => {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));
};

describe("what of a model's accuracy is kept", () => {
  // Drawing the items anew, again and again, tells how much a figure varies, and knows nothing of derivatives.
  for (const [own, other, shared] of [
    [0.38, 0.49, 0.8],
    [0.45, 0.49, 0],
    [0.55, 0.49, 0.5],
  ] as const)
    it(`errors are those of a bootstrap over the items: ${own} of ${other}, ${shared} in common`, () => {
      const items = sample(1, 600, own, other, shared);
      const of = (drawn: typeof items) => [answers(drawn.map(([a]) => a)), answers(drawn.map(([, b]) => b))] as const;
      const found = accuracyKept(...of(items));
      const random = seededRandom(2, "bootstrap");
      const ratios: number[] = [];
      const differences: number[] = [];
      for (let round = 0; round < 4000; round++) {
        const drawn = items.map(() => items[Math.floor(random() * items.length)] as (typeof items)[number]);
        const [a, b] = of(drawn);
        ratios.push((a.accuracy - 0.25) / (b.accuracy - 0.25));
        differences.push(a.accuracy - b.accuracy);
      }
      const close = (what: string, value: number | null, right: number) =>
        assert.ok(value !== null && Math.abs(value / right - 1) < 0.06, `${what}: ${value}, by the bootstrap ${right}`);
      close("the ratio's", found.aboveChanceRatioStandardError, deviation(ratios));
      close("the difference's", found.accuracyDifferenceStandardError, deviation(differences));
      const unpaired = accuracyKept({ ...of(items)[0], correctItems: null }, of(items)[1]);
      assert.equal(unpaired.aboveChanceRatio, found.aboveChanceRatio);
      if (shared > 0) assert.ok((unpaired.aboveChanceRatioStandardError ?? 0) > (found.aboveChanceRatioStandardError ?? 0));
    });

  it("of a model held against itself is all, and that is certain", () => {
    const own = answers([1, 1, 1, 0, 1, 1, 0, 1, 1, 1]);
    const found = accuracyKept(own, own);
    assert.deepEqual(found, {
      accuracyDifference: 0,
      accuracyDifferenceStandardError: 0,
      aboveChanceRatio: 1,
      aboveChanceRatioStandardError: 0,
      aboveChanceObstacle: null,
    });
  });

  it("is not told of a model that is held against one no better than guessing by two errors", () => {
    const parent = { accuracy: 0.305, accuracyStandardError: 0.033, chanceAccuracy: 0.25 };
    const found = accuracyKept({ accuracy: 0.29, accuracyStandardError: 0.032, chanceAccuracy: 0.25 }, parent);
    assert.deepEqual([found.aboveChanceRatio, found.aboveChanceRatioStandardError], [null, null]);
    assert.match(found.aboveChanceObstacle ?? "", /answers 30\.5% ± 3\.3%, and guessing 25\.0%/);
    assert.ok(Math.abs((found.accuracyDifference ?? 0) + 0.015) < 1e-12);
    const better = accuracyKept({ accuracy: 0.29, accuracyStandardError: 0.032, chanceAccuracy: 0.25 }, { ...parent, accuracy: 0.317 });
    assert.ok(Math.abs((better.aboveChanceRatio ?? 0) - 0.04 / 0.067) < 1e-12);
    assert.match(
      accuracyKept({ ...parent, accuracy: 1 }, { ...parent, accuracyStandardError: null }).aboveChanceObstacle ?? "",
      /one item/,
    );
  });

  it("writes which items were right as bits", () => {
    assert.deepEqual([...Buffer.from(bitsOf([1, 0, 0, 0, 0, 0, 0, 0, 0, 1]), "base64")], [1, 2]);
    assert.equal(bitsOf([]), "");
  });
});
