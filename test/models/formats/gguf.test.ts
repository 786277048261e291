import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { materialise } from "../../../src/artifacts/model-files.ts";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import type { WeightType } from "../../../src/models/formats/weight-types.ts";
import { readContainer } from "../../../src/models/gguf/container.ts";
import type { InspectedModel } from "../../../src/models/types.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";
import { childOf, exported, stored } from "../../support/exported.ts";
import { type LlamaCppAnswer, type LlamaCppRequest, runLlamaCpp, withoutLlamaCpp } from "../../support/llama-cpp.ts";
import { childCases } from "../../support/safetensors-cases.ts";
import { variantOf, writeFolder } from "../../support/safetensors-folder.ts";

let dataDirectory: string;
before(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), "espalier-gguf-"));
});
after(() => rm(dataDirectory, { recursive: true }));

const parentOf = (family: string, variant: string) =>
  stored(dataDirectory, writeFolder(join(dataDirectory, `${family}-${variant}`), variantOf(family, variant)));

const ahab = fileURLToPath(new URL("../../../models/ahab", import.meta.url));
/** The bundled model as its weights. */
async function bundled(): Promise<InspectedModel> {
  const folder = join(dataDirectory, "ahab");
  await cp(ahab, folder, { recursive: true, filter: (path) => !path.endsWith("onnx") });
  return stored(dataDirectory, folder);
}

const fileOf = (folder: string, weights: WeightType): string => join(folder, `model-${weights}.gguf`);

const far = (found: Float32Array, expected: Float32Array): number => {
  const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  return expected.reduce((most, v, i) => Math.max(most, Math.abs(v - (found[i] ?? Number.NaN))), 0) / largest;
};

/** A variant of each architecture, and how far llama.cpp's logits may be: where it works GELU out it does so in float16. */
const [tight, byTable] = [1e-5, 2e-3];
const architectures: readonly (readonly [family: string, variant: string, name: string, allowed: number])[] = [
  ["llama", "llama3", "llama", tight],
  ["llama", "yarn_whole", "llama", tight],
  ["mistral", "whole", "llama", tight],
  ["qwen2", "yarn", "qwen2", tight],
  ["qwen3", "base", "qwen3", tight],
  ["smollm3", "four", "smollm3", tight],
  ["gemma", "base", "gemma", byTable],
  ["gemma2", "by_head", "gemma2", byTable],
  ["gemma3_text", "by_head", "gemma3", byTable],
  ["phi", "base", "phi2", byTable],
  ["phi3", "base", "phi3", tight],
  ["olmo", "unbiased", "olmo", tight],
  ["olmo2", "unbiased", "olmo2", tight],
  ["olmo3", "yarn", "olmo2", tight],
  ["granite", "base", "granite", tight],
  ["cohere", "base", "command-r", tight],
  ["cohere2", "base", "cohere2", tight],
  ["glm", "square", "chatglm", tight],
  ["glm4", "base", "glm4", tight],
  ["stablelm", "norms", "stablelm", tight],
  ["stablelm", "parallel", "stablelm", tight],
  ["starcoder2", "base", "starcoder2", byTable],
  ["nemotron", "square", "nemotron", tight],
  ["exaone", "base", "exaone", tight],
  ["exaone", "tied", "exaone", tight],
  ["exaone4", "whole", "exaone4", tight],
  ["gpt2", "base", "gpt2", byTable],
  ["gpt_neox", "base", "gptneox", byTable],
  ["falcon", "base", "falcon", byTable],
  ["falcon", "grouped", "falcon", byTable],
];

test("a model of each architecture is loaded by llama.cpp, and has transformers' logits there", { skip: withoutLlamaCpp }, async () => {
  const requests: LlamaCppRequest[] = [];
  for (const [family, variant, name] of architectures) {
    const { folder } = await exported(dataDirectory, await parentOf(family, variant), "GGUF", false, "F32");
    const path = fileOf(folder, "F32");
    assert.equal(readContainer(path, "").metadata.get("general.architecture"), name);
    requests.push({ path, prompt: variantOf(family, variant).tokens, vocabulary: 97, count: 0 });
  }
  for (const [i, { refused, logits }] of (await runLlamaCpp(requests)).entries()) {
    const [family, variant, , allowed] = architectures[i] as (typeof architectures)[number];
    assert.equal(refused, undefined, `${family}/${variant}`);
    const apart = far(logits, variantOf(family, variant).logits);
    assert.ok(apart < allowed, `${family}/${variant}: logits differ by ${apart} of the largest`);
  }
});

/** Which architecture a child of a family is written as: `padding` where it is filled up, and a reason where it is refused. */
const children: Readonly<Record<string, Readonly<Record<string, string | RegExp>>>> = {
  llama: {
    "a layer less": "llama",
    "channels less in each layer": "llama",
    "a head and channels less in each layer": "llama",
    "layers of unlike widths": "deci",
    "halves of layers": "deci",
  },
  qwen2: {
    "a layer less": "qwen2",
    "channels less in each layer": "qwen2",
    "layers of unlike widths": "deci",
    "halves of layers": "deci",
  },
  qwen3: {
    "a layer less": "qwen3",
    "channels less in each layer": "qwen3",
    "a head and channels less in each layer": "qwen3",
    "layers of unlike widths": /no heads and widths layer by layer.*uniform: \{\}/,
    "halves of layers": /no heads and widths layer by layer/,
  },
  gpt2: {
    "a layer less": "gpt2",
    "channels less in each layer": "gpt2",
    "a head and channels less in each layer": /as wide as the stream/,
  },
};

describe("a child as a GGUF file", () => {
  for (const [family, cases] of Object.entries(children))
    for (const [name, outcome] of Object.entries(cases))
      test(`of a ${family}, ${name}: ${typeof outcome === "string" ? `is written as ${outcome}` : "is refused, or filled up with zeros"}`, async () => {
        const parent = await parentOf(family, "base");
        const removed = childCases.find((c) => c.name === name)?.removed(parent) ?? [];
        const child = await childOf(dataDirectory, parent, removed);
        const write = (padding: boolean) => exported(dataDirectory, child, "GGUF", padding, "F32");
        if (typeof outcome !== "string") await assert.rejects(write(false), { code: "EXPORT_UNSUPPORTED", message: outcome });
        const { folder, notes } = await write(typeof outcome !== "string");
        const path = fileOf(folder, "F32");
        const { metadata } = readContainer(path, "");
        if (typeof outcome === "string") assert.equal(metadata.get("general.architecture"), outcome);
        else assert.match(notes.join(), /filled up with zeros/);
        if (withoutLlamaCpp) return;
        const { tokens } = variantOf(family);
        const model = await LanguageModel.open({
          folder: await materialise({ dataDirectory, ...child }),
          executionProvider: "CPU",
          threads: 1,
        });
        const expected = await model.logits([tokens]).finally(() => model.close());
        const [answer] = await runLlamaCpp([{ path, prompt: tokens, vocabulary: 97, count: 0 }]);
        assert.equal(answer?.refused, undefined);
        const apart = far((answer as LlamaCppAnswer).logits, expected);
        assert.ok(apart < (family === "gpt2" ? byTable : tight), `logits differ by ${apart} of the largest`);
      });
});

/** How far from the model's llama.cpp's logits of the bundled model may be: its own arithmetic is in 8 bits where weights are quantised. */
const bits: readonly (readonly [WeightType, number])[] = [
  ["F32", 1e-5],
  ["F16", 1e-3],
  ["Q8_0", 0.05],
  ["Q4_0", 0.3],
  ["Q4_K_M", 0.2],
];

test("llama.cpp cuts the bundled model's texts as the server does and writes its greedy text, of the model and its children", async (t) => {
  if (withoutLlamaCpp) return t.skip(withoutLlamaCpp);
  const parent = await bundled();
  const prompt = "Call me Ishmael. Some years ago";
  const requests: LlamaCppRequest[] = [];
  const expected: {
    readonly name: string;
    readonly tokens: number[];
    readonly text: number[];
    readonly logits: Float32Array;
    readonly allowed: number;
  }[] = [];
  const cases = childCases.filter(({ name }) => ["a head and channels less in each layer", "layers of unlike widths"].includes(name));
  for (const { name, removed } of [{ name: "the model", removed: () => [] }, ...cases]) {
    const model = removed(parent).length > 0 ? await childOf(dataDirectory, parent, removed(parent)) : parent;
    const folder = await materialise({ dataDirectory, ...model });
    const tokens = (await loadTokenizer(folder, 2048)).encodeDocument(prompt);
    const language = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
    const text: number[] = [];
    const logits = await language.logits([tokens]);
    let { past, logits: row } = await language.read(language.start, tokens);
    while (text.length < 24) {
      text.push(row.indexOf(row.reduce((most, v) => Math.max(most, v))));
      ({ past, logits: row } = await language.read(past, text.slice(-1)));
    }
    await language.close();
    for (const [weights, allowed] of name === "the model" ? bits : bits.slice(0, 1)) {
      const { folder: written } = await exported(dataDirectory, model, "GGUF", false, weights);
      requests.push({ path: fileOf(written, weights), prompt, vocabulary: 2048, count: 24 });
      expected.push({ name: `${name}, ${weights}`, tokens, text, logits, allowed });
    }
  }
  for (const [i, { refused, tokens, text, logits }] of (await runLlamaCpp(requests)).entries()) {
    const { name, allowed, ...own } = expected[i] as (typeof expected)[number];
    assert.equal(refused, undefined, name);
    assert.deepEqual(tokens, own.tokens, name);
    const apart = far(logits, own.logits);
    assert.ok(apart < allowed, `${name}: logits differ by ${apart} of the largest`);
    if (allowed < 0.01) assert.deepEqual(text, own.text, name);
  }
});
