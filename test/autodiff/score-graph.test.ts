import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { squaredNorms } from "../../src/autodiff/ghost.ts";
import { signedCrossEntropy } from "../../src/autodiff/loss.ts";
import { buildScoreGraph, type ScoreGraph } from "../../src/autodiff/score-graph.ts";
import { EspalierError } from "../../src/errors.ts";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { decode } from "../../src/onnx/decode.ts";
import { removeDead, replaceUses } from "../../src/onnx/edit.ts";
import type { Model, Tensor, TypedGraph } from "../../src/onnx/ir.ts";
import { float32Of, float32Tensor } from "../../src/onnx/tensors.ts";
import { verify } from "../../src/onnx/verify.ts";
import type { TensorValue } from "../../src/runtime/session.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { bindingOf } from "../../src/signature/binding.ts";
import { evaluate, floats } from "../support/finite-differences.ts";
import { testModels } from "../support/models.ts";
import { answered, everyWay, squaresAlong, wholes } from "../support/norms.ts";

/** Made by scripts/fixtures/gradient_norms.py: a Llama written in PyTorch, differentiated in float64. */
interface Reference {
  readonly pairs: readonly (readonly (readonly number[])[])[];
  readonly losses: readonly (readonly number[])[];
  readonly norms: Readonly<Record<string, readonly number[]>>;
}
const references = JSON.parse(readFileSync(new URL("../fixtures/gradient-norms.json", import.meta.url), "utf8")) as Record<
  string,
  Reference
>;

const fileOf = (name: string): string =>
  join(testModels.find((model) => model.name === name)?.folder ?? assert.fail(name), "onnx", "model.onnx");
const read = (name: string): Model => decode(readFileSync(fileOf(name)));

/** Views padded on the right to a batch: inputs, the tokens that follow them, and signed weights. */
function batchOf(pairs: Reference["pairs"]) {
  const views = pairs.flat();
  const tokens = Math.max(...views.map((v) => v.length)) - 1;
  const padded = (value: (view: readonly number[], t: number, b: number) => number) =>
    views.flatMap((view, b) => Array.from({ length: tokens }, (_, t) => (t < view.length - 1 ? value(view, t, b) : 0)));
  const dims = [views.length, tokens];
  const integers = (values: number[]): TensorValue => ({ dataType: "int64", dims, data: BigInt64Array.from(values, BigInt) });
  return {
    batch: views.length,
    tokens,
    ids: integers(padded((view, t) => view[t] as number)),
    targets: integers(padded((view, t) => view[t + 1] as number)),
    weights: floats(
      dims,
      padded((view, _, b) => (b % 2 === 0 ? 1 : -1) / (view.length - 1)),
    ),
  };
}

/** The largest relative error, and where it is. */
function worst(actual: ArrayLike<number>, expected: readonly number[], names: readonly string[]) {
  assert.equal(actual.length, expected.length);
  return expected
    .map((e, i) => ({ error: Math.abs((actual[i] as number) - e) / e, what: names[Math.floor((i * names.length) / expected.length)] }))
    .reduce((a, b) => (b.error > a.error ? b : a));
}

async function checkAgainst({ pairs, losses, norms }: Reference, typed: TypedGraph, more: Record<string, TensorValue> = {}) {
  const { ids, targets, weights } = batchOf(pairs);
  const names = Object.keys(norms);
  const score = buildScoreGraph(typed, "logits", wholes(names), squaredNorms, 2);
  verify({ irVersion: 8, opsets: typed.opsets, producerName: "", producerVersion: "", metadata: {}, graph: score.graph.graph });
  assert.deepEqual(
    score.graph.graph.outputs.map((o) => [o.name, o.shape]),
    [
      [score.losses, [2 * pairs.length]],
      [score.answers, [pairs.length, names.length + 1]],
    ],
  );
  const feeds = { input_ids: ids, [score.targets]: targets, [score.weights]: weights, ...more };
  const [l, squares] = (await evaluate(score.graph, feeds)) as [Float32Array, Float32Array];
  const loss = worst(l, losses.flat(), ["loss"]);
  assert.ok(loss.error < 1e-5, `loss is off by ${loss.error}`);
  const norm = worst(
    names.flatMap((_, i) => pairs.map((_, p) => Math.sqrt(answered(score, squares, i, p, pairs.length)[0] as number))),
    names.flatMap((n) => norms[n] as number[]),
    names,
  );
  assert.ok(norm.error < 2e-4, `the norm of ${norm.what} is off by ${norm.error}`);
}

describe("score graphs against PyTorch", () => {
  for (const [name, reference] of Object.entries(references)) {
    const skip = existsSync(fileOf(name)) ? false : `${name} is not at hand`;
    const { batch, tokens } = batchOf(reference.pairs);
    const parameters = Object.keys(reference.norms);

    it(`${name}: losses, and norms of grad L(s) - grad L(s~) by every parameter`, { skip }, async () => {
      const model = read(name);
      await checkAgainst(reference, await specialise(model, bindingOf(model, batch, tokens, parameters), ["logits"]));
    });

    it(`${name}: the same with its empty cache, mask and positions as inputs`, { skip }, async () => {
      const model = read(name);
      const { constants } = bindingOf(model, batch, tokens, parameters);
      const shapes = Object.fromEntries([["input_ids", [batch, tokens]], ...constants.map((t) => [t.name, t.dims])]);
      const typed = await specialise(model, { shapes, constants: [], parameters }, ["logits"]);
      await checkAgainst(reference, typed, Object.fromEntries(constants.map((t) => [t.name, fed(t)])));
    });
  }
});

function fed(t: Tensor): TensorValue {
  if (t.data.kind !== "inline") throw new Error("external");
  const bytes = t.data.bytes.slice().buffer;
  return { dataType: t.dataType, dims: t.dims, data: t.dataType === "int64" ? new BigInt64Array(bytes) : new Float32Array(bytes) };
}

describe("gradients of ahab", () => {
  const model = read("ahab");
  const reference = references["ahab"] as Reference;
  const parameters = Object.keys(reference.norms);
  const { batch, tokens, ids, targets, weights } = batchOf(reference.pairs.slice(0, 1));

  /** `L(s) - L(s~)`, summed in float64 from the logits of a forward pass. */
  async function lossDifference(typed: TypedGraph): Promise<number> {
    const [logits] = (await evaluate(typed, { input_ids: ids })) as [Float32Array];
    const width = logits.length / (batch * tokens);
    let total = 0;
    for (let i = 0; i < batch * tokens; i++) {
      const z = logits.subarray(i * width, (i + 1) * width);
      const logSum = Math.log(z.reduce((sum, x) => sum + Math.exp(x), 0));
      total += (weights.data[i] as number) * (logSum - (z[Number(targets.data[i])] as number));
    }
    return total;
  }

  it("are the slope of the loss along themselves, one parameter at a time and all together", async () => {
    const typed = await specialise(model, bindingOf(model, batch, tokens, parameters), ["logits"]);
    const b = new GraphBuilder(typed, "gradient");
    const inputs = [b.input("targets", "int64", targets.dims), b.input("weights", "float32", weights.dims)] as const;
    const { dLogits } = signedCrossEntropy(b, b.value("logits"), ...inputs);
    const { uses } = backward(b, new Map([["logits", dLogits]]), parameters);
    const outputs = b.build(parameters.map((name) => gradientOf(b, b.value(name), uses.get(name)) as Value));
    const gradients = await evaluate({ ...outputs, graph: removeDead(outputs.graph) }, { input_ids: ids, targets, weights });

    const moved = (step: number, only: ReadonlySet<string>): TypedGraph => {
      const initializers = new Map(typed.graph.initializers);
      parameters.forEach((name, i) => {
        if (!only.has(name)) return;
        const weight = typed.graph.initializers.get(name) as Tensor;
        const data = float32Of(weight).map((w, j) => w + step * ((gradients[i] as Float32Array)[j] as number));
        initializers.set(name, float32Tensor(name, weight.dims, data));
      });
      return { ...typed, graph: { ...typed.graph, initializers } };
    };
    const some = parameters.filter((_, i) => i % 12 === 0);
    for (const only of [...some.map((name) => [name]), parameters]) {
      const square = only.reduce((sum, name) => {
        return sum + (gradients[parameters.indexOf(name)] as Float32Array).reduce((s, g) => s + g * g, 0);
      }, 0);
      // A step that moves the loss by about 0.02: well above float32 noise, well below the curvature.
      const step = 0.01 / square;
      const slope = ((await lossDifference(moved(step, new Set(only)))) - (await lossDifference(moved(-step, new Set(only))))) / (2 * step);
      assert.ok(Math.abs(slope - square) < 0.01 * square, `${only.length > 1 ? "all" : only}: slope ${slope}, squared norm ${square}`);
    }
  });

  it("are asked for in any order and number: columns follow the request, and what plays no part has none", async () => {
    const typed = await specialise(model, bindingOf(model, batch, tokens, parameters), ["logits"]);
    const unused = { ...typed, graph: { ...typed.graph, initializers: new Map(typed.graph.initializers) }, types: new Map(typed.types) };
    unused.graph.initializers.set("idle", float32Tensor("idle", [2], [1, 2]));
    unused.types.set("idle", { dataType: "float32", shape: [2] });
    const some = [parameters[5], "idle", parameters[60], parameters[1]] as string[];
    const score = buildScoreGraph(unused, "logits", wholes(some), squaredNorms, 2);
    const [, squares] = (await evaluate(score.graph, { input_ids: ids, [score.targets]: targets, [score.weights]: weights })) as [
      Float32Array,
      Float32Array,
    ];
    for (const [i, name] of some.entries()) {
      const own = answered(score, squares, i, 0, 1).map(Math.sqrt);
      if (name === "idle") assert.equal(own.length, 0);
      else assert.ok(worst(own, [reference.norms[name]?.[0] as number], [name]).error < 2e-4, name);
    }
  });

  it("have slices, along every axis of every parameter, whose norms are those of the plain gradient", async () => {
    const typed = await specialise(model, bindingOf(model, batch, tokens, parameters), ["logits"]);
    const shapes = new Map(parameters.map((name) => [name, typed.types.get(name)?.shape ?? []]));
    const requests = parameters.flatMap((name) => everyWay(name, shapes.get(name)?.length ?? 0));
    const score = buildScoreGraph(typed, "logits", requests, squaredNorms, 2);
    const [, squares] = (await evaluate(score.graph, { input_ids: ids, [score.targets]: targets, [score.weights]: weights })) as [
      Float32Array,
      Float32Array,
    ];
    const b = new GraphBuilder(typed, "gradient");
    const inputs = [b.input("targets", "int64", targets.dims), b.input("weights", "float32", weights.dims)] as const;
    const { dLogits } = signedCrossEntropy(b, b.value("logits"), ...inputs);
    const { uses } = backward(b, new Map([["logits", dLogits]]), parameters);
    const outputs = b.build(parameters.map((name) => gradientOf(b, b.value(name), uses.get(name)) as Value));
    const gradients = await evaluate({ ...outputs, graph: removeDead(outputs.graph) }, { input_ids: ids, targets, weights });
    for (const [i, { parameter, axis }] of requests.entries()) {
      const gradient = gradients[parameters.indexOf(parameter)] as Float32Array;
      const expected = squaresAlong(gradient, shapes.get(parameter) ?? [], axis);
      const largest = Math.max(...expected);
      const actual = answered(score, squares, i, 0, 1);
      assert.equal(actual.length, expected.length);
      for (const [at, e] of expected.entries())
        assert.ok(Math.abs((actual[at] as number) - e) < 1e-4 * largest, `${parameter}, axis ${axis}, ${at}: ${actual[at]}, not ${e}`);
    }
  });

  it("are the same by a weight stored the other way round, which the graph transposes before use", async () => {
    const typed = await specialise(model, bindingOf(model, batch, tokens, parameters), ["logits"]);
    const name = parameters[3] as string;
    const { dims } = typed.graph.initializers.get(name) as Tensor;
    const [rows, columns] = dims as [number, number];
    const data = float32Of(typed.graph.initializers.get(name) as Tensor);
    const turned = float32Tensor(
      name,
      [columns, rows],
      data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)] as number),
    );
    const transpose = { name: "turn", opType: "Transpose", domain: "", inputs: [name], outputs: ["turned"], attributes: {} };
    const graph = {
      ...typed.graph,
      initializers: new Map([...typed.graph.initializers, [name, turned]]),
      nodes: [transpose, ...replaceUses(typed.graph, new Map([[name, "turned"]])).nodes],
    };
    const types = new Map([
      ...typed.types,
      [name, { dataType: "float32", shape: turned.dims }],
      ["turned", { dataType: "float32", shape: dims }],
    ] as const);
    const feedsOf = (s: ScoreGraph) => ({ input_ids: ids, [s.targets]: targets, [s.weights]: weights });
    const stored = buildScoreGraph({ ...typed, graph, types }, "logits", everyWay(name, 2), squaredNorms, 2);
    const straight = buildScoreGraph(typed, "logits", everyWay(name, 2), squaredNorms, 2);
    const [, squares] = (await evaluate(stored.graph, feedsOf(stored))) as [Float32Array, Float32Array];
    const [, expected] = (await evaluate(straight.graph, feedsOf(straight))) as [Float32Array, Float32Array];
    const { error } = worst(answered(stored, squares, 0, 0, 1).map(Math.sqrt), [reference.norms[name]?.[0] as number], [name]);
    assert.ok(error < 2e-4, `off by ${error}`);
    // Its rows are the other's columns.
    for (const [axis, other] of [
      [1, 2],
      [2, 1],
    ] as const)
      assert.ok(worst(answered(stored, squares, axis, 0, 1), [...answered(straight, expected, other, 0, 1)], [name]).error < 1e-4);
  });

  it("are refused, with the node's name, where an operator has no rule", async () => {
    const typed = await specialise(model, bindingOf(model, batch, tokens, parameters), ["logits"]);
    const nodes = typed.graph.nodes.map((n) => (n.opType === "Sigmoid" ? { ...n, domain: "com.example", opType: "Curve" } : n));
    const first = nodes.findLast((n) => n.opType === "Curve")?.name;
    assert.throws(
      () => buildScoreGraph({ ...typed, graph: { ...typed.graph, nodes } }, "logits", wholes(parameters), squaredNorms, 2),
      (e) => e instanceof EspalierError && e.code === "UNSUPPORTED_OPERATOR" && e.details["node"] === first,
    );
  });
});
