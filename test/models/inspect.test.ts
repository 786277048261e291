import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { materialise, modelDigest } from "../../src/artifacts/model-files.ts";
import { exportPruned } from "../../src/models/export.ts";
import { inspect, storeFolder } from "../../src/models/inspect.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model, Tensor } from "../../src/onnx/ir.ts";
import { ahabFolder, modelRoot } from "../support/ahab.ts";

let folder: string;
let graph: Buffer;
let model: Model;
const root = () => join(folder, "root");
const data = () => join(folder, "data");
const stored = () => readdir(join(data(), "artifacts")).catch(() => []);

before(async () => {
  graph = await readFile(join(ahabFolder, "onnx", "model.onnx"));
  model = decode(graph);
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
  await mkdir(root());
});
const cleanUp = () => rm(folder, { recursive: true, force: true });
after(cleanUp);

/** The model with its weights in a file beside it. */
async function external(place: string): Promise<Uint8Array> {
  const initializers = new Map<string, Tensor>();
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const t of model.graph.initializers.values()) {
    assert.ok(t.data.kind === "inline");
    initializers.set(t.name, { ...t, data: { kind: "external", location: "weights.bin", offset, length: t.data.bytes.length } });
    parts.push(t.data.bytes);
    offset += t.data.bytes.length;
  }
  await writeFile(join(place, "weights.bin"), Buffer.concat(parts));
  return encode({ ...model, graph: { ...model.graph, initializers } });
}

describe("inspect", () => {
  it("stores a model's files by content, once, and says what it is", async () => {
    const found = await inspect({ dataDirectory: data(), modelRoot, path: "ahab" });
    assert.equal(found.parameterCount, 1_415_520);
    assert.equal(found.opset, 17);
    assert.equal(found.operators["MatMul"], 109);
    assert.equal(found.sizeBytes, graph.length);
    assert.deepEqual(
      { ...found.architecture, cache: found.architecture.cache.length },
      { task: "CAUSAL_LM", layers: 12, hiddenSize: 96, vocabularySize: 2048, cache: 12, contextLength: 512, dataType: "float32" },
    );
    assert.deepEqual(found.architecture.cache[0], { heads: 2, headWidth: 24 });
    assert.equal(found.digest, modelDigest([...found.files].reverse()));
    assert.deepEqual((await stored()).sort(), found.files.map((f) => f.sha256).sort());
    assert.deepEqual(await inspect({ dataDirectory: data(), modelRoot, path: "ahab" }), found);
    assert.equal((await stored()).length, found.files.length);

    const place = await materialise({ dataDirectory: data(), ...found });
    assert.deepEqual(await readFile(join(place, "onnx", "model.onnx")), graph);
    await cleanUp();
  });

  it("takes a graph alone, and one whose weights lie beside it", async () => {
    await writeFile(join(root(), "lone.onnx"), graph);
    const lone = await inspect({ dataDirectory: data(), modelRoot: root(), path: "lone.onnx" });
    assert.deepEqual(
      lone.files.map((f) => f.path),
      ["lone.onnx"],
    );
    assert.equal(lone.architecture.contextLength, null);

    await writeFile(join(root(), "outside.onnx"), await external(root()));
    const outside = await inspect({ dataDirectory: data(), modelRoot: root(), path: "outside.onnx" });
    assert.deepEqual(
      outside.files.map((f) => f.path),
      ["outside.onnx", "weights.bin"],
    );
    assert.equal(outside.parameterCount, lone.parameterCount);
    await cleanUp();
  });

  it("follows links that stay under the root, as in a hub's cache", async () => {
    const snapshot = join(root(), "snapshots", "main", "onnx");
    await Promise.all([mkdir(snapshot, { recursive: true }), mkdir(join(root(), "blobs"))]);
    await writeFile(join(root(), "blobs", "1"), await external(join(root(), "blobs")));
    await symlink("../../../blobs/1", join(snapshot, "model.onnx"));
    await symlink("../../../blobs/weights.bin", join(snapshot, "weights.bin"));
    const found = await inspect({ dataDirectory: data(), modelRoot: root(), path: "snapshots/main" });
    assert.deepEqual(
      found.files.map((f) => f.path),
      ["onnx/model.onnx", "onnx/weights.bin"],
    );
    assert.equal(found.parameterCount, 1_415_520);
    await cleanUp();
  });

  /** What is put under the model root, and what is then asked for. */
  const refusals: [name: string, code: string, says: RegExp, prepare: () => Promise<string>][] = [
    ["a path out of the root", "PATH_OUTSIDE_MODEL_ROOT", /relative to the model root/, async () => "../elsewhere"],
    ["an absolute path", "PATH_OUTSIDE_MODEL_ROOT", /relative to the model root/, async () => ahabFolder],
    [
      "a link out of the root",
      "PATH_OUTSIDE_MODEL_ROOT",
      /leads out/,
      async () => {
        await symlink(ahabFolder, join(root(), "link"));
        return "link";
      },
    ],
    [
      "a link out of the root inside a folder",
      "PATH_OUTSIDE_MODEL_ROOT",
      /leads out/,
      async () => {
        await mkdir(join(root(), "model"));
        await writeFile(join(root(), "model", "model.onnx"), graph);
        await symlink(join(ahabFolder, "config.json"), join(root(), "model", "config.json"));
        return "model";
      },
    ],
    ["nothing at all", "MODEL_NOT_FOUND", /nothing at "nowhere"/, async () => "nowhere"],
    [
      "a folder without a graph",
      "MODEL_NOT_FOUND",
      // It is not named as a graph that could be.
      /holds neither onnx.model.onnx nor model.onnx, nor/,
      async () => {
        await mkdir(join(root(), "empty"));
        return "empty";
      },
    ],
    ["what is not ONNX", "INVALID_ONNX", /not an ONNX model/, () => lone(Buffer.from("#!/bin/sh\necho no model\n"))],
    ["a graph cut short", "INVALID_ONNX", /cut short/, () => lone(graph.subarray(0, 3_000_000))],
    [
      "external data that is missing",
      "MISSING_EXTERNAL_DATA",
      /"weights.bin", which is not beside it/,
      async () => lone(await external(folder)),
    ],
    [
      "external data that is too short",
      "MISSING_EXTERNAL_DATA",
      /has 100 bytes, but the graph reads up to byte/,
      async () => {
        const bytes = await external(root());
        await writeFile(join(root(), "weights.bin"), Buffer.alloc(100));
        return lone(bytes);
      },
    ],
    [
      "external data outside the folder",
      "PATH_OUTSIDE_MODEL_ROOT",
      /lies outside the model's folder/,
      async () => {
        const outside = decode(await external(folder));
        const initializers = new Map(
          [...outside.graph.initializers].map(([name, t]) => [
            name,
            { ...t, data: { ...t.data, location: "../weights.bin" } as Tensor["data"] },
          ]),
        );
        return lone(encode({ ...outside, graph: { ...outside.graph, initializers } }));
      },
    ],
    [
      "a model without logits",
      "NO_LOGITS",
      /no float output "logits".*present\.0\.key/,
      () => lone(changed({ outputs: model.graph.outputs.slice(1) })),
    ],
    ["a model without token ids", "NO_TOKEN_INPUT", /no input "input_ids"/, () => lone(renamedInput())],
    [
      "token ids that are no integers",
      "UNSUPPORTED_INPUT",
      /input "input_ids" has type float32/,
      () => lone(changed({ inputs: model.graph.inputs.map((i) => (i.name === "input_ids" ? { ...i, dataType: "float32" as const } : i)) })),
    ],
    ["an old operator set", "UNSUPPORTED_OPSET", /operator set 11/, () => lone(encode({ ...model, opsets: { "": 11 } }))],
    [
      "operators that ONNX Runtime does not run so",
      "ONNX_RUNTIME",
      /Det/,
      () => lone(changed({ nodes: model.graph.nodes.map((n) => ({ ...n, opType: n.opType === "MatMul" ? "Det" : n.opType })) })),
    ],
    [
      "a pipe in place of a graph",
      "MODEL_NOT_FOUND",
      /holds neither/,
      async () => {
        await mkdir(join(root(), "model"));
        execFileSync("mkfifo", [join(root(), "model", "model.onnx")]);
        return "model";
      },
    ],
    [
      "a graph that ONNX Runtime refuses",
      "ONNX_RUNTIME",
      /could not load/,
      () =>
        lone(changed({ nodes: model.graph.nodes.map((n) => (n.opType === "Sqrt" ? { ...n, inputs: [...n.inputs, ...n.inputs] } : n)) })),
    ],
    [
      "a tokenizer that cannot be done as it was meant",
      "UNSUPPORTED_TOKENIZER",
      /pre_tokenizer: the type "UnicodeScripts"/,
      () => bundled("tokenizer.json", (t) => ({ ...t, pre_tokenizer: { type: "UnicodeScripts" } })),
    ],
    [
      "another model's tokenizer",
      "INVALID_TOKENIZER",
      /"other" has the id 9999, and the model's embedding has 2048 rows/,
      () => bundled("tokenizer.json", ({ model: m, ...t }) => ({ ...t, model: { ...m, vocab: { ...m?.vocab, other: 9999 } } })),
    ],
    [
      "a chat template that is broken",
      "INVALID_CHAT_TEMPLATE",
      /./,
      () => bundled("tokenizer_config.json", (t) => ({ ...t, chat_template: "{% for m in messages %}{{ m.content }}" })),
    ],
  ];

  /** The bundled model with one of its files changed. */
  const bundled = async (file: string, change: (value: { model?: { vocab?: object } }) => object): Promise<string> => {
    await cp(ahabFolder, join(root(), "model"), { recursive: true });
    const place = join(root(), "model", file);
    await writeFile(place, JSON.stringify(change(JSON.parse(await readFile(place, "utf8")))));
    return "model";
  };

  const lone = async (bytes: Uint8Array): Promise<string> => {
    await writeFile(join(root(), "lone.onnx"), bytes);
    return "lone.onnx";
  };
  const changed = (parts: Partial<Model["graph"]>) => encode({ ...model, graph: { ...model.graph, ...parts } });
  const renamedInput = () => {
    const rename = (n: string) => (n === "input_ids" ? "pixels" : n);
    return changed({
      inputs: model.graph.inputs.map((i) => ({ ...i, name: rename(i.name) })),
      nodes: model.graph.nodes.map((n) => ({ ...n, inputs: n.inputs.map(rename) })),
    });
  };

  it("takes a model of operators without a gradient, which serves, and says which they are", async () => {
    const path = await lone(
      changed({ nodes: model.graph.nodes.map((n) => ({ ...n, opType: n.opType === "Softmax" ? "Hardmax" : n.opType })) }),
    );
    const found = await inspect({ dataDirectory: data(), modelRoot: root(), path });
    assert.equal(found.pruningObstacle?.code, "UNSUPPORTED_OPERATORS");
    assert.match(found.pruningObstacle.message, /served but not pruned.*Hardmax \(\/layers\.0\/self_attn\/Softmax.*and 9 more/);
    assert.deepEqual([found.structures, found.architecture.layers, found.parameterCount], [[], 12, 1_415_520]);
    await cleanUp();
  });

  for (const [name, code, says, prepare] of refusals)
    it(`refuses ${name}, and stores nothing`, async () => {
      const path = await prepare();
      await assert.rejects(inspect({ dataDirectory: data(), modelRoot: root(), path }), (error: { code?: string; message: string }) => {
        assert.equal(error.code, code, error.message);
        assert.match(error.message, says);
        return true;
      });
      assert.deepEqual(await stored(), []);
      await cleanUp();
    });
});

describe("exportPruned", () => {
  const removed = [
    { kind: "LAYER", index: 2 },
    { kind: "MLP", index: 5 },
  ] as const;

  it("writes the same bytes every time, inline and beside the graph alike", async () => {
    await cp(ahabFolder, join(root(), "inline"), { recursive: true });
    await cp(ahabFolder, join(root(), "external"), { recursive: true });
    await writeFile(join(root(), "external", "onnx", "model.onnx"), await external(join(root(), "external", "onnx")));

    const children = [];
    for (const name of ["inline", "inline", "external", "external"]) {
      const base = await inspect({ dataDirectory: data(), modelRoot: root(), path: name });
      const place = await materialise({ dataDirectory: data(), ...base });
      const destination = await mkdtemp(join(folder, "child-"));
      await exportPruned({
        model: decode(await readFile(join(place, "onnx/model.onnx"))),
        folder: place,
        files: base.files,
        removed,
        destination,
      });
      children.push({ destination, ...(await storeFolder(data(), destination)) });
    }
    const [a, b, c, d] = children as [(typeof children)[0], (typeof children)[0], (typeof children)[0], (typeof children)[0]];
    assert.equal(a.digest, b.digest);
    assert.equal(c.digest, d.digest);
    assert.notEqual(a.digest, c.digest);
    for (const child of children) assert.equal(child.parameterCount, 1_415_520 - 101_568 - 73_824);
    assert.deepEqual(c.files.map((f) => f.path).sort(), [
      "config.json",
      "generation_config.json",
      "onnx/model.onnx",
      "onnx/model.onnx_data",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);

    const weights = await readFile(join(c.destination, "onnx", "model.onnx_data"));
    const [inline, outside] = await Promise.all(
      [a, c].map(async ({ destination }) => decode(await readFile(join(destination, "onnx", "model.onnx"))).graph),
    );
    for (const [name, t] of outside?.initializers ?? []) {
      const same = inline?.initializers.get(name)?.data;
      assert.ok(t.data.kind === "external" && same?.kind === "inline");
      assert.equal(Buffer.compare(weights.subarray(t.data.offset, t.data.offset + t.data.length), same.bytes), 0, name);
    }
    await cleanUp();
  });

  it("states in config.json what is left", async () => {
    const base = await inspect({ dataDirectory: data(), modelRoot, path: "ahab" });
    await exportPruned({ model, folder: ahabFolder, files: base.files, removed, destination: join(root(), "child") });
    const config = JSON.parse(await readFile(join(root(), "child", "config.json"), "utf8"));
    assert.equal(config.num_hidden_layers, 11);
    assert.equal(config.hidden_size, 96);
    assert.equal(config.espalier.layers.length, 11);
    assert.deepEqual(config.espalier.layers[4], { layer: 5, registered: 5, kinds: ["ATTENTION"] });
    await cleanUp();
  });
});
