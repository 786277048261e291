import { isObject } from "../../../is-object.ts";
import { cacheEntries, cacheLayers } from "../../../signature/caches.ts";
import { logitsOf } from "../../../signature/logits.ts";
import { signatureOf } from "../../../signature/signature.ts";
import { readJson, readModelConfig } from "../../../text/model-config.ts";
import type { ExportSource } from "../format.ts";

/** Of a model that says nothing of its context. */
const usualContext = 2048;

const firstOf = (config: Readonly<Record<string, unknown>>, ...names: readonly string[]): number | undefined =>
  names.map((name) => config[name]).find((value): value is number => typeof value === "number");

/** Names that count their layers, as one with `%d` for the number; null if they do not. */
function counted(names: readonly string[]): string | null {
  const [first] = names;
  const pattern = first?.replace(/\d+/, "%d");
  return pattern !== undefined && pattern !== first && names.every((name, i) => name === pattern.replace("%d", String(i))) ? pattern : null;
}

/**
 * The genai_config.json by which onnxruntime-genai loads a graph: that of the folder, or one made of the graph's own inputs and outputs. Numbers of
 * heads it reads off the graph itself, each layer's own.
 *
 * Source: onnxruntime-genai's description of the file, onnxruntime.ai/docs/genai/reference/config.html.
 *
 * @param filename where the graph lies in the export
 * @returns null for a graph without a cache, or whose inputs of it are not numbered: onnxruntime-genai finds no cache in it
 */
export async function genaiConfig(
  source: ExportSource,
  filename: string,
): Promise<{ readonly config: Record<string, unknown>; readonly notes: readonly string[] } | null> {
  const stated = await readJson(source.folder, "genai_config.json");
  if (stated && isObject(stated["model"]) && isObject(stated["model"]["decoder"]))
    return { config: { ...stated, model: { ...stated["model"], decoder: { ...stated["model"]["decoder"], filename } } }, notes: [] };
  const { inputs, outputs } = source.model.graph;
  const { tokens, mask, positions, caches } = signatureOf(inputs);
  const entries = cacheEntries(inputs, outputs);
  const pairs = (names: readonly string[]) => [0, 1].map((part) => counted(names.filter((_, i) => i % 2 === part)));
  const [pastKeys, pastValues] = pairs(entries.map(({ input }) => input.name));
  const [presentKeys, presentValues] = pairs(entries.map(({ output }) => output));
  const layers = cacheLayers(caches);
  const [first] = layers;
  if (!first || !pastKeys || !pastValues || !presentKeys || !presentValues) return null;
  const config = (await readJson(source.folder, "config.json")) ?? {};
  const { contextLength, bosId, eosIds } = await readModelConfig(source.folder);
  const hidden = firstOf(config, "hidden_size", "n_embd", "d_model");
  const context = contextLength ?? usualContext;
  const [eos] = eosIds;
  const made = {
    model: {
      type: "decoder",
      ...(bosId === null ? {} : { bos_token_id: bosId }),
      eos_token_id: eosIds.length > 1 ? eosIds : (eos ?? source.vocabularySize - 1),
      pad_token_id: firstOf(config, "pad_token_id") ?? eos ?? 0,
      context_length: context,
      vocab_size: source.vocabularySize,
      decoder: {
        session_options: { provider_options: [] },
        filename,
        head_size: first.headWidth,
        ...(hidden === undefined ? {} : { hidden_size: hidden }),
        num_attention_heads: firstOf(config, "num_attention_heads", "n_head") ?? first.heads,
        num_hidden_layers: layers.length,
        num_key_value_heads: first.heads,
        inputs: {
          input_ids: tokens.name,
          ...(mask ? { attention_mask: mask.name } : {}),
          ...(positions ? { position_ids: positions.name } : {}),
          past_key_names: pastKeys,
          past_value_names: pastValues,
        },
        outputs: { logits: logitsOf(outputs).name, present_key_names: presentKeys, present_value_names: presentValues },
      },
    },
    search: { do_sample: false, max_length: context, past_present_share_buffer: false },
  };
  const last = source.vocabularySize - 1;
  return {
    config: made,
    notes:
      eos === undefined
        ? [`onnxruntime-genai asks for a token that ends texts, and the model names none: genai_config.json states the last, ${last}`]
        : [],
  };
}
