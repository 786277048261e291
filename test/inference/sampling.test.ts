import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Sampler, type SamplerOptions } from "../../src/inference/sampler.ts";
import { type SamplingOptions, sample } from "../../src/inference/sampling.ts";
import { seededRandom } from "../../src/random.ts";

const all = { temperature: 1, topK: 0, topP: 1 };
const logits = Float32Array.from([2, -1, 0.5, 3, 3, -20, 1, 0]);

/** Probabilities worked out the long way round: by the definition, over tokens sorted by probability. */
function expected({ temperature, topK, topP, minP = 0 }: SamplingOptions, from: Iterable<number> = logits): number[] {
  const weights = [...from].map((l) => Math.exp(l / temperature));
  const order = [...weights.keys()].sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const first = topK > 0 ? order.slice(0, topK) : order;
  const mass = first.reduce((sum, i) => sum + (weights[i] as number), 0);
  const kept: number[] = [];
  let reached = 0;
  for (const i of first) {
    if (reached >= topP) break;
    if ((weights[i] as number) >= minP * (weights[order[0] as number] as number)) kept.push(i);
    reached += (weights[i] as number) / mass;
  }
  const total = kept.reduce((sum, i) => sum + (weights[i] as number), 0);
  return weights.map((w, i) => (kept.includes(i) ? w / total : 0));
}

/** @throws AssertionError if drawing each token so many times is none of the things that happen with these probabilities */
function assertShares(counts: readonly number[], probabilities: readonly number[]): void {
  const draws = counts.reduce((a, b) => a + b);
  let chiSquare = 0;
  for (const [i, p] of probabilities.entries()) {
    if (p === 0) assert.equal(counts[i], 0, `token ${i}`);
    else chiSquare += ((counts[i] as number) - draws * p) ** 2 / (draws * p);
  }
  // The 99.99% quantile for 7 degrees of freedom; fewer tokens, fewer degrees.
  assert.ok(chiSquare < 29.9, `${chiSquare}: ${counts}, of ${probabilities}`);
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
    { ...all, minP: 0.05 },
    { ...all, minP: 0.4 },
    { temperature: 2, topK: 5, topP: 0.95, minP: 0.5 },
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
      assertShares(counts, expected(options));
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

describe("a text's next token", () => {
  /** The tokens of a prompt, and those written since. */
  const [prompt, written] = [
    [0, 5, 1],
    [3, 2, 3, 3],
  ];
  const neutral = { repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, logitBias: [] };
  const rows: Omit<SamplerOptions, "seed">[] = [
    { ...all, repetitionPenalty: 1.4 },
    { ...all, repetitionPenalty: 0.7 },
    { ...all, frequencyPenalty: 0.6 },
    { ...all, frequencyPenalty: -0.4 },
    { ...all, presencePenalty: 1.1 },
    {
      ...all,
      logitBias: [
        { tokenId: 4, bias: -100 },
        { tokenId: 5, bias: 19.5 },
      ],
    },
    {
      temperature: 0.8,
      topK: 6,
      topP: 0.97,
      minP: 0.02,
      repetitionPenalty: 1.2,
      frequencyPenalty: 0.3,
      presencePenalty: 0.2,
      logitBias: [{ tokenId: 7, bias: 1.5 }],
    },
  ];
  /** Logits as adjusted by the definitions: CTRL's penalty for all tokens so far, OpenAI's for those written. */
  const adjusted = (options: Partial<SamplerOptions>): number[] => {
    const { repetitionPenalty, frequencyPenalty, presencePenalty, logitBias } = { ...neutral, ...options };
    return [...logits].map((logit, id) => {
      const times = written.filter((w) => w === id).length;
      const penalised = times > 0 || prompt.includes(id) ? (logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty) : logit;
      const bias = logitBias.reduce((sum, b) => sum + (b.tokenId === id ? b.bias : 0), 0);
      return penalised - times * frequencyPenalty - (times > 0 ? presencePenalty : 0) + bias;
    });
  };

  for (const options of rows)
    it(`is drawn by ${JSON.stringify(options)} in the shares that the definitions give, each text by its own seed`, () => {
      const counts = new Array<number>(logits.length).fill(0);
      for (let seed = 0; seed < 10_000; seed++) {
        const sampler = new Sampler({ ...options, seed }, prompt);
        // Logits that leave no choice.
        for (const id of written) assert.equal(sampler.next(Float32Array.from(logits, (_, i) => (i === id ? 150 : -150))), id);
        const id = sampler.next(logits);
        counts[id] = (counts[id] as number) + 1;
      }
      assertShares(counts, expected(options, adjusted(options)));
    });

  it("in a large vocabulary, where most tokens are never looked at, is drawn in the same shares", () => {
    const V = 50_000;
    const random = seededRandom(3, "vocabulary");
    const large = Float32Array.from({ length: V }, () => 4 * (random() - 0.5) - 20);
    const places = [...logits.keys()].map((i) => (i * 7919 + 13) % V);
    for (const [i, place] of places.entries()) large[place] = logits[i] as number;
    // The few stand so far above the rest that both draw the same.
    for (const options of [
      { ...all, topK: 5 },
      { ...all, topP: 0.95 },
      { ...all, topK: 300, topP: 0.9, minP: 0.05 },
    ]) {
      const counts = new Array<number>(logits.length).fill(0);
      for (let n = 0; n < 1000; n++) {
        const i = places.indexOf(sample(large, options, random));
        assert.ok(i >= 0, "one of the few");
        counts[i] = (counts[i] as number) + 1;
      }
      const probabilities = expected(options, large);
      assertShares(
        counts,
        places.map((place) => probabilities[place] as number),
      );
    }
  });
});
