import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { signedCrossEntropy } from "../../src/autodiff/loss.ts";
import { GraphBuilder } from "../../src/onnx/builder.ts";
import { type Random, randomInteger, seededRandom } from "../../src/random.ts";
import { evaluate, floats } from "../support/finite-differences.ts";

const [B, T, V] = [4, 5, 7];
const seed = 7;

/** The definition, in float64. */
function reference(logits: ArrayLike<number>, targets: readonly number[], weights: readonly number[]) {
  const losses = new Float64Array(B);
  const dLogits = new Float64Array(B * T * V);
  for (let i = 0; i < B * T; i++) {
    const z = Array.from({ length: V }, (_, v) => logits[i * V + v] as number);
    const top = Math.max(...z);
    const total = z.reduce((sum, x) => sum + Math.exp(x - top), 0);
    const [target, w] = [targets[i] as number, weights[i] as number];
    const b = Math.floor(i / T);
    losses[b] = (losses[b] as number) + Math.abs(w) * (Math.log(total) + top - (z[target] as number));
    for (let v = 0; v < V; v++) dLogits[i * V + v] = w * (Math.exp((z[v] as number) - top) / total - (v === target ? 1 : 0));
  }
  return { losses, dLogits };
}

async function run(logits: Float32Array, targets: readonly number[], weights: Float32Array) {
  const b = GraphBuilder.empty();
  const inputs = [b.input("z", "float32", [B, T, V]), b.input("targets", "int64", [B, T]), b.input("weights", "float32", [B, T])] as const;
  const { losses, dLogits } = signedCrossEntropy(b, ...inputs);
  const [l, dz] = await evaluate(b.build([losses, dLogits]), {
    z: floats([B, T, V], logits),
    targets: { dataType: "int64", dims: [B, T], data: BigInt64Array.from(targets, BigInt) },
    weights: floats([B, T], weights),
  });
  return { losses: l as Float32Array, dLogits: dz as Float32Array };
}

/** Two pairs of views: signs alternate, and the second view of each is padded by two tokens. */
const weightsOf = (): Float32Array =>
  Float32Array.from({ length: B * T }, (_, i) => {
    const [b, t] = [Math.floor(i / T), i % T];
    if (b % 2 === 0) return 1 / T;
    return t < T - 2 ? -1 / (T - 2) : 0;
  });

const close = (a: ArrayLike<number>, b: ArrayLike<number>, tolerance: number) => {
  assert.equal(a.length, b.length);
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    assert.ok(Math.abs(x - y) <= tolerance * Math.max(1, Math.abs(y)), `[${i}]: ${x} against ${y} (seed ${seed})`);
  }
};

const draw = (random: Random, scale: number) => Float32Array.from({ length: B * T * V }, () => scale * (2 * random() - 1));

describe("signed cross-entropy", () => {
  const random = seededRandom(seed);
  const targets = Array.from({ length: B * T }, () => randomInteger(random, V));
  const weights = weightsOf();

  it("gives each view's loss and the signed gradient", async () => {
    const logits = draw(random, 3);
    const expected = reference(logits, targets, [...weights]);
    const { losses, dLogits } = await run(logits, targets, weights);
    close(losses, expected.losses, 1e-6);
    close(dLogits, expected.dLogits, 1e-6);
  });

  it("stays exact where exponentials overflow and probabilities vanish", async () => {
    const logits = draw(random, 3000);
    const expected = reference(logits, targets, [...weights]);
    assert.ok(expected.losses.some((l) => l > 500));
    const { losses, dLogits } = await run(logits, targets, weights);
    close(losses, expected.losses, 1e-5);
    close(dLogits, expected.dLogits, 1e-6);
  });

  it("gives padding no say", async () => {
    const logits = draw(random, 3);
    const other = logits.slice();
    const elsewhere = [...targets];
    for (let i = 0; i < B * T; i++)
      if (weights[i] === 0) {
        elsewhere[i] = ((targets[i] as number) + 1) % V;
        other.fill(50, i * V, i * V + 3);
      }
    const [a, b] = [await run(logits, targets, weights), await run(other, elsewhere, weights)];
    assert.deepEqual(a.losses, b.losses);
    assert.deepEqual(a.dLogits.map(Math.abs), b.dLogits.map(Math.abs));
  });
});
