import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { squaredNorms } from "../../src/autodiff/ghost.ts";
import { EspalierError } from "../../src/errors.ts";
import * as attr from "../../src/onnx/attributes.ts";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { sizeOf } from "../../src/onnx/ir.ts";
import { randomInteger, seededRandom } from "../../src/random.ts";
import type { TensorValue } from "../../src/runtime/session.ts";
import { evaluate, floats } from "../support/finite-differences.ts";
import { everyWay, squaresAlong, wholes } from "../support/norms.ts";

const P = 3;
const seed = 11;
const random = seededRandom(seed);
const drawn = (dims: readonly number[]) =>
  floats(
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => 2 * random() - 1),
  );

/** Sum of squares of `X^T dY` of pair p, in float64. */
function reference(x: Float32Array, dy: Float32Array, n: number, i: number, o: number, p: number): number {
  let total = 0;
  for (let a = 0; a < i; a++)
    for (let c = 0; c < o; c++) {
      let g = 0;
      for (let t = p * n; t < (p + 1) * n; t++) g += (x[t * i + a] as number) * (dy[t * o + c] as number);
      total += g * g;
    }
  return total;
}

const close = (actual: ArrayLike<number>, expected: readonly number[], what: string, slices = false) => {
  assert.equal(actual.length, expected.length, what);
  // Small slices of a gradient are as exact as the large ones that they lie among.
  const scale = slices ? Math.max(...expected) : 0;
  expected.forEach((e, i) => {
    assert.ok(
      e > 0 && Math.abs((actual[i] as number) - e) <= 1e-5 * Math.max(e, scale),
      `${what}[${i}]: ${actual[i]} against ${e} (seed ${seed})`,
    );
  });
};

describe("ghost norms", () => {
  for (const [tokens, inside, outside, way] of [
    [2, 24, 16, "gram matrices"],
    [32, 6, 8, "X^T dY"],
    [150, 130, 140, "X^T dY"],
    [40, 300, 310, "gram matrices"],
  ] as const)
    it(`of a ${inside} x ${outside} matrix over ${tokens} tokens are those of X^T dY in float64, by ${way}`, async () => {
      const b = GraphBuilder.empty();
      const x = b.input("x", "float32", [2 * P, tokens, inside]);
      const w = b.input("w", "float32", [inside, outside]);
      const y = b.matMul(x, w);
      const dy = b.input("dy", "float32", y.shape);
      const { uses } = backward(b, new Map([[y.name, dy]]), ["w"]);
      const before = b.nodes.length;
      const [norms] = squaredNorms(b, { samples: P, views: 2 }, uses, wholes(["w"])) as [Value];
      const grams = b.nodes.slice(before).filter((n) => n.opType === "MatMul").length;
      assert.equal(grams, way === "gram matrices" ? 2 : 1);

      const feeds = { x: drawn(x.shape), w: drawn(w.shape), dy: drawn(dy.shape) };
      const [actual] = await evaluate(b.build([norms]), feeds);
      const n = 2 * tokens;
      close(
        actual as Float32Array,
        [...Array(P).keys()].map((p) => reference(feeds.x.data, feeds.dy.data, n, inside, outside, p)),
        "norms",
      );
    });

  it("share the gram matrix of an input that several matrices read", () => {
    const b = GraphBuilder.empty();
    const x = b.input("x", "float32", [2 * P, 2, 24]);
    const ws = ["q", "k", "v"].map((name) => b.input(name, "float32", [24, 16]));
    const y = ws.map((w) => b.matMul(x, w)).reduce(b.add);
    const { uses } = backward(b, new Map([[y.name, b.input("dy", "float32", y.shape)]]), ["q", "k", "v"]);
    const before = b.nodes.length;
    squaredNorms(b, { samples: P, views: 2 }, uses, wholes(["q", "k", "v"]));
    const ofX = b.nodes.slice(before).filter((n) => n.opType === "MatMul");
    assert.equal(ofX.length, 1 + 1, "one gram matrix of x, one of dy, which the three share as well");
  });

  /** A net in which parameters are met in every way there is: looked up, multiplied, added, transposed, and more than once. */
  function net(tokens: number) {
    const [V, H, F] = [9, 6, 10];
    const b = GraphBuilder.empty();
    const ids = b.input("ids", "int64", [2 * P, tokens]);
    const shapes = {
      embedding: [V, H],
      scale: [H],
      matrix: [H, H],
      bias: [1, H],
      up: [F, H],
      upBias: [F],
      down: [F, H],
      perToken: [tokens, H],
      left: [H, tokens],
      toTokens: [H, V],
      single: [],
      mixed: [H, H],
    };
    const p = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, b.input(name, "float32", shape)])) as Record<
      keyof typeof shapes,
      Value
    >;
    let x = b.add(b.gather(p.embedding, ids), p.perToken);
    x = b.mul(b.tanh(x), p.scale);
    x = b.add(b.matMul(x, p.matrix), x);
    x = b.add(b.tanh(b.matMul(x, p.matrix)), p.bias);
    const flat = b.reshape(x, [2 * P * tokens, H]);
    const up = b.op("Gemm", [flat, p.up, p.upBias], [2 * P * tokens, F], { transB: attr.int(1), alpha: attr.float(0.5) });
    x = b.add(x, b.reshape(b.op("Gemm", [b.sigmoid(up), p.down], [2 * P * tokens, H]), x.shape));
    x = b.add(x, b.matMul(b.tanh(b.matMul(x, p.toTokens)), p.embedding));
    x = b.tanh(b.matMul(p.left, x));
    return { b, ids, p, shapes, y: b.mul(b.add(b.matMul(x, p.mixed), b.mul(x, p.mixed)), p.single) };
  }

  for (const tokens of [2, 9])
    it(`of parameters met in every way are those of each pair's own gradient, ${tokens} tokens`, async () => {
      const { b, ids, p, y, shapes } = net(tokens);
      const names = Object.keys(p);
      const dy = b.input("dy", "float32", y.shape);
      const { uses } = backward(b, new Map([[y.name, dy]]), names);
      const requests = names.flatMap((name) => everyWay(name, shapes[name as keyof typeof shapes].length));
      const norms = squaredNorms(b, { samples: P, views: 2 }, uses, requests);

      const feeds: Record<string, TensorValue> = Object.fromEntries([...Object.values(p), dy].map((v) => [v.name, drawn(v.shape)]));
      feeds[ids.name] = {
        dataType: "int64",
        dims: ids.shape,
        data: BigInt64Array.from({ length: sizeOf(ids.shape) }, () => BigInt(randomInteger(random, 9))),
      };
      const actual = await evaluate(b.build(norms), feeds);

      const plain = b.build(names.map((name) => gradientOf(b, p[name as keyof typeof p], uses.get(name)) as Value));
      const own = requests.map((): number[] => []);
      for (let pair = 0; pair < P; pair++) {
        const size = sizeOf(dy.shape) / P;
        const alone = (feeds["dy"] as TensorValue<Float32Array>).data.map((v, i) => (Math.floor(i / size) === pair ? v : 0));
        const gradients = await evaluate(plain, { ...feeds, dy: floats(dy.shape, alone) });
        for (const [i, { parameter, axis }] of requests.entries()) {
          const gradient = gradients[names.indexOf(parameter)] as Float32Array;
          own[i]?.push(...squaresAlong(gradient, shapes[parameter as keyof typeof shapes], axis));
        }
      }
      for (const [i, { parameter, axis }] of requests.entries())
        close(actual[i] as Float32Array, own[i] as number[], `${parameter}, axis ${axis}`, axis !== null);
    });

  it("are refused where a parameter does not meet the batch, or the batch does not lead", () => {
    const b = GraphBuilder.empty();
    const x = b.input("x", "float32", [2 * P, 2, 4]);
    const w = b.input("w", "float32", [4, 4]);
    const y = b.matMul(x, b.op("Tanh", [w], w.shape));
    const { uses } = backward(b, new Map([[y.name, b.input("dy", "float32", y.shape)]]), ["w"]);
    const code = (expected: string) => (e: unknown) => e instanceof EspalierError && e.code === expected;
    assert.throws(() => squaredNorms(b, { samples: P, views: 2 }, uses, wholes(["w"])), code("UNSUPPORTED_PARAMETER_USE"));

    const c = GraphBuilder.empty();
    const z = c.matMul(c.input("x", "float32", [2, 2 * P, 4]), c.input("w", "float32", [4, 4]));
    const { uses: other } = backward(c, new Map([[z.name, c.input("dy", "float32", z.shape)]]), ["w"]);
    assert.throws(() => squaredNorms(c, { samples: P, views: 2 }, other, wholes(["w"])), code("UNSUPPORTED_LAYOUT"));

    // A table whose rows are matrices: what is looked up is no row of the batch.
    const d = GraphBuilder.empty();
    const looked = d.gather(d.input("w", "float32", [9, 2, 4]), d.input("ids", "int64", [2 * P, 3]));
    const { uses: tables } = backward(d, new Map([[looked.name, d.input("dy", "float32", looked.shape)]]), ["w"]);
    assert.throws(() => squaredNorms(d, { samples: P, views: 2 }, tables, wholes(["w"])), code("UNSUPPORTED_PARAMETER_USE"));
  });
});
