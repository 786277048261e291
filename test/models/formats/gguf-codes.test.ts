import assert from "node:assert/strict";
import { closeSync, openSync, readSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { materialise } from "../../../src/artifacts/model-files.ts";
import { compress } from "../../../src/compression/compress.ts";
import { compressionMethodNamed } from "../../../src/compression/methods/index.ts";
import { type CompressionOptions, defaultCompressionOptions } from "../../../src/compression/options.ts";
import { finished } from "../../../src/finished.ts";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import { exportCompressed } from "../../../src/models/export.ts";
import type { WeightType } from "../../../src/models/formats/weight-types.ts";
import { readContainer } from "../../../src/models/gguf/container.ts";
import { storeFolder } from "../../../src/models/inspect.ts";
import { openStoredModel } from "../../../src/models/stored-model.ts";
import type { InspectedModel } from "../../../src/models/types.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";
import { ahabFolder } from "../../support/ahab.ts";
import { exported, stored } from "../../support/exported.ts";
import { runLlamaCpp, withoutLlamaCpp } from "../../support/llama-cpp.ts";
import { runPython, withoutPackages } from "../../support/python.ts";
import { variantOf, writeFolder } from "../../support/safetensors-folder.ts";

let dataDirectory: string;
let ahab: InspectedModel;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-codes-"));
  const folder = join(dataDirectory, "ahab");
  await cp(ahabFolder, folder, { recursive: true, filter: (path) => !path.endsWith("model.safetensors") });
  ahab = await stored(dataDirectory, folder);
});
after(() => rm(dataDirectory, { recursive: true }));

/** A child of codes. */
async function coded(parent: InspectedModel, method: string, given: Partial<CompressionOptions>): Promise<InspectedModel> {
  const { model, folder, graph, graphFolder } = await openStoredModel({ dataDirectory, ...parent });
  const [scratch, destination] = [await mkdtemp(join(dataDirectory, "steps-")), await mkdtemp(join(dataDirectory, "child-"))];
  const named = compressionMethodNamed(method);
  const options: CompressionOptions = { ...defaultCompressionOptions, executionProvider: "CPU", samples: 8, ...given };
  const documents = named.needsGram ? ["It was the whale. ".repeat(800)] : [];
  const tokenizer = named.needsGram ? await loadTokenizer(folder) : (null as never);
  const job = { model, folder: graphFolder, tokenizer, documents, method: named, options, scratch, done: [] };
  const { compressed } = await finished(compress(job));
  await exportCompressed({ compressed, folder, files: parent.files, destination });
  return storeFolder(dataDirectory, destination, graph);
}

/** The types of a file's matrices, each with how many there are; and all tensors' numbers. */
function read(path: string): { readonly types: Record<string, number>; readonly values: ReadonlyMap<string, Float32Array> } {
  const values = new Map<string, Float32Array>();
  const types: Record<string, number> = {};
  const file = openSync(path, "r");
  for (const [name, { type, dims, offset, length }] of readContainer(path, "").tensors) {
    const [bytes, out] = [new Uint8Array(length), new Float32Array(dims.reduce((a, b) => a * b, 1))];
    readSync(file, bytes, 0, length, offset);
    type.decode(bytes, out);
    values.set(name, out);
    if (dims.length > 1) types[type.name] = (types[type.name] ?? 0) + 1;
  }
  closeSync(file);
  return { types, values };
}

const fileOf = (folder: string, weights: WeightType): string => join(folder, `model-${weights}.gguf`);

/** By statistics the bundled model's head, which its graph has beside the table, gets codes of its own. */
const cases: readonly (readonly [method: string, given: Partial<CompressionOptions>, types: Record<string, number>])[] = [
  ["RTN", { scheme: "INT4" }, { Q4_1: 84, Q8_0: 1 }],
  ["CLIP", { scheme: "INT4", symmetric: true, blockSize: 64 }, { Q4_0: 84, Q8_0: 2 }],
  ["RTN", { scheme: "INT8", symmetric: true }, { Q8_0: 85 }],
  ["PBS2P", { scheme: "TERNARY" }, { Q4_0: 84, F16: 1 }],
];

describe("codes as a GGUF file", () => {
  for (const [method, given, types] of cases)
    it(`are those of the model, each number: ${method}, ${JSON.stringify(given)}`, async (t: TestContext) => {
      const child = await coded(ahab, method, given);
      // Its logits are proven to be those of the model, at full precision.
      const { folder: plain } = await exported(dataDirectory, child, "GGUF", false, "F32");
      const { folder, notes } = await exported(dataDirectory, child, "GGUF", false, "AS_IS");
      const [expected, found] = [read(fileOf(plain, "F32")), read(fileOf(folder, "AS_IS"))];
      assert.deepEqual(found.types, types);
      assert.ok(!notes.some((note) => note.startsWith("kept in float32")), notes.join());
      assert.deepEqual([...found.values.keys()], [...expected.values.keys()]);
      for (const [name, values] of expected.values) {
        const own = found.values.get(name) as Float32Array;
        // Zeros may have a sign.
        assert.ok(values.length === own.length && values.every((value, i) => value === own[i]), name);
      }
      if (withoutPackages("gguf")) return t.diagnostic(String(withoutPackages("gguf")));
      const apart = await runPython("read_gguf.py", [fileOf(plain, "F32"), fileOf(folder, "AS_IS")]);
      assert.deepEqual(apart, []);
    });

  it("are loaded by llama.cpp, which writes the model's greedy text", { skip: withoutLlamaCpp }, async () => {
    const child = await coded(ahab, "RTN", { scheme: "INT8", symmetric: true });
    const { folder } = await exported(dataDirectory, child, "GGUF", false, "AS_IS");
    const language = await LanguageModel.open({
      folder: await materialise({ dataDirectory, ...child }),
      executionProvider: "CPU",
      threads: 1,
    });
    const prompt = "Call me Ishmael. Some years ago";
    const tokens = (await loadTokenizer(ahabFolder, 2048)).encodeDocument(prompt);
    const logits = await language.logits([tokens]);
    const text: number[] = [];
    let { past, logits: row } = await language.read(language.start, tokens);
    while (text.length < 12) {
      text.push(row.indexOf(row.reduce((most, v) => Math.max(most, v))));
      ({ past, logits: row } = await language.read(past, text.slice(-1)));
    }
    await language.close();
    const [answer] = await runLlamaCpp([{ path: fileOf(folder, "AS_IS"), prompt, vocabulary: 2048, count: 12 }]);
    assert.equal(answer?.refused, undefined);
    const largest = logits.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const apart = logits.reduce((most, v, i) => Math.max(most, Math.abs(v - (answer?.logits[i] ?? Number.NaN))), 0) / largest;
    assert.ok(apart < 0.05, `logits differ by ${apart} of the largest`);
    assert.deepEqual(answer?.text, text);
  });

  it("of a family that keeps matrices by inputs are turned as its own are", async () => {
    const folder = join(dataDirectory, "gpt2");
    await mkdir(folder);
    const parent = await stored(dataDirectory, writeFolder(folder, variantOf("gpt2", "base")));
    const child = await coded(parent, "RTN", { scheme: "INT4" });
    const { folder: plain } = await exported(dataDirectory, child, "GGUF", false, "F32");
    const { folder: same } = await exported(dataDirectory, child, "GGUF", false, "AS_IS");
    const [expected, found] = [read(fileOf(plain, "F32")), read(fileOf(same, "AS_IS"))];
    for (const [name, values] of expected.values) assert.deepEqual(found.values.get(name), values, name);
    assert.ok((found.types["Q4_1"] ?? 0) > 0, JSON.stringify(found.types));
  });

  it("are floats in .safetensors; and eight bits that lie unevenly have no blocks", async () => {
    const child = await coded(ahab, "RTN", { scheme: "INT8" });
    const { notes } = await exported(dataDirectory, child, "SAFETENSORS");
    assert.match(notes.join(), /what the model's codes stand for/);
    const { folder, notes: told } = await exported(dataDirectory, child, "GGUF", false, "AS_IS");
    assert.match(told.join(), /kept in float32.*symmetric: true/);
    assert.equal(read(fileOf(folder, "AS_IS")).types["F32"], 84);
    const { notes: anew } = await exported(dataDirectory, child, "GGUF", false, "Q4_0");
    assert.match(anew.join(), /rounded anew/);
  });
});
