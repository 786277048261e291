import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { squaredNorms } from "../../src/autodiff/ghost.ts";
import { gradientObstacle } from "../../src/autodiff/gradient-obstacle.ts";
import { buildScoreGraph } from "../../src/autodiff/score-graph.ts";
import { decode } from "../../src/onnx/decode.ts";
import { type Model, type Node, operatorKey } from "../../src/onnx/ir.ts";
import { canonical } from "../../src/onnx/passes/canonical.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { elementwise, freezesAll } from "../../src/operators/axis-rules.ts";
import type { Operator } from "../../src/operators/operator.ts";
import { families, operators } from "../../src/operators/operators.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { servingGraph } from "../../src/serving-graph/serving-graph.ts";
import { bindingOf } from "../../src/signature/binding.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide } from "../../src/structures/divide.ts";
import { ahabFolder } from "../support/ahab.ts";
import { fixtures } from "../support/fixtures.ts";

/** Models that hold their weights inline. */
const read = tensorReader(".");
const load = (path: string): Model => canonical(decode(readFileSync(path))).model;
const llama = () => load(join(fixtures.find((f) => f.name === "optimum/llama")?.folder as string, "model.onnx"));
const withNodes = (model: Model, change: (node: Node) => Node): Model => ({
  ...model,
  graph: { ...model.graph, nodes: model.graph.nodes.map(change) },
});

async function structuresOf(model: Model) {
  const { anatomy, parameters, structures } = discover(model, read);
  const { groups } = await divide(model, anatomy, parameters);
  return [...structures, ...groups].map(({ kind, index, count, layer, parameters, parameterCount }) => ({
    ...{ kind, index, count, layer, parameters, parameterCount },
  }));
}

async function scoreGraphOf(model: Model) {
  const { anatomy, parameters } = discover(model, read);
  const names = [...parameters.keys()];
  const typed = await specialise(model, bindingOf(model, 2, 8, names), [anatomy.logits]);
  const requests = names.map((parameter) => ({ parameter, axis: null }));
  return buildScoreGraph(typed, anatomy.logits, requests, squaredNorms, 2);
}

/** Operators of which a part is left unsaid on purpose. */
const deliberate = {
  /** A fixture holds them, and nothing of them is known: each token is sent to a few experts. */
  unknown: [] as string[],
  /** Gradients pass, but no axis that they touch is followed. */
  axesFrozen: ["NonZero", "com.microsoft::EmbedLayerNormalization"],
  /** Axes pass, but no gradient: the slope of a remainder is not asked for. */
  noGradient: ["Mod"],
};

describe("the table of operators", () => {
  it("has each operator in one family", () => {
    const names = Object.values(families).flatMap((family) => Object.keys(family));
    assert.deepEqual([...new Set(names)].length, names.length);
    assert.equal(operators.size, names.length);
  });

  it("knows every operator of every fixture", () => {
    const used = new Set(fixtures.flatMap(({ folder }) => load(join(folder, "model.onnx")).graph.nodes.map(operatorKey)));
    const unknown = [...used].filter((operator) => !operators.has(operator));
    assert.deepEqual(unknown.sort(), deliberate.unknown);
  });

  it("leaves nothing unsaid but what is so on purpose", () => {
    const where = (of: (o: Operator) => boolean) => [...operators].flatMap(([name, o]) => (of(o) ? [name] : [])).sort();
    assert.deepEqual(
      where((o) => o.gradient !== "unknown" && o.axes === freezesAll),
      deliberate.axesFrozen,
    );
    assert.deepEqual(
      where((o) => o.gradient === "unknown" && o.axes !== freezesAll),
      deliberate.noGradient,
    );
    assert.deepEqual(
      where((o) => o.axes === elementwise && !o.tokenWise),
      [],
    );
    // What must be told new sizes is read as a shape.
    assert.deepEqual(
      where((o) => o.shapesAfter !== undefined && o.shapeOperands === undefined),
      [],
    );
  });

  it("is all there is to write of a new operator", async () => {
    // An activation that ONNX Runtime runs, taken out of the table.
    const table = operators as Map<string, Operator>;
    const known = table.get("Softsign");
    table.delete("Softsign");
    const model = withNodes(llama(), (n) => (n.opType === "Sigmoid" ? { ...n, opType: "Softsign" } : n));
    const [logits] = model.graph.outputs;
    assert.ok(logits);
    assert.equal(gradientObstacle(model.graph, logits.name)?.code, "UNSUPPORTED_OPERATORS");
    await assert.rejects(servingGraph(model, ".", 32), { code: "CANNOT_REWRITE" });
    const channels = async () => (await structuresOf(model)).filter((s) => s.kind === "CHANNEL").length;
    assert.equal(await channels(), 0);

    /** x / (1 + |x|), whose slope is 1 / (1 + |x|)^2. */
    const softsign: Operator = {
      gradient: (b, { inputs: [x] }, dy) => {
        const divisor = b.add(b.op("Abs", [x], x.shape), b.scalar(1));
        return [b.div(dy, b.mul(divisor, divisor))];
      },
      axes: elementwise,
      tokenWise: true,
    };
    table.set("Softsign", softsign);
    try {
      assert.equal(gradientObstacle(model.graph, logits.name), null);
      assert.equal(await channels(), 2);
      await scoreGraphOf(model);
      await servingGraph(model, ".", 32);
    } finally {
      table.delete("Softsign");
      if (known) table.set("Softsign", known);
    }
  });

  it("does not take an operator for a property that every object has", () => {
    const model = withNodes(llama(), (n) => (n.opType === "Sigmoid" ? { ...n, opType: "constructor" } : n));
    assert.equal(gradientObstacle(model.graph, "logits")?.code, "UNSUPPORTED_OPERATORS");
  });
});

describe("a residual addition written as a Sum", () => {
  const ahab = load(join(ahabFolder, "onnx", "model.onnx"));
  const folder = join(ahabFolder, "onnx");
  const additions = discover(ahab, tensorReader(folder)).anatomy.places.flatMap((p) => (p.kind === "LAYER" ? p.branches : []));
  const summed = new Set(additions.slice(3, 5).map((b) => b.sum));
  const asSum = withNodes(ahab, (n) => (summed.has(n.outputs[0] as string) ? { ...n, opType: "Sum" } : n));

  it("hides no structure", async () => {
    assert.equal(asSum.graph.nodes.filter((n) => n.opType === "Sum").length, 2);
    const structures = await structuresOf(asSum);
    assert.deepEqual(structures, await structuresOf(ahab));
    assert.equal(structures.filter((s) => s.kind !== "HEAD" && s.kind !== "CHANNEL").length, 36);
  });

  it("is served as any other, in a batch", async () => {
    const [plain, same] = await Promise.all([ahab, asSum].map((model) => servingGraph(model, folder, 64)));
    const operatorsOf = (model: Model | undefined) => model?.graph.nodes.map((n) => (n.opType === "Sum" ? "Add" : n.opType));
    assert.deepEqual(operatorsOf(same?.model), operatorsOf(plain?.model));
  });
});
