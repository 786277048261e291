import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { fileURLToPath } from "node:url";
import { materialise } from "../../src/artifacts/model-files.ts";
import { exportPruned } from "../../src/models/export.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { openStoredModel } from "../../src/models/stored-model.ts";
import * as attr from "../../src/onnx/attributes.ts";
import { decode } from "../../src/onnx/decode.ts";
import { replaceUses } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import { type DataType, type Dim, dataTypes, type Graph, type Model, type Node, type ValueInfo } from "../../src/onnx/ir.ts";
import { int64Tensor } from "../../src/onnx/tensors.ts";
import type { StructureId } from "../../src/structures/structure.ts";
import { generates } from "../support/support.ts";

// What is registered does all that is said of it; the rest is refused with the reason that is true.

const base = fileURLToPath(new URL("../fixtures/spellings/base/", import.meta.url));
let root: string;
let model: Model;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "espalier-registrable-"));
  model = decode(await readFile(join(base, "model.onnx")));
});
after(() => rm(root, { recursive: true, force: true }));

const dataDirectory = () => join(root, "data");
const withGraph = (parts: Partial<Graph>): Model => ({ ...model, graph: { ...model.graph, ...parts } });

/** The graph whose logits are made into something else by more nodes. */
function ending(nodes: (from: string) => readonly Node[], shape: readonly Dim[]): Model {
  const inside = "logits/inside";
  const swap = (name: string) => (name === "logits" ? inside : name);
  const before = model.graph.nodes.map((n) => ({ ...n, outputs: n.outputs.map(swap) }));
  const outputs = model.graph.outputs.map((o): ValueInfo => (o.name === "logits" ? { ...o, shape } : o));
  return withGraph({ nodes: [...before, ...nodes(inside)], outputs });
}

const node = (opType: string, inputs: string[], output: string, attributes: Node["attributes"] = {}): Node => ({
  name: output,
  opType,
  domain: "",
  inputs,
  outputs: [output],
  attributes,
});

/** The graph with sizes of an input fixed. */
const fixed = (sizes: Readonly<Record<string, number>>): Model =>
  withGraph({
    inputs: model.graph.inputs.map((i) => ({ ...i, shape: i.shape?.map((d) => (typeof d === "string" ? (sizes[d] ?? d) : d)) ?? null })),
  });

const refusals: Readonly<Record<string, readonly [code: string, says: RegExp, model: () => Model]>> = {
  "a batch of one only": ["UNSUPPORTED_INPUT", /"input_ids" has the fixed shape \[1, sequence_length\]/, () => fixed({ batch_size: 1 })],
  "texts of one length only": [
    "UNSUPPORTED_INPUT",
    /"input_ids" has the fixed shape \[batch_size, 8\]/,
    () => fixed({ sequence_length: 8 }),
  ],
  "logits for the last token alone": [
    "NO_LOGITS",
    /of 2 texts of 5 tokens the model gives logits of shape \[2,1,640\]/,
    () => {
      const last = ending((from) => [node("Slice", [from, "last/from", "last/to", "last/axis"], "logits")], ["batch_size", "last", 640]);
      const ints = [
        int64Tensor("last/from", [1], [-1]),
        int64Tensor("last/to", [1], [Number.MAX_SAFE_INTEGER]),
        int64Tensor("last/axis", [1], [1]),
      ];
      return {
        ...last,
        graph: { ...last.graph, initializers: new Map([...last.graph.initializers, ...ints.map((t) => [t.name, t] as const)]) },
      };
    },
  ],
  "probabilities named logits": [
    "NO_LOGITS",
    /"logits" holds probabilities/,
    () => ending((from) => [node("Softmax", [from], "logits", { axis: attr.int(-1) })], ["batch_size", "sequence_length", 640]),
  ],
  "a cache whose entries come back exchanged": [
    "UNSUPPORTED_CACHE",
    /does not do what a cache is for/,
    () => {
      const swap = (name: string) => ({ "present.0.key": "present.0.value", "present.0.value": "present.0.key" })[name] ?? name;
      return withGraph({
        nodes: model.graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map(swap), outputs: n.outputs.map(swap) })),
      });
    },
  ],
  "a cache in float64": [
    "UNSUPPORTED_CACHE",
    /"past_key_values.0.key" cannot be used: its type is float64/,
    () => {
      const key = "past_key_values.0.key";
      return fedOtherwise(key, { dataType: "float64" }, (as) => [cast(key, as, "float32")]);
    },
  ],
  "a mask of four axes": [
    "UNSUPPORTED_INPUT",
    /"attention_mask" has the shape \[batch_size, 1, .*, 1\], and must have two axes/,
    () => square("int64"),
  ],
  "a mask of floats on four axes": [
    "UNSUPPORTED_INPUT",
    /"attention_mask" has type float32, not int64, int32 or bool/,
    () => square("float32"),
  ],
};

/** The graph with an input of another type or shape, which nodes make into what it was. */
function fedOtherwise(name: string, parts: Partial<ValueInfo>, nodes: (as: string) => readonly Node[]): Model {
  const inside = `${name}/inside`;
  const { nodes: own } = replaceUses(model.graph, new Map([[name, inside]]));
  const inputs = model.graph.inputs.map((i) => (i.name === name ? { ...i, ...parts } : i));
  return withGraph({ inputs, nodes: [...nodes(inside), ...own] });
}

const cast = (from: string, to: string, type: DataType): Node => node("Cast", [from], to, { to: attr.int(dataTypes[type].onnx) });

/** A mask [B, 1, S, 1], of which each token's own entry counts. */
const square = (type: DataType): Model => {
  const parts = { dataType: type, shape: ["batch_size", 1, "past_sequence_length + sequence_length", 1] };
  const made = fedOtherwise("attention_mask", parts, (as) => [
    cast("attention_mask", `${as}/int64`, "int64"),
    node("Squeeze", [`${as}/int64`, "square/axes"], as),
  ]);
  const axes = int64Tensor("square/axes", [2], [1, 3]);
  return { ...made, graph: { ...made.graph, initializers: new Map([...made.graph.initializers, [axes.name, axes]]) } };
};

/** Logits by one of two branches, which no cache decides. */
const choosing = () => {
  const body = (output: string) => ({
    kind: "graph" as const,
    value: {
      name: output,
      inputs: [],
      outputs: [{ name: output, dataType: "float32" as const, shape: null }],
      initializers: new Map(),
      nodes: [node("Identity", ["logits/inside"], output)],
      valueInfo: [],
    },
  });
  const chosen: Node = {
    ...node("If", ["choice/large"], "logits", { then_branch: body("logits/then"), else_branch: body("logits/else") }),
    name: "choice",
  };
  const large = [
    node("Size", ["input_ids"], "choice/size"),
    node("Cast", ["choice/size"], "choice/large", { to: attr.int(dataTypes.bool.onnx) }),
  ];
  return ending(() => [...large, chosen], ["batch_size", "sequence_length", 640]);
};

describe("a model that would be of no use", () => {
  for (const [name, [code, says, make]] of Object.entries(refusals))
    it(`is refused with the true reason: ${name}`, async () => {
      await writeFile(join(root, "lone.onnx"), encode(make()));
      await assert.rejects(
        inspect({ dataDirectory: dataDirectory(), modelRoot: root, path: "lone.onnx" }),
        (error: Error & { code: string }) => {
          assert.equal(error.code, code, error.message);
          assert.match(error.message, says);
          return true;
        },
      );
    });

  it("is told by name, where an If is no branch for a cache: it can be served, not pruned", async () => {
    await writeFile(join(root, "choosing.onnx"), encode(choosing()));
    const { pruningObstacle } = await inspect({ dataDirectory: dataDirectory(), modelRoot: root, path: "choosing.onnx" });
    assert.equal(pruningObstacle?.code, "UNSUPPORTED_OPERATORS");
    assert.match(pruningObstacle.message, /If \(choice\)/);
  });

  it("is none for logits in float64: they are read", async () => {
    const wide = ending((from) => [cast(from, "logits", "float64")], ["batch_size", "sequence_length", 640]);
    const outputs = wide.graph.outputs.map((o): ValueInfo => (o.name === "logits" ? { ...o, dataType: "float64" } : o));
    await writeFile(join(root, "wide.onnx"), encode({ ...wide, graph: { ...wide.graph, outputs } }));
    const stored = await inspect({ dataDirectory: dataDirectory(), modelRoot: root, path: "wide.onnx" });
    assert.equal(stored.pruningObstacle, null);
    await generates(await materialise({ dataDirectory: dataDirectory(), ...stored }), [5, 17, 42, 3], 6);
  });

  it("says which graphs a folder holds that has none of the usual names", async () => {
    await mkdir(join(root, "quantised", "onnx"), { recursive: true });
    for (const name of ["model_q4.onnx", "model_quantized.onnx"]) await writeFile(join(root, "quantised", "onnx", name), encode(model));
    await assert.rejects(inspect({ dataDirectory: dataDirectory(), modelRoot: root, path: "quantised" }), {
      code: "MODEL_NOT_FOUND",
      message:
        'the folder "quantised" holds neither onnx/model.onnx nor model.onnx; it holds onnx/model_q4.onnx, onnx/model_quantized.onnx: ' +
        'name the one you mean, "quantised/onnx/model_q4.onnx"',
    });
  });
});

describe("genai_config.json", () => {
  const decoder = { num_hidden_layers: 3, num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 32, filename: "elsewhere.onnx" };
  const config = { model: { type: "llama", vocab_size: 640, context_length: 256, decoder }, search: { max_length: 256 } };
  const half = (layer: number): StructureId[] => [{ kind: "HEAD", index: 2 * layer }];
  const cases: readonly (readonly [what: string, removed: readonly StructureId[], decoder: object | null])[] = [
    ["a layer", [{ kind: "LAYER", index: 1 }], { ...decoder, num_hidden_layers: 2, filename: "model.onnx" }],
    [
      "a head of each layer",
      [0, 1, 2].flatMap(half),
      { ...decoder, num_attention_heads: 2, num_key_value_heads: 1, filename: "model.onnx", head_size: 8 },
    ],
    ["a head of one layer", half(1), null],
    ["an MLP", [{ kind: "MLP", index: 0 }], { ...decoder, filename: "model.onnx" }],
  ];
  it("is kept of a model that is registered, and refused where it is no JSON", async () => {
    await cp(base, join(root, "genai"), { recursive: true });
    await writeFile(join(root, "genai", "genai_config.json"), "{");
    const request = { dataDirectory: dataDirectory(), modelRoot: root, path: "genai" };
    await assert.rejects(inspect(request), { code: "INVALID_JSON", message: /genai_config.json is not JSON/ });
    await writeFile(join(root, "genai", "genai_config.json"), JSON.stringify(config));
    assert.ok((await inspect(request)).files.some((f) => f.path === "genai_config.json"));
  });
  for (const [what, removed, expected] of cases)
    it(`is true of a child without ${what}${expected ? "" : ", or is left out and that is said"}`, async () => {
      const stored = await inspect({ dataDirectory: dataDirectory(), modelRoot: root, path: "genai" });
      const { model: whole, folder } = await openStoredModel({ dataDirectory: dataDirectory(), ...stored });
      const destination = join(root, `child of ${what}`);
      const notes = await exportPruned({ model: whole, folder, files: stored.files, removed, destination });
      const child = await storeFolder(dataDirectory(), destination);
      const place = await materialise({ dataDirectory: dataDirectory(), ...child });
      if (!expected) {
        assert.match(notes.join(), /genai_config.json was left out: .* unlike/);
        assert.ok(!(await readdir(place)).includes("genai_config.json"));
        return;
      }
      assert.deepEqual(notes, []);
      const now = JSON.parse(await readFile(join(place, "genai_config.json"), "utf8")) as { model: { decoder: typeof decoder } };
      assert.deepEqual(now, { ...config, model: { ...config.model, decoder: expected } });
      // Whoever makes a cache by it makes the one that the graph takes.
      const { num_hidden_layers, num_key_value_heads } = now.model.decoder;
      assert.deepEqual(
        child.architecture.cache,
        Array.from({ length: num_hidden_layers }, () => ({ heads: num_key_value_heads, headWidth: 8 })),
      );
    });
});

test("what other programs read of a folder is kept of a model and of its child, byte for byte; what is no file of a model is not", async () => {
  const kept = {
    "quantize_config.json": '{"bits": 4}',
    "tokenizer.model": "sentencepiece\0",
    "additional_chat_templates/rag.jinja": "{{ messages }}",
    "additional_chat_templates/tool_use.jinja": "{{ tools }}",
  };
  const left = { "additional_chat_templates/notes.txt": "mine", "train.py": "" };
  const place = join(root, "kept");
  await cp(base, place, { recursive: true });
  await mkdir(join(place, "additional_chat_templates", "folder.jinja"), { recursive: true });
  for (const [name, text] of Object.entries({ ...kept, ...left })) await writeFile(join(place, name), text);
  const found = await inspect({ dataDirectory: dataDirectory(), modelRoot: root, path: "kept" });
  const { model: whole, folder } = await openStoredModel({ dataDirectory: dataDirectory(), ...found });
  const destination = join(root, "child that keeps");
  await exportPruned({ model: whole, folder, files: found.files, removed: [{ kind: "LAYER", index: 1 }], destination });
  for (const { digest, files } of [found, await storeFolder(dataDirectory(), destination)]) {
    const at = await materialise({ dataDirectory: dataDirectory(), digest, files });
    for (const [name, text] of Object.entries(kept)) assert.equal(await readFile(join(at, name), "utf8"), text, name);
    assert.ok(!files.some(({ path }) => path in left || path.endsWith("folder.jinja")));
  }
  await writeFile(join(place, "additional_chat_templates", "rag.jinja"), "x".repeat(2 ** 20 + 1));
  await assert.rejects(inspect({ dataDirectory: dataDirectory(), modelRoot: root, path: "kept" }), { code: "FILE_TOO_LARGE" });
});
