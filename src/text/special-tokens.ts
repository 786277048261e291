import { readJson } from "./model-config.ts";

/** Tokens with a part to play, by its name (`bos_token`), and lists of others. What no file names is absent. */
export type SpecialTokens = Readonly<Record<string, string | readonly string[]>>;

/** A token as these files write it: its text, or a record that holds its text. */
function textOf(value: unknown): string | null {
  const text = typeof value === "object" && value !== null ? (value as { readonly content?: unknown }).content : value;
  return typeof text === "string" ? text : null;
}

/**
 * The special tokens that tokenizer_config.json and special_tokens_map.json name. Where they differ the map counts, unless the
 * configuration lists the added tokens itself: then it was written later, and the map is only a copy for old readers.
 *
 * @throws EspalierError INVALID_JSON
 */
export async function readSpecialTokens(folder: string): Promise<SpecialTokens> {
  const [config, map] = await Promise.all([readJson(folder, "tokenizer_config.json"), readJson(folder, "special_tokens_map.json")]);
  const files = config?.["added_tokens_decoder"] ? [map, config] : [config, map];
  const found: Record<string, string | readonly string[]> = {};
  for (const [name, value] of files.flatMap((file) => Object.entries(file ?? {}))) {
    const text = textOf(value);
    if (name.endsWith("_token") && text !== null) found[name] = text;
    else if (name === "additional_special_tokens" && Array.isArray(value)) found[name] = value.flatMap((v) => textOf(v) ?? []);
  }
  return found;
}
