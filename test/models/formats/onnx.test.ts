import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AutoModelForCausalLM, Tensor } from "@huggingface/transformers";
import { materialise } from "../../../src/artifacts/model-files.ts";
import type { InspectedModel } from "../../../src/models/types.ts";
import { ahabFolder } from "../../support/ahab.ts";
import { childOf, exported, stored } from "../../support/exported.ts";
import { fixtures } from "../../support/fixtures.ts";
import { runPython, withoutPackages } from "../../support/python.ts";
import { variantOf, writeFolder } from "../../support/safetensors-folder.ts";
import { generates } from "../../support/support.ts";

let dataDirectory: string;
/** Whole ones and children with unlike numbers of heads, of each kind of origin. */
let models: { name: string; model: InspectedModel }[];
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-onnx-"));
  const ahab = await stored(dataDirectory, ahabFolder);
  // It never ends a text by itself: no two runtimes agree on what comes then.
  const { config, tensors } = variantOf("qwen3");
  const folder = writeFolder(join(dataDirectory, "qwen3"), { config: { ...config, eos_token_id: null }, tensors });
  const qwen3 = await stored(dataDirectory, folder);
  const uneven = [
    { kind: "HEAD", index: 0 },
    { kind: "CHANNEL", index: 1 },
  ] as const;
  models = [
    { name: "ahab", model: ahab },
    { name: "a child of ahab", model: await childOf(dataDirectory, ahab, [...uneven, { kind: "LAYER", index: 5 }]) },
    { name: "qwen3 over its safetensors", model: qwen3 },
    { name: "a child of qwen3", model: await childOf(dataDirectory, qwen3, uneven) },
  ];
});
after(() => rm(dataDirectory, { recursive: true }));

const prompt = [5, 17, 42, 3];

test("the graph lies where transformers.js looks for it, over the weights' own files", async () => {
  for (const { name, model } of models) {
    const { files } = await exported(dataDirectory, model, "ONNX");
    const paths = files.map(({ path }) => path);
    assert.ok(paths.includes("onnx/model.onnx") && paths.includes("genai_config.json"), `${name}: ${paths}`);
    const weights = model.files.find(({ path }) => path.endsWith(".safetensors") || path.endsWith("_data"));
    assert.equal(files.find(({ path }) => path === "onnx/model.onnx_data")?.sha256, weights?.sha256, name);
  }
});

test("transformers.js writes what the model does, and is told nothing", async () => {
  for (const { name, model } of models) {
    const { folder } = await exported(dataDirectory, model, "ONNX");
    const expected = await generates(await materialise({ dataDirectory, ...model }), prompt, 8);
    const other = await AutoModelForCausalLM.from_pretrained(folder, { local_files_only: true, device: "cpu" });
    try {
      const ids = new Tensor("int64", BigInt64Array.from(prompt, BigInt), [1, prompt.length]);
      const mask = new Tensor("int64", new BigInt64Array(prompt.length).fill(1n), [1, prompt.length]);
      const given = await other.generate({ inputs: ids, attention_mask: mask, max_new_tokens: 8, do_sample: false });
      assert.deepEqual(Array.from((given as Tensor).data as BigInt64Array, Number), expected, name);
    } finally {
      await other.dispose();
    }
  }
});

test("onnxruntime-genai writes what the model does", { skip: withoutPackages("onnxruntime_genai", "numpy") }, async () => {
  const rows: { name: string; folder: string; expected: readonly number[] }[] = [];
  for (const { name, model } of models) {
    const { folder } = await exported(dataDirectory, model, "ONNX");
    rows.push({ name, folder, expected: await generates(await materialise({ dataDirectory, ...model }), prompt, 8) });
  }
  const found = await runPython(
    "load_genai.py",
    rows.map(({ folder }) => ({ folder, prompt, count: 8 })),
  );
  for (const [i, { name, expected }] of rows.entries()) assert.deepEqual(found[i], expected, name);
});

test("where onnxruntime-genai finds no cache, it is told so", async () => {
  const fixture = fixtures.find(({ name }) => name === "optimum-no-past/llama");
  assert.ok(fixture);
  const { files, notes } = await exported(dataDirectory, await stored(dataDirectory, fixture.folder), "ONNX");
  assert.equal(
    files.some(({ path }) => path === "genai_config.json"),
    false,
  );
  assert.match(notes.join(), /genai_config/);
});

test("a genai_config.json that came with the model stays, but for where the graph lies", async () => {
  const { folder } = await exported(dataDirectory, models[0]?.model as InspectedModel, "ONNX");
  const config = JSON.parse(await readFile(join(folder, "genai_config.json"), "utf8"));
  assert.equal(config.model.decoder.filename, "onnx/model.onnx");
  assert.deepEqual(config.model.decoder.inputs.past_key_names, "past_key_values.%d.key");
  assert.deepEqual([config.model.context_length, config.model.eos_token_id], [512, 0]);
});
