import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { materialise } from "../../src/artifacts/model-files.ts";
import { inspect } from "../../src/models/inspect.ts";
import type { InspectedModel } from "../../src/models/types.ts";
import * as attr from "../../src/onnx/attributes.ts";
import { replaceUses } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Graph, Model, Node, Tensor } from "../../src/onnx/ir.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Tensor, int64Tensor } from "../../src/onnx/tensors.ts";
import { discover } from "../../src/structures/discover.ts";
import { ahabFolder } from "../support/ahab.ts";
import { fixtures } from "../support/fixtures.ts";
import { readModel } from "../support/models.ts";
import { generates, steps, supportOf } from "../support/support.ts";

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "espalier-unusual-"));
});
after(() => rm(root, { recursive: true, force: true }));

/** Registers a changed ahab. */
async function registered(name: string, change: (graph: Graph) => Graph): Promise<InspectedModel & { readonly folder: string }> {
  const model = readModel(ahabFolder);
  await mkdir(join(root, name));
  await cp(join(ahabFolder, "config.json"), join(root, name, "config.json"));
  await writeFile(join(root, name, "model.onnx"), encode({ ...model, graph: change(model.graph) }));
  const dataDirectory = join(root, "data");
  const found = await inspect({ dataDirectory, modelRoot: root, path: name });
  return { ...found, folder: await materialise({ dataDirectory, ...found }) };
}

const whole = 1_415_520;
const layer = 101_568;

/** The weights of each layer, those of the same place in the same order. */
const byLayer = (model: Model): (readonly string[])[] =>
  discover(model, tensorReader("."))
    .structures.filter((s) => s.kind === "LAYER")
    .map((s) => s.parameters);

describe("layers that share their weights", () => {
  /** Layers that read the first's weights in place of their own. */
  const sharing = (layers: readonly number[]) => (graph: Graph) => {
    const own = byLayer({ ...readModel(ahabFolder), graph });
    const alias = new Map(layers.flatMap((l) => (own[l] ?? []).map((name, i) => [name, own[0]?.[i] as string])));
    const initializers = new Map([...graph.initializers].filter(([name]) => !alias.has(name)));
    return replaceUses({ ...graph, initializers }, alias);
  };

  it("are no structures, where that is all of them: the model serves, and says why it is not pruned", async () => {
    const found = await registered("one", sharing([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
    assert.deepEqual([found.architecture.layers, found.parameterCount, found.structures], [12, whole - 11 * layer, []]);
    assert.equal(found.pruningObstacle?.code, "NO_STRUCTURES");
    assert.match(found.pruningObstacle.message, /served but not pruned.*LAYER: it shares all its weights with others/);
    await generates(found.folder, [1, 300, 17, 44], 4);
  });

  it("are no structures beside others that are", async () => {
    const found = await registered("some", sharing([3, 4]));
    assert.equal(found.pruningObstacle, null);
    const layersOf = (kind: string) => found.structures.filter((s) => s.kind === kind).map((s) => s.layer);
    for (const kind of ["LAYER", "ATTENTION", "MLP", "HEAD", "CHANNEL"])
      assert.deepEqual(layersOf(kind), [1, 2, 5, 6, 7, 8, 9, 10, 11], kind);
    assert.ok(found.structures.every((s) => s.parameterCount > 0));
  });
});

describe("layers that are equal", () => {
  it("count each, for each has weights of its own", async () => {
    const doubled = (graph: Graph): Graph => {
      const [first = [], second = []] = byLayer({ ...readModel(ahabFolder), graph });
      const copies = second.map((name, i): [string, Tensor] => [name, { ...(graph.initializers.get(first[i] as string) as Tensor), name }]);
      return { ...graph, initializers: new Map([...graph.initializers, ...copies]) };
    };
    const found = await registered("doubled", doubled);
    assert.equal(found.parameterCount, whole);
    const counts = found.structures.filter((s) => s.kind === "LAYER").map((s) => s.parameterCount);
    assert.deepEqual(counts, Array(12).fill(layer));
  });
});

describe("an embedding narrower than the residual stream", () => {
  it("is projected into it, as in OPT-350m: the hidden size is the residual stream's, and all goes the whole way", async () => {
    const fixture = fixtures.find((f) => f.name === "optimum/opt");
    assert.ok(fixture);
    const { model, expected } = fixture.read();
    const { graph } = model;
    const [hidden, narrow] = [expected.hiddenSize, 16];
    const random = (name: string, dims: readonly number[]): Tensor =>
      float32Tensor(
        name,
        dims,
        Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => 0.3 * Math.sin(7 * i + 3 * dims.length + name.length)),
      );
    const table = "model.decoder.embed_tokens.weight";
    const weights = [
      random(table, [expected.vocabularySize, narrow]),
      random("project_in", [narrow, hidden]),
      random("project_out", [hidden, narrow]),
    ];
    const product = (name: string, inputs: readonly string[], output: string): Node => ({
      name,
      opType: "MatMul",
      domain: "",
      inputs,
      outputs: [output],
      attributes: {},
    });
    const nodes = graph.nodes.flatMap((n): Node[] => {
      if (n.opType === "Gather" && n.inputs[0] === table) {
        const [output = ""] = n.outputs;
        return [{ ...n, outputs: ["narrow"] }, product("project_in", ["narrow", "project_in"], output)];
      }
      if (n.outputs[0] !== "logits") return [n];
      const [x = "", head = ""] = n.inputs;
      return [product("project_out", [x, "project_out"], "projected"), { ...n, inputs: ["projected", head] }];
    });
    const initializers = new Map([...graph.initializers, ...weights.map((t): [string, Tensor] => [t.name, t])]);
    const changed = { ...model, graph: { ...graph, nodes, initializers, valueInfo: [] } };
    const folder = join(root, "opt");
    await mkdir(folder);
    await cp(join(fixture.folder, "config.json"), join(folder, "config.json"));
    await writeFile(join(folder, "model.onnx"), encode(changed));
    const support = await supportOf({ name: "opt", folder, read: () => ({ model: changed, expected }) }, 7);
    assert.deepEqual(support, Object.fromEntries(steps.map((step) => [step, "yes"])));
  });
});

describe("a graph whose sizes depend on the text", () => {
  it("serves, and is not taken for one that can be pruned", async () => {
    /** All tokens, found by looking which are ids at all, and laid out again: the text as it was. */
    const found = await registered("sized", (graph) => {
      const [first] = graph.nodes as [Node];
      const node = (opType: string, inputs: string[], outputs: string[], attributes: Node["attributes"] = {}): Node => ({
        name: outputs[0] as string,
        opType,
        domain: "",
        inputs,
        outputs,
        attributes,
      });
      const [output = ""] = first.outputs;
      const detour = [
        { ...first, outputs: ["looked-up"] },
        node("Greater", ["input_ids", "below"], ["are"]),
        node("NonZero", ["are"], ["places"]),
        node("Transpose", ["places"], ["rows"], { perm: attr.ints([1, 0]) }),
        node("GatherND", ["looked-up", "rows"], ["all"]),
        node("Shape", ["looked-up"], ["as"]),
        node("Reshape", ["all", "as"], [output]),
      ];
      const initializers = new Map([...graph.initializers, ["below", int64Tensor("below", [], [-1])]] as [string, Tensor][]);
      return { ...graph, initializers, nodes: [...detour, ...graph.nodes.slice(1)] };
    });
    assert.equal(found.pruningObstacle?.code, "DYNAMIC_SHAPE");
    assert.match(found.pruningObstacle.message, /served but not pruned: the shape of "places" depends on the data/);
    assert.deepEqual(found.structures, []);
    await generates(found.folder, [1, 300, 17, 44], 4);
  });
});
