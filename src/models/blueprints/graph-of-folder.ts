import { createReadStream } from "node:fs";
import { join } from "node:path";
import { EspalierError } from "../../errors.ts";
import { encode } from "../../onnx/encode.ts";
import { sha256OfStream } from "../../sha256-of-stream.ts";
import { readJson } from "../../text/model-config.ts";
import type { Blueprint } from "./blueprint.ts";
import { buildModel } from "./build.ts";
import { Config } from "./config.ts";
import { families } from "./families/index.ts";
import type { Family } from "./family.ts";
import type { StoredTensor } from "./safetensors.ts";
import { storedWeights } from "./stored-weights.ts";
import { unevenLayers } from "./uneven-layers.ts";
import { Weights } from "./weights.ts";

/** Tables that files may hold and that are worked out anew: causal masks, and how fast positions turn. */
export const tables = [/(?:^|\.)(?:attn|attention|self_attn|self_attention)\.(?:bias|masked_bias)$/, /(?:^|\.)rotary_emb\.inv_freq$/];

/**
 * The ONNX graph of a folder in the Hugging Face layout that holds weights and no graph: what its config.json describes, over its
 * `.safetensors` files as they are.
 *
 * @returns the bytes of an ONNX file, whose external data are those files; and what users should know of it
 * @throws EspalierError UNSUPPORTED_FAMILY; UNSUPPORTED_CONFIG with the key; INVALID_SAFETENSORS, WEIGHTS_MISMATCH with file and tensor;
 *   INVALID_JSON
 */
export async function graphOfFolder(place: {
  readonly root: string;
  readonly folder: string;
}): Promise<{ readonly bytes: Uint8Array; readonly notes: readonly string[] }> {
  const { family, blueprint } = blueprintOf((await readJson(place.folder, "config.json")) ?? {});
  const { embedding, head } = blueprint;
  const tied = head.weight === embedding.weight ? [embedding.weight, family.head ?? "lm_head.weight"] : [];
  const stored = await storedWeights(place);
  const weights = new Weights(stored, place.folder, family.prefix ?? "model.", tied);
  const model = buildModel(blueprint, weights);
  weights.requireAllTaken(tables);
  await requireSame(
    place.folder,
    tied.flatMap((name) => stored.get(name) ?? []),
  );
  return { bytes: encode(model), notes: notesOf(blueprint) };
}

/**
 * What a config.json describes, and of which family it is.
 *
 * @throws EspalierError UNSUPPORTED_FAMILY; UNSUPPORTED_CONFIG with the key
 */
export function blueprintOf(whole: Readonly<Record<string, unknown>>): { readonly family: Family; readonly blueprint: Blueprint } {
  const family = familyOf(whole["model_type"]);
  const config = new Config(whole);
  requireNotQuantised(whole);
  const blueprint = family.blueprint(config);
  config.requireAllRead();
  return { family, blueprint: unevenLayers(blueprint, whole["espalier"]) };
}

function notesOf({ layers }: Blueprint): string[] {
  const biased = layers.some(({ attention }) => attention.alibi)
    ? [
        "what positions add to scores (ALiBi) is computed in float32, where transformers rounds it to bfloat16: past 256 tokens the two differ",
      ]
    : [];
  const lengths = layers.flatMap(({ attention }) => attention.rotary?.frequencies.beyond?.tokens ?? []);
  const frequencies = [...new Set(lengths)].map(
    (tokens) =>
      `texts of more than ${tokens} tokens are read with other rotary frequencies than shorter ones; ` +
      "a text that grows past that length while it is written keeps the keys that were made before",
  );
  return [...biased, ...frequencies];
}

/** A head that is tied and stored all the same must be the embedding, byte for byte. @throws EspalierError WEIGHTS_MISMATCH */
async function requireSame(folder: string, [embedding, head]: readonly StoredTensor[]): Promise<void> {
  if (!embedding || !head) return;
  const read = ({ file, offset, length }: StoredTensor) =>
    createReadStream(join(folder, file), { start: offset, end: offset + length - 1, highWaterMark: 1 << 20 });
  const digest = async (tensor: StoredTensor) => (await sha256OfStream(read(tensor))).sha256;
  if (embedding.length === head.length && (head.length === 0 || (await digest(embedding)) === (await digest(head)))) return;
  throw new EspalierError(
    "WEIGHTS_MISMATCH",
    `config.json ties the head to the embedding, but ${head.file} holds a "${head.name}" that differs from "${embedding.name}"; ` +
      "state tie_word_embeddings = false if it is meant",
    { file: head.file, tensor: head.name },
  );
}

/** Undefined for a family that is not known. */
export const findFamily = (modelType: unknown): Family | undefined => families.find((f) => f.modelType === modelType);

function familyOf(modelType: unknown): Family {
  const found = findFamily(modelType);
  if (found) return found;
  const known = families.map((f) => f.modelType);
  throw new EspalierError(
    "UNSUPPORTED_FAMILY",
    `the folder holds weights and no ONNX graph, and config.json states model_type = ${JSON.stringify(modelType ?? null)?.slice(0, 200)}, ` +
      `which no graph is built of; those known are ${known.join(", ")}. Export the model to ONNX`,
    { modelType: modelType ?? null, known },
  );
}

function requireNotQuantised(config: Readonly<Record<string, unknown>>): void {
  if (config["quantization_config"] == null) return;
  throw new EspalierError(
    "UNSUPPORTED_CONFIG",
    "config.json states a quantization_config; weights of F32, F16 and BF16 are read. Register the model it was made from",
    { key: "quantization_config" },
  );
}
