import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { materialise } from "../../src/artifacts/model-files.ts";
import { describe as factsOf } from "../../src/models/describe.ts";
import { exportPruned } from "../../src/models/export.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { changesOf, prunedConfig } from "../../src/models/pruned-config.ts";
import { openStoredModel } from "../../src/models/stored-model.ts";
import * as attr from "../../src/onnx/attributes.ts";
import { decode } from "../../src/onnx/decode.ts";
import { removeDead } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Node } from "../../src/onnx/ir.ts";
import { canonical } from "../../src/onnx/passes/canonical.ts";
import { tensorReader } from "../../src/onnx/read-tensor.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { discover } from "../../src/structures/discover.ts";
import { divide } from "../../src/structures/divide.ts";
import type { StructureId } from "../../src/structures/structure.ts";
import { generates } from "../support/support.ts";

// Mixtures of experts as Optimum exports them go the whole way.
const root = fileURLToPath(new URL("../fixtures/experts/", import.meta.url));
let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-experts-"));
});
after(() => rm(dataDirectory, { recursive: true, force: true }));

/** Parameters as PyTorch counts them (and 3 terms of the router's scores that it keeps as a buffer), and what each layer divides into. */
const families = [
  { name: "qwen3_moe", parameters: 27_344, heads: 4, experts: 6, channels: 120, says: { num_experts: 2, moe_intermediate_size: 18 } },
  {
    name: "deepseek_v3",
    parameters: 34_272 + 3,
    heads: 8,
    experts: 3,
    channels: 124,
    says: { n_routed_experts: 2, moe_intermediate_size: 18 },
  },
  { name: "gpt_oss", parameters: 42_110, heads: 4, experts: 6, channels: 88, says: { num_local_experts: 2, intermediate_size: 42 } },
];

describe("mixtures of experts", () => {
  for (const { name, parameters, says, ...counts } of families)
    it(`go the whole way: ${name}`, async () => {
      const stored = await inspect({ dataDirectory, modelRoot: root, path: name });
      assert.equal(stored.pruningObstacle, null);
      assert.equal(stored.parameterCount, parameters);
      const of = (kind: string) => stored.structures.filter((g) => g.kind === kind);
      const count = (kind: string) => of(kind).reduce((n, g) => n + g.count, 0);
      assert.deepEqual({ heads: count("HEAD"), experts: count("EXPERT"), channels: count("CHANNEL") }, counts);
      const folder = await materialise({ dataDirectory, ...stored });
      await generates(folder, [5, 17, 42, 3], 6);

      // One expert of each layer that has them, and two channels of each MLP that is as wide.
      const experts = of("EXPERT").map(({ index }): StructureId => ({ kind: "EXPERT", index: index + 1 }));
      const narrow = Math.min(...of("CHANNEL").map((g) => g.count));
      const channels = of("CHANNEL")
        .filter((g) => g.count === narrow)
        .flatMap(({ index }): StructureId[] => [3, 7].map((i) => ({ kind: "CHANNEL", index: index + i })));
      const removed: StructureId[] = [...experts, ...channels, ...of("HEAD").map(({ index }): StructureId => ({ kind: "HEAD", index }))];
      const destination = join(dataDirectory, `${name}-child`);
      const { model } = await openStoredModel({ dataDirectory, ...stored });
      await exportPruned({ model, folder, files: stored.files, removed, destination });
      const child = await storeFolder(dataDirectory, destination);
      assert.equal(child.pruningObstacle, null);
      const config = JSON.parse(await readFile(join(destination, "config.json"), "utf8")) as Record<string, unknown>;
      for (const [key, value] of Object.entries(says)) assert.equal(config[key], value, key);
      const left = child.structures.filter((g) => g.kind === "EXPERT");
      assert.deepEqual(
        left.map((g) => g.count),
        experts.map(() => 2),
      );
      await generates(destination, [5, 17, 42, 3], 6);
    });

  it("do not go one by one where they are chosen by groups, and why is told", async () => {
    const folder = join(root, "deepseek_v3_groups");
    const model = canonical(decode(await readFile(join(folder, "model.onnx")))).model;
    const facts = await factsOf(model, tensorReader(folder), { length: null, obstacle: null, answer: null });
    assert.deepEqual(facts.obstacles, [{ kind: "EXPERT", layer: 1, reason: "its experts are chosen by groups, which are of one size" }]);
    const counts = facts.structures.filter((g) => g.kind === "CHANNEL" && g.layer === 1).map((g) => g.count);
    assert.deepEqual(counts, [20, 20, 20, 20, 40]);
    assert.ok(!facts.structures.some((g) => g.kind === "EXPERT"));
  });

  it("have a configuration that is true of a shared expert, or says what it cannot say", async () => {
    const folder = join(root, "deepseek_v3_groups");
    const model = canonical(decode(await readFile(join(folder, "model.onnx")))).model;
    const read = tensorReader(folder);
    const { anatomy, parameters, structures } = discover(model, read);
    const { groups } = await divide(model, anatomy, parameters);
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
    const channels = groups.filter((g) => g.kind === "CHANNEL" && g.layer === 1);
    const without = (count: (width: number, place: number) => number, more: readonly StructureId[] = []) => {
      const removed = channels.flatMap((g, place) =>
        Array.from({ length: count(g.count, place) }, (_, i): StructureId => ({ kind: "CHANNEL", index: g.index + i })),
      );
      const made = prunedConfig(config, changesOf(anatomy, groups, [...removed, ...more]));
      const { unstated = [], layers } = made["espalier"] as { unstated?: string[]; layers: { channels?: number }[] };
      return [made["moe_intermediate_size"], made["n_shared_experts"], unstated, layers[1]?.channels];
    };
    const both = ["moe_intermediate_size", "n_shared_experts"];
    assert.deepEqual(
      without(() => 0),
      [20, 2, [], 120],
    );
    assert.deepEqual(
      without((width) => width / 10),
      [18, 2, [], 108],
    );
    assert.deepEqual(
      without((width) => (width === 40 ? 22 : 2)),
      [18, 1, [], 90],
    );
    // A shared expert that is no whole number of experts wide, and experts of unlike widths.
    assert.deepEqual(
      without(() => 2),
      [20, 2, both, 110],
    );
    assert.deepEqual(
      without((_, place) => (place === 0 ? 2 : 0)),
      [20, 2, both, 118],
    );
    const [shared] = structures.filter((g) => g.kind === "MLP" && g.parameterCount === 3 * 32 * 40);
    assert.deepEqual(
      without(() => 0, [{ kind: "MLP", index: shared?.index ?? -1 }]),
      [20, 2, ["n_shared_experts"], 80],
    );
  });

  it("that are one operator are counted, served, and not pruned, and why is told", async () => {
    const model = decode(await readFile(join(root, "gpt_oss", "model.onnx")));
    const [experts, hidden, inner, initializers] = [3, 32, 32, new Map(model.graph.initializers)];
    const weights = (name: string, dims: number[]): string => {
      const values = Float32Array.from({ length: dims.reduce((n, d) => n * d, 1) }, (_, i) => Math.sin(i * (name.length + 7)) / 10);
      initializers.set(name, float32Tensor(name, dims, values));
      return name;
    };
    const nodes = model.graph.nodes.flatMap((node): Node[] => {
      const [, layer, part] = /^\/model\/layers\.(\d)\/mlp\/(.*)/.exec(node.name) ?? [];
      if (part === undefined || /^router\/(Constant|Reshape)$/.test(part)) return [node];
      if (part !== "router/Gemm") return [];
      const place = `/model/layers.${layer}/mlp`;
      const read = model.graph.nodes.filter((n) => !n.name.startsWith(place)).flatMap((n) => n.inputs);
      const outputs = [read.find((i) => i.startsWith(`${place}/`)) as string];
      const text = `/model/layers.${layer}/post_attention_layernorm/Cast_1_output_0`;
      const own = ["", weights(`${layer}.down`, [experts, hidden, inner])] as const;
      const inputs = [text, node.outputs[0] as string, weights(`${layer}.up`, [experts, inner, hidden]), ...own];
      const attributes = { k: attr.int(2), activation_type: attr.string("silu"), normalize_routing_weights: attr.int(1) };
      return [node, { name: `${place}/MoE`, opType: "MoE", domain: "com.microsoft", inputs, outputs, attributes }];
    });
    const graph = removeDead({ ...model.graph, nodes, initializers });
    const folder = join(dataDirectory, "one_operator");
    await mkdir(folder);
    await cp(join(root, "gpt_oss", "config.json"), join(folder, "config.json"));
    await writeFile(join(folder, "model.onnx"), encode({ ...model, opsets: { ...model.opsets, "com.microsoft": 1 }, graph }));
    const stored = await inspect({ dataDirectory, modelRoot: dataDirectory, path: "one_operator" });
    assert.match(stored.pruningObstacle?.message ?? "", /served but not pruned: it is a mixture of experts, all in one operator/);
    // As numpy counts what the graph has of weights: all but what gpt_oss has between its routers and its last norm.
    assert.equal(stored.parameterCount, 28_334);
    await generates(await materialise({ dataDirectory, ...stored }), [5, 17, 42, 3], 6);
  });

  it("are refused where they are not written as was understood: here what experts give has no weights", async () => {
    const folder = join(root, "qwen3_moe");
    const model = decode(await readFile(join(folder, "model.onnx")));
    const nodes = model.graph.nodes.map((node) => {
      const isWeighing = node.opType === "Mul" && node.inputs[0]?.endsWith("/down_proj/MatMul_output_0");
      return isWeighing ? { ...node, opType: "Identity", inputs: node.inputs.slice(0, 1) } : node;
    });
    const other = join(dataDirectory, "unweighted");
    await mkdir(other);
    await cp(join(folder, "config.json"), join(other, "config.json"));
    await writeFile(join(other, "model.onnx"), encode({ ...model, graph: { ...model.graph, nodes } }));
    await assert.rejects(inspect({ dataDirectory, modelRoot: dataDirectory, path: "unweighted" }), {
      code: "UNSUPPORTED_EXPERTS",
      message: /written otherwise than is understood/,
    });
  });
});
