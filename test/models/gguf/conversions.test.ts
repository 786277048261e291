import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { EspalierError } from "../../../src/errors.ts";
import { finished } from "../../../src/finished.ts";
import { LanguageModel } from "../../../src/inference/language-model.ts";
import { blueprintOf, graphOfFolder } from "../../../src/models/blueprints/graph-of-folder.ts";
import type { Architecture } from "../../../src/models/gguf/architectures/architecture.ts";
import { architectureOf } from "../../../src/models/gguf/architectures/index.ts";
import { type Container, type Metadata, readContainer } from "../../../src/models/gguf/container.ts";
import { Facts } from "../../../src/models/gguf/facts.ts";
import { folderOfGguf } from "../../../src/models/gguf/folder-of-gguf.ts";
import { ggufOfFolder } from "../../../src/models/gguf/gguf-of-folder.ts";
import { differences } from "../../../src/models/gguf/same-blueprint.ts";
import { type Variant, variantOf, variants, writeFolder } from "../../support/safetensors-folder.ts";

/** What llama.cpp's own converter makes of the same models (scripts/fixtures/gguf_conversions.py). */
interface Conversion {
  readonly refused?: string;
  readonly architecture: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<Record<string, { readonly shape: readonly number[]; readonly sha256: string }>>;
}
const path = fileURLToPath(new URL("../../fixtures/gguf/conversions.json", import.meta.url));
const conversions = JSON.parse(readFileSync(path, "utf8")) as Readonly<Record<string, Conversion>>;

const mixturesOf = (family: string) =>
  [...(variants.get(family)?.keys() ?? [])].map(
    (name) => [`${family}/${name}`, /mixtures of experts are not written as GGUF yet/] as const,
  );

/** What GGUF files, or llama.cpp, cannot say. */
const refused: Readonly<Record<string, RegExp>> = {
  "cohere/norms": /its head must be its embedding/,
  "cohere/unbiased": /norms of queries and keys in models of 64 layers/,
  "cohere2/biases": /no place for the bias "blk.0.attn_output.bias"/,
  "exaone4/base": /layers.1.attention.rotary/,
  "falcon/one_norm": /no place for the bias "blk.0.attn_qkv.bias"/,
  "falcon/sequential": /post_attention_layernorm\..* has no place/,
  "falcon/alibi": /post_attention_layernorm\..* has no place/,
  "gemma/one_for_all": /nearest/,
  "gemma2/base": /layers.0.attention.scale/,
  "gemma2/uncapped": /no place for the bias/,
  "gemma2/whole": /layers.0.attention.scale/,
  "gemma3_text/base": /layers.0.attention.scale/,
  "gemma3_text/linear": /layers.0.attention.scale/,
  "gemma3_text/capped": /no place for the bias/,
  "glm/base": /as wide as the stream/,
  "glm/tied": /as wide as the stream/,
  "gpt2/scaled": /layers.0.mlp.activation/,
  "gpt2/unscaled": /layers.0.attention.scale/,
  "gpt_neox/sequential": /asks for a bias of "attn_qkv"/,
  "gptj/base": /llama.cpp has the name "gptj" and no model of it/,
  "gptj/whole": /llama.cpp has the name "gptj" and no model of it/,
  ...Object.fromEntries(["mixtral", "qwen2_moe", "qwen3_moe", "olmoe"].flatMap(mixturesOf)),
  "llama/biases": /layers.0.mlp.activation is "GELU"/,
  "nemotron/base": /as wide as the stream/,
  "nemotron/biases": /as wide as the stream/,
  "olmo/clipped": /no place for the bias/,
  "olmo2/tied": /no place for the bias/,
  "opt/base": /llama.cpp has no architecture for OPT/,
  "opt/after": /llama.cpp has no architecture for OPT/,
  "opt/bare": /llama.cpp has no architecture for OPT/,
  "phi/norms": /has no place/,
  "qwen3/tied": /no place for the bias/,
  "smollm3/base": /layers.1.attention.rotary/,
  "smollm3/windows": /layers.1.attention.rotary/,
  "starcoder2/windows": /asks for a bias of "attn_output"/,
};

/** Where the converter writes the same for all models, or what is not asked for. */
const unlike = new Set([
  // Of transformers' GLM the converter reads the keys of the first ChatGLM, which its config.json has not.
  "chatglm.context_length",
  "chatglm.attention.layer_norm_rms_epsilon",
  "falcon.tensor_data_layout",
  "nemotron.attention.layer_norm_rms_epsilon",
  "falcon.context_length",
  "phi2.feed_forward_length",
  "phi3.attention.sliding_window",
]);
/** Written by the converter, and said otherwise or by default here. */
const leftOut =
  /\.rope\.scaling\.(?:type|original_context_length|yarn_attn_factor)$|\.attention\.sliding_window(?:_pattern)?$|\.logit_scale$/;
/** Tied heads that llama.cpp asks for and the converter leaves out; scalings that it does not write for this architecture. */
const added = new Set(["llama/longrope", "olmo2/unbiased"]);

/** Files that the converter writes without something of the model: which layers have windows, a head, a scale, factors, a width, an epsilon. */
const incomplete = new Set(["cohere2/base", "glm/square", "llama/longrope", "llama/yarn_all", "olmo2/unbiased", "phi/base"]);

/** Numbers of factors are not kept in the reference; windows that llama.cpp does not read, its converter leaves out. */
const saidElsewhere = /frequencies\.(?:values|beyond)|\.window$|activation$/;

const scratch = mkdtempSync(join(tmpdir(), "espalier-gguf-"));
after(() => rmSync(scratch, { recursive: true }));

const near = (a: unknown, b: unknown): boolean =>
  typeof a === "number" && typeof b === "number"
    ? Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b))
    : JSON.stringify(a) === JSON.stringify(b);

async function written(name: string, variant: Variant): Promise<Container & { readonly target: string }> {
  const folder = writeFolder(join(scratch, name.replace("/", "-")), variant);
  const target = `${folder}.gguf`;
  await finished(ggufOfFolder({ folder, name: "tiny", quantisation: "F32", target }));
  return { target, ...readContainer(target, "tiny.gguf") };
}

/** The graph of a file that is read again has transformers' logits, for texts as long as the file says. */
async function requireLogits({ target, metadata }: Container & { readonly target: string }, { tokens, logits }: Variant): Promise<void> {
  const folder = `${target}-back`;
  await finished(folderOfGguf([{ path: target, file: "tiny.gguf" }], folder));
  writeFileSync(join(folder, "model.onnx"), (await graphOfFolder({ root: folder, folder })).bytes);
  const length = Math.min(tokens.length, Number(metadata.get(`${metadata.get("general.architecture")}.context_length`)));
  const model = await LanguageModel.open({ folder, executionProvider: "CPU", threads: 1 });
  const found = await model.logits([tokens.slice(0, length)]).finally(() => model.close());
  const largest = logits.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const apart = found.reduce((most, v, i) => Math.max(most, Math.abs(v - (logits[i] as number))), 0);
  assert.equal(found.length, (logits.length / tokens.length) * length);
  assert.ok(apart < 1e-4 * largest, `logits differ by ${apart} of ${largest}`);
}

function requireSame(name: string, { target, metadata, tensors }: Container & { readonly target: string }, expected: Conversion): void {
  const context = `${expected.architecture}.context_length`;
  for (const [key, value] of Object.entries(expected.metadata)) {
    const own = metadata.get(key);
    if (unlike.has(key) || (own === undefined && leftOut.test(key)) || (key === context && Number(own) < Number(value))) continue;
    assert.ok(near(own, value), `${key} is ${JSON.stringify(own)}, and ${JSON.stringify(value)} by llama.cpp's converter`);
  }
  const bytes = readFileSync(target);
  const digest = (offset: number, length: number) =>
    createHash("sha256")
      .update(bytes.subarray(offset, offset + length))
      .digest("hex");
  for (const [tensor, { shape, sha256 }] of Object.entries(expected.tensors)) {
    const own = tensors.get(tensor);
    assert.deepEqual(own?.dims, shape, tensor);
    // Factors of positions are worked out, in another order.
    if (!tensor.startsWith("rope_")) assert.equal(own && digest(own.offset, own.length), sha256, tensor);
  }
  if (!added.has(name)) assert.equal(tensors.size, Object.keys(expected.tensors).length);
}

describe("a GGUF file that llama.cpp's converter wrote", () => {
  for (const [name, { refused: reason, architecture, metadata, tensors }] of Object.entries(conversions)) {
    if (reason || refused[name] || incomplete.has(name)) continue;
    it(`${name}: is read as the model that it was made of`, () => {
      const [family, option] = name.split("/") as [string, string];
      const { config } = variantOf(family, option);
      const shapes = new Map(Object.entries(tensors).map(([tensor, { shape }]) => [tensor, shape]));
      const factors = () => Float32Array.from({ length: 8 }, () => 1);
      const known = architectureOf(architecture, (tensor) => shapes.has(tensor) || shapes.has(`blk.0.${tensor}`)) as Architecture;
      const facts = new Facts(
        { metadata: new Map(Object.entries(metadata)) as Metadata, shapes, numbers: factors, file: "a.gguf" },
        architecture,
      );
      const read = blueprintOf(known.config(facts)).blueprint;
      facts.requireAllRead();
      const context = Number(metadata[`${architecture}.context_length`]);
      const left = differences(blueprintOf(config).blueprint, read, context).filter(({ at }) => !saidElsewhere.test(at));
      assert.deepEqual(left, []);
    });
  }
});

for (const [family, rows] of variants)
  describe(`a ${family} as a GGUF file`, () => {
    for (const [option, variant] of rows) {
      const name = `${family}/${option}`;
      const reason = refused[name];
      if (reason)
        it(`${option}: is refused`, () =>
          assert.rejects(written(name, variant), (error) => {
            assert.ok(error instanceof EspalierError && error.code === "EXPORT_UNSUPPORTED", String(error));
            assert.match(error.message, reason);
            return true;
          }));
      else
        it(`${option}: is what llama.cpp's converter writes, and has transformers' logits when it is read again`, async (t) => {
          const made = await written(name, variant);
          // For positions that a longer text turns otherwise, the reference is of such a text.
          if (name !== "llama/dynamic") await requireLogits(made, variant);
          const expected = conversions[name];
          if (!expected || expected.refused) t.diagnostic(`the converter gives none: ${expected?.refused}`);
          else if (made.metadata.get("general.architecture") !== expected.architecture)
            t.diagnostic(`written as ${made.metadata.get("general.architecture")}, and as ${expected.architecture} by the converter`);
          else requireSame(name, made, expected);
        });
    }
  });
