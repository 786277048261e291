import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { materialise } from "../../../src/artifacts/model-files.ts";
import { finished } from "../../../src/finished.ts";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import { readHeader } from "../../../src/models/blueprints/safetensors.ts";
import { exportModel } from "../../../src/models/formats/export-model.ts";
import type { InspectedModel } from "../../../src/models/types.ts";
import { floatTensor } from "../../../src/onnx/tensors.ts";
import { childOf, exported, stored } from "../../support/exported.ts";
import { runPython, withoutPackages } from "../../support/python.ts";
import { childCases } from "../../support/safetensors-cases.ts";
import { safetensors, storedWeight, variantOf, variants, weight, writeFolder } from "../../support/safetensors-folder.ts";

let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-safetensors-"));
});
after(() => rm(dataDirectory, { recursive: true }));

const parentOf = (family: string, variant = "base") =>
  stored(dataDirectory, writeFolder(join(dataDirectory, `${family}-${variant}`), variantOf(family, variant)));

const configOf = async (folder: string) => JSON.parse(await readFile(join(folder, "config.json"), "utf8"));

for (const family of variants.keys())
  test(`a ${family} leaves with the weights that it came with`, async () => {
    const { config, tensors } = variantOf(family);
    const { folder, files } = await exported(dataDirectory, await parentOf(family), "SAFETENSORS");
    const found = await readHeader(join(folder, "model.safetensors"), "model.safetensors");
    const bytes = await readFile(join(folder, "model.safetensors"));
    assert.deepEqual(new Map(found.map((t) => [t.name, t.dims])), new Map(Object.entries(tensors)));
    for (const { name, dims, offset, length } of found) {
      const expected = weight(name, dims);
      const own = new Float32Array(new Uint8Array(bytes.subarray(offset, offset + length)).buffer);
      // A scale that is kept as its difference from 1 is rounded where it is added to 1: to half of 2^-22, for sums from 2 to 4.
      for (const [i, value] of own.entries()) assert.ok(Math.abs(value - (expected[i] as number)) <= 2 ** -23, `${name} ${i}`);
    }
    assert.deepEqual({ torch_dtype: "float32", ...(await configOf(folder)) }, { torch_dtype: "float32", ...config });
    assert.ok(files.every(({ path }) => !path.endsWith(".onnx")));
  });

for (const [family, says] of [
  ["mixtral", { num_local_experts: 2, intermediate_size: 50 }],
  ["qwen2_moe", { num_experts: 3, moe_intermediate_size: 26, shared_expert_intermediate_size: 26 }],
  ["qwen3_moe", { num_experts: 3, moe_intermediate_size: 26, intermediate_size: 52 }],
  ["olmoe", { num_experts: 3, intermediate_size: 26 }],
] as const)
  test(`what is left of a ${family} leaves with fewer experts, numbered from 0`, async () => {
    const parent = await parentOf(family);
    const of = (kind: string) => parent.structures.filter((s) => s.kind === kind);
    const experts = of("EXPERT").map(({ index }, layer) => ({ kind: "EXPERT" as const, index: index + layer }));
    const channels = of("CHANNEL").flatMap(({ index }) => [0, 3].map((i) => ({ kind: "CHANNEL" as const, index: index + i })));
    // Its writer holds the logits of what it wrote to those of the graph.
    const { folder } = await exported(dataDirectory, await childOf(dataDirectory, parent, [...experts, ...channels]), "SAFETENSORS");
    const config = await configOf(folder);
    for (const [key, value] of Object.entries(says)) assert.equal(config[key], value, key);
    const uneven = await childOf(dataDirectory, parent, experts.slice(0, 1));
    await assert.rejects(exported(dataDirectory, uneven, "SAFETENSORS"), {
      code: "EXPORT_UNSUPPORTED",
      message: /unlike numbers of experts/,
    });
  });

/** The same weights in 16 bits. */
const narrow = (dtype: "F16" | "BF16") => (name: string, shape: readonly number[]) => {
  const { data } = floatTensor(name, dtype === "F16" ? "float16" : "bfloat16", shape, weight(name, shape));
  return { dtype, shape, bytes: data.kind === "inline" ? data.bytes : new Uint8Array() };
};

for (const dtype of ["F16", "BF16"] as const)
  for (const family of ["llama", "gemma2", "stablelm"])
    test(`a ${family} of ${dtype} stays one, and so does what is left of it`, async () => {
      const variant = variantOf(family, family === "stablelm" ? "norms" : "base");
      const folder = writeFolder(join(dataDirectory, `${family}-${dtype}`), variant, narrow(dtype));
      const parent = await stored(dataDirectory, folder);
      const { folder: whole } = await exported(dataDirectory, parent, "SAFETENSORS");
      const bytesOf = async (at: string) => {
        const bytes = await readFile(join(at, "model.safetensors"));
        const found = await readHeader(join(at, "model.safetensors"), "model.safetensors");
        return new Map(found.map((t) => [t.name, { stored: t.stored, bytes: bytes.subarray(t.offset, t.offset + t.length) }]));
      };
      assert.deepEqual(await bytesOf(whole), await bytesOf(folder));
      const { dtype: said, torch_dtype: before } = await configOf(whole);
      assert.equal(said ?? before, dtype === "F16" ? "float16" : "bfloat16");
      for (const { removed, padding } of childCases.slice(0, 4)) {
        const child = await childOf(dataDirectory, parent, removed(parent));
        const { folder: left } = await exported(dataDirectory, child, "SAFETENSORS", padding || family === "stablelm");
        assert.deepEqual([...new Set([...(await bytesOf(left)).values()].map((t) => t.stored))], [dtype]);
      }
    });

test("weights that are spread over several files leave as one", async () => {
  const { config, tensors } = variantOf("llama");
  const folder = writeFolder(join(dataDirectory, "sharded"), { config, tensors });
  const names = Object.keys(tensors);
  const parts = [names.filter((_, i) => i % 2 === 0), names.filter((_, i) => i % 2 === 1)];
  const fileOf = (i: number) => `model-0000${i + 1}-of-00002.safetensors`;
  for (const [i, part] of parts.entries())
    await writeFile(
      join(folder, fileOf(i)),
      safetensors(Object.fromEntries(part.map((name) => [name, storedWeight(name, tensors[name] as readonly number[])]))),
    );
  const map = Object.fromEntries(parts.flatMap((part, i) => part.map((name) => [name, fileOf(i)])));
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: map }));
  await rm(join(folder, "model.safetensors"));
  const parent = await stored(dataDirectory, folder);
  const { files, folder: written } = await exported(dataDirectory, parent, "SAFETENSORS");
  assert.deepEqual(
    files.map(({ path }) => path),
    ["config.json", "model.safetensors"],
  );
  const found = await readHeader(join(written, "model.safetensors"), "model.safetensors");
  assert.deepEqual(new Set(found.map((t) => t.name)), new Set(names));
  // As ONNX, each file has its place beside the graph.
  const { files: asOnnx } = await exported(dataDirectory, parent, "ONNX");
  const data = asOnnx.map(({ path }) => path).filter((path) => path.includes("_data"));
  assert.deepEqual(data, ["onnx/model.onnx_data", "onnx/model.onnx_data_1"]);
});

/** In files of so many bytes. */
async function inFiles(model: InspectedModel, largestFileBytes: number) {
  const { digest, files, architecture } = model;
  const source = { dataDirectory, digest, files, vocabularySize: architecture.vocabularySize };
  const options = { format: "SAFETENSORS", weights: "AS_IS", padding: false, largestFileBytes } as const;
  const result = await finished(exportModel({ model: source, options }, await mkdtemp(join(dataDirectory, "export-"))));
  return { ...result, folder: await materialise({ dataDirectory, ...result }) };
}

test("weights past a limit leave as several files and an index, in which a tensor that is larger has a file of its own", async () => {
  const { tensors } = variantOf("llama");
  const largest = 12_000;
  const { folder, files } = await inFiles(await parentOf("llama"), largest);
  const { metadata, weight_map: map } = JSON.parse(await readFile(join(folder, "model.safetensors.index.json"), "utf8"));
  const paths = files.map(({ path }) => path).filter((path) => path.endsWith(".safetensors"));
  assert.ok(paths.length > 3, `${paths.length} files`);
  assert.deepEqual(
    paths,
    paths.map((_, i) => `model-${String(i + 1).padStart(5, "0")}-of-${String(paths.length).padStart(5, "0")}.safetensors`),
  );
  assert.deepEqual(new Set(Object.values(map)), new Set(paths));
  const bytesOf = (shape: readonly number[]) => 4 * shape.reduce((a, b) => a * b, 1);
  assert.equal(
    metadata.total_size,
    Object.values(tensors).reduce((n, shape) => n + bytesOf(shape), 0),
  );
  const found = new Map<string, readonly number[]>();
  for (const path of paths) {
    const there = await readHeader(join(folder, path), path);
    for (const { name, dims } of there) found.set(name, dims);
    for (const { name } of there) assert.equal(map[name], path);
    assert.ok(there.length === 1 || there.reduce((n, t) => n + t.length, 0) <= largest, path);
  }
  assert.deepEqual(found, new Map(Object.entries(tensors)));
  // What was spread so comes in again, as the same model in another form.
  const back = await exported(dataDirectory, await stored(dataDirectory, folder), "SAFETENSORS");
  const whole = await exported(dataDirectory, await parentOf("llama"), "SAFETENSORS");
  const weights = ({ files: all }: typeof back) => all.find(({ path }) => path === "model.safetensors")?.sha256;
  assert.equal(weights(back), weights(whole));
});

/** A Llama whose width children with a head less are no multiple of. */
async function narrowLlama(change: Readonly<Record<string, unknown>> = {}) {
  const { config, tensors, ...rest } = variantOf("llama", change["mlp_bias"] ? "biases" : "base");
  const wider = (dims: readonly number[]) => dims.map((d) => (d === 40 ? 42 : d));
  const shapes = Object.fromEntries(Object.entries(tensors).map(([name, dims]) => [name, wider(dims)]));
  const variant = { ...rest, config: { ...config, ...change, hidden_size: 42 }, tensors: shapes };
  const parent = await stored(dataDirectory, writeFolder(await mkdtemp(join(dataDirectory, "narrow-")), variant));
  const even = childCases.find(({ name }) => name.startsWith("a head and"));
  return { parent, child: await childOf(dataDirectory, parent, even?.removed(parent) ?? []) };
}

test("a Llama whose heads its class would refuse leaves as the family whose class computes the same; or that is said", async () => {
  const { parent, child } = await narrowLlama();
  const { folder, notes } = await exported(dataDirectory, child, "SAFETENSORS");
  const { model_type, num_attention_heads, head_dim, sliding_window } = await configOf(folder);
  assert.deepEqual(
    { model_type, num_attention_heads, head_dim, sliding_window },
    {
      model_type: "mistral",
      num_attention_heads: 4,
      head_dim: 16,
      sliding_window: null,
    },
  );
  assert.match(notes.join(), /written as Mistral.*from 5\.4 on, refuses.*\(42\) is no multiple of its number of heads \(4\)/);
  const own = await exported(dataDirectory, parent, "SAFETENSORS");
  assert.equal((await configOf(own.folder)).model_type, "llama");
  const biased = await exported(dataDirectory, (await narrowLlama({ mlp_bias: true })).child, "SAFETENSORS");
  assert.equal((await configOf(biased.folder)).model_type, "llama");
  assert.match(biased.notes.join(), /from 5\.4 on, refuses a Llama.*earlier ones load it/);
});

/** One of each layout: grouped queries, packed and turned, biases, norms of heads, packed gates, windows by a rule, heads in groups. */
const families = ["llama", "gpt2", "qwen3", "gemma3_text", "phi3", "gpt_neox"] as const;

test("a child is stated in its family's own fields", async () => {
  const parent = await parentOf("gemma3_text");
  const child = await childOf(dataDirectory, parent, [{ kind: "LAYER", index: 0 }]);
  const { folder } = await exported(dataDirectory, child, "SAFETENSORS");
  const config = await configOf(folder);
  const { layer_types: before, num_hidden_layers: count } = variantOf("gemma3_text").config as {
    layer_types: string[];
    num_hidden_layers: number;
  };
  assert.equal(config.num_hidden_layers, count - 1);
  if (before) assert.deepEqual(config.layer_types, before.slice(1));
  else assert.equal(config.layer_types.length, count - 1);
  assert.equal("espalier" in config, false);
});

test("floats of a configuration stay floats: transformers 5 refuses whole numbers in their place", async () => {
  const parent = await parentOf("gemma2");
  const child = await childOf(dataDirectory, parent, [{ kind: "LAYER", index: 0 }]);
  for (const model of [parent, child]) {
    const { folder } = await exported(dataDirectory, model, "SAFETENSORS");
    const text = await readFile(join(folder, "config.json"), "utf8");
    assert.match(text, /"final_logit_softcapping": 3\.0,/);
    assert.match(text, /"rope_theta": 10000\.0,/);
    assert.match(text, /"num_attention_heads": 6,/);
  }
});

test("what a class cannot state is refused by name, or filled up with zeros", async () => {
  const [llama, gpt2] = [await parentOf("llama"), await parentOf("gpt2")];
  const [layer, , even, uneven, halves] = childCases;
  const refused = async (parent: InspectedModel, which: typeof layer, wanted: RegExp) => {
    const child = await childOf(dataDirectory, parent, which?.removed(parent) ?? []);
    await assert.rejects(exported(dataDirectory, child, "SAFETENSORS"), { code: "EXPORT_UNSUPPORTED", message: wanted });
  };
  await refused(llama, uneven, /unlike numbers of heads .*uniform: \{\}.*padding: true/);
  await refused(llama, halves, /layer 0 has an MLP and no attention.*LAYERs/);
  await refused(gpt2, even, /2 heads of width 16 are left of a stream of 48.*padding: true/);
  const scaled = await parentOf("gpt2", "scaled");
  await assert.rejects(
    exported(dataDirectory, await childOf(dataDirectory, scaled, layer?.removed(scaled) ?? []), "SAFETENSORS"),
    { code: "EXPORT_MISMATCH" },
    "scores that are divided by the layer's number",
  );
  const falcon = await parentOf("falcon", "alibi");
  await assert.rejects(exported(dataDirectory, await childOf(dataDirectory, falcon, even?.removed(falcon) ?? []), "SAFETENSORS", true), {
    code: "EXPORT_UNSUPPORTED",
    message: /ALiBi/,
  });
});

test("configurations that describe another model are found out", async () => {
  const { config, tensors } = variantOf("llama");
  const folder = writeFolder(join(dataDirectory, "lying"), { config, tensors });
  const { folder: written } = await exported(dataDirectory, await stored(dataDirectory, folder), "SAFETENSORS");
  const { requireSameLogits } = await import("../../../src/models/formats/same-logits.ts");
  const { openStoredModel } = await import("../../../src/models/stored-model.ts");
  const parent = await stored(dataDirectory, folder);
  const source = { ...(await openStoredModel({ dataDirectory, ...parent })), files: parent.files, vocabularySize: 97 };
  await requireSameLogits(source, written);
  const other = writeFolder(join(dataDirectory, "other"), { config: { ...config, rms_norm_eps: 0.5 }, tensors });
  await assert.rejects(requireSameLogits(source, other), { code: "EXPORT_MISMATCH" });
});

test("transformers loads parents and children, and computes and writes what they do", {
  skip: withoutPackages("torch", "transformers"),
}, async () => {
  const rows: { name: string; model: InspectedModel; folder: string; tokens: readonly number[] }[] = [];
  for (const family of families) {
    const { tokens } = variantOf(family);
    const parent = await parentOf(family);
    rows.push({ name: family, model: parent, tokens, folder: (await exported(dataDirectory, parent, "SAFETENSORS")).folder });
    for (const { name, removed, padding } of childCases) {
      const child = await childOf(dataDirectory, parent, removed(parent));
      const { folder } = await exported(dataDirectory, child, "SAFETENSORS", padding);
      rows.push({ name: `${family}, ${name}`, model: child, tokens, folder });
    }
  }
  const { child: narrow } = await narrowLlama();
  const { tokens } = variantOf("llama");
  rows.push({ name: "a Llama as a Mistral", model: narrow, tokens, folder: (await exported(dataDirectory, narrow, "SAFETENSORS")).folder });
  const whole = await parentOf("llama");
  rows.push({ name: "a Llama in several files", model: whole, tokens, folder: (await inFiles(whole, 12_000)).folder });
  const found = await runPython(
    "load_transformers.py",
    rows.map(({ folder, tokens }) => ({ folder, tokens, prompt: 4, count: 6 })),
  );
  for (const [i, { name, model, tokens }] of rows.entries()) {
    const own = await LanguageModel.open({ folder: await materialise({ dataDirectory, ...model }), executionProvider: "CPU", threads: 1 });
    try {
      const logits = await own.logits([tokens]);
      const largest = logits.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const apart = logits.reduce((most, v, j) => Math.max(most, Math.abs(v - found[i].logits[j])), 0);
      assert.ok(apart < 1e-4 * largest, `${name}: logits differ by ${apart} of ${largest}`);
      assert.deepEqual(found[i].unused, [], name);
      const text: number[] = [];
      for (let { past, logits: last } = await own.read(own.start, tokens.slice(0, 4)); text.length < 6; ) {
        text.push(last.indexOf(last.reduce((most, v) => Math.max(most, v))));
        ({ past, logits: last } = await own.read(past, text.slice(-1)));
      }
      assert.deepEqual(found[i].text, text, name);
    } finally {
      await own.close();
    }
  }
});
