import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import { findFamily, graphOfFolder } from "../../../src/models/blueprints/graph-of-folder.ts";
import { readHeader } from "../../../src/models/blueprints/safetensors.ts";
import { floatsOf } from "../../../src/onnx/tensors.ts";
import { ahabFolder } from "../../support/ahab.ts";
import { childOf, exported, stored } from "../../support/exported.ts";
import { fixtures } from "../../support/fixtures.ts";
import { childCases } from "../../support/safetensors-cases.ts";

let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-traced-"));
});
after(() => rm(dataDirectory, { recursive: true }));

/** Every tensor of a folder's safetensors, as numbers. */
async function tensorsIn(folder: string): Promise<ReadonlyMap<string, Float32Array>> {
  const bytes = await readFile(join(folder, "model.safetensors"));
  const found = await readHeader(join(folder, "model.safetensors"), "model.safetensors");
  return new Map(
    found.map(({ name, dataType, offset, length }) => [
      name,
      Float32Array.from(floatsOf({ name, dataType: dataType ?? "float32" }, new Uint8Array(bytes.subarray(offset, offset + length)))),
    ]),
  );
}

test("the bundled model leaves with the weights that its ONNX graph was exported from", async () => {
  const { folder } = await exported(dataDirectory, await stored(dataDirectory, ahabFolder), "SAFETENSORS");
  const [found, original] = [await tensorsIn(folder), await tensorsIn(ahabFolder)];
  assert.deepEqual([...found.keys()].sort(), [...original.keys()].filter((name) => name !== "lm_head.weight").sort());
  for (const [name, values] of found) assert.deepEqual(values, original.get(name), name);
});

test("its child's child is numbered anew, and filled up where widths differ", async () => {
  const parent = await stored(dataDirectory, ahabFolder);
  const original = await tensorsIn(ahabFolder);
  const child = await childOf(dataDirectory, parent, [{ kind: "LAYER", index: 3 }]);
  const grandchild = await childOf(dataDirectory, child, [
    { kind: "LAYER", index: 0 },
    { kind: "CHANNEL", index: 2 * 256 },
  ]);
  const { folder, notes } = await exported(dataDirectory, grandchild, "SAFETENSORS", true);
  const found = await tensorsIn(folder);
  const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
  assert.deepEqual([config.num_hidden_layers, config.intermediate_size, config.torch_dtype], [10, 256, "float32"]);
  assert.match(notes.join(), /zeros/);
  // Layers 1, 2, 4, ... of what was registered are left; the third of the child is the fourth of it.
  const at = (layer: number, what: string) => `model.layers.${layer}.${what}.weight`;
  assert.deepEqual(found.get(at(0, "self_attn.k_proj")), original.get(at(1, "self_attn.k_proj")));
  assert.deepEqual(found.get(at(2, "self_attn.o_proj")), original.get(at(4, "self_attn.o_proj")));
  const gate = original.get(at(2, "mlp.gate_proj")) as Float32Array;
  assert.deepEqual(found.get(at(1, "mlp.gate_proj")), Float32Array.from([...gate.subarray(96), ...new Float32Array(96)]));
});

const known = fixtures.filter(({ folder }) => {
  const config = join(folder, "config.json");
  return existsSync(config) && findFamily(JSON.parse(readFileSync(config, "utf8")).model_type);
});

for (const { name, folder, read } of known)
  test(`${name}: weights are found by what they do`, async () => {
    const parent = await stored(dataDirectory, folder);
    // Its rotary pairs are neighbours, which its configuration does not say.
    if (name.endsWith("/interleaved")) return assert.rejects(exported(dataDirectory, parent, "SAFETENSORS"), { code: "EXPORT_MISMATCH" });
    const { folder: written } = await exported(dataDirectory, parent, "SAFETENSORS");
    const { tokens = [], logits = [] } = read().expected;
    const { bytes } = await graphOfFolder({ root: written, folder: written });
    const built = await mkdtemp(join(dataDirectory, "built-"));
    for (const file of ["config.json", "model.safetensors"]) writeFileSync(join(built, file), readFileSync(join(written, file)));
    writeFileSync(join(built, "model.onnx"), bytes);
    const model = await LanguageModel.open({ folder: built, executionProvider: "CPU", threads: 1 });
    try {
      for (const [i, row] of tokens.entries()) {
        const expected = (logits[i] as readonly (readonly number[])[]).flat();
        const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
        const found = await model.logits([row]);
        const apart = found.reduce((most, v, j) => Math.max(most, Math.abs(v - (expected[j] as number))), 0);
        assert.ok(apart < 1e-4 * largest, `logits differ from PyTorch's by ${apart} of ${largest}`);
      }
    } finally {
      await model.close();
    }
  });

/** Graphs whose projections are packed or split otherwise than the family's files are. */
for (const name of ["genai/gemma2", "genai/phi3", "ort-optimized/gpt2", "dynamo/falcon", "optimum/gpt_neox", "torchscript17/qwen2"])
  test(`${name}: so are those of what is left of it`, async () => {
    const fixture = known.find((each) => each.name === name);
    assert.ok(fixture, name);
    const parent = await stored(dataDirectory, fixture.folder);
    for (const { removed, padding } of childCases)
      assert.ok((await exported(dataDirectory, await childOf(dataDirectory, parent, removed(parent)), "SAFETENSORS", padding)).files);
  });
