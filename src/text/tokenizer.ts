import { Tokenizer as Library } from "@huggingface/tokenizers";
import { EspalierError } from "../errors.ts";
import { readJson, readModelConfig } from "./model-config.ts";

/** Text to token ids and back, and the ids that frame a document. */
export interface Tokenizer {
  /** One above the largest token id. */
  readonly vocabularySize: number;
  /** What begins every document: usually one id, for some models none. */
  readonly documentStart: readonly number[];
  /** What the tokenizer itself puts before a text: none where its post-processor adds nothing. */
  readonly ownStart: readonly number[];
  /** What stands in an empty text's place: the tokenizer's BOS token, else its EOS; null if it has neither. */
  readonly emptyId: number | null;
  /** Ids that end a text. */
  readonly eosIds: readonly number[];
  /** Ids that are control signs and never text. */
  readonly specialIds: ReadonlySet<number>;
  /** The text alone: nothing put before or after. */
  encode(text: string): number[];
  /** `documentStart`, then the text. */
  encodeDocument(text: string): number[];
  /** The text of the ids, special ids left out. A character cut off at an end comes out as U+FFFD. */
  decode(ids: readonly number[]): string;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads the tokenizer of a model folder.
 *
 * A document begins as the tokenizer's post-processor has it. Where that adds nothing, it begins with the model's BOS
 * token, which such models (GPT-2 and its kin) were trained to see between documents.
 *
 * @throws EspalierError TOKENIZER_MISSING if the folder has no tokenizer.json; INVALID_TOKENIZER if it cannot be used
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const [definition, settings, config] = await Promise.all([
    readJson(folder, "tokenizer.json"),
    readJson(folder, "tokenizer_config.json"),
    readModelConfig(folder),
  ]);
  if (!definition)
    throw new EspalierError("TOKENIZER_MISSING", "the model's folder has no tokenizer.json, without which text cannot be read or written");
  const library = open(definition, settings ?? {});

  const encode = (text: string): number[] => library.encode(text, { add_special_tokens: false }).ids;
  const idOf = (name: string): number | undefined => {
    const token = settings?.[name] as string | { content?: string } | null | undefined;
    return library.token_to_id((typeof token === "object" ? token?.content : token) ?? "");
  };
  const [ownBosId, eosId] = [idOf("bos_token"), idOf("eos_token")];
  const bosId = config.bosId ?? ownBosId ?? null;
  const ownStart = prefixOf(library);
  const documentStart = ownStart.length > 0 || bosId === null ? ownStart : [bosId];
  return {
    vocabularySize: [...library.get_vocab().values()].reduce((a, b) => Math.max(a, b)) + 1,
    documentStart,
    ownStart,
    emptyId: ownBosId ?? eosId ?? bosId ?? config.eosIds[0] ?? null,
    eosIds: config.eosIds.length > 0 || eosId === undefined ? config.eosIds : [eosId],
    specialIds: new Set([...library.get_added_tokens_decoder()].filter(([, token]) => token.special).map(([id]) => id)),
    encode,
    encodeDocument: (text) => [...documentStart, ...encode(text)],
    decode: (ids) =>
      // The clean-up of spaces would change what the model wrote, and a text's beginning once its end is known.
      ids.length === 0 ? "" : library.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
  };
}

function open(definition: Json, settings: Json): Library {
  try {
    return new Library({ ...definition, ...splitWords(definition) }, settings);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EspalierError("INVALID_TOKENIZER", `tokenizer.json cannot be used: ${reason}`, { reason }, { cause });
  }
}

/** What the post-processor puts before a text. */
function prefixOf(library: Library): number[] {
  const text: number[] = library.encode("a", { add_special_tokens: false }).ids;
  const framed: number[] = library.encode("a").ids;
  const at = framed.findIndex((_, i) => text.every((id, j) => framed[i + j] === id));
  return framed.slice(0, Math.max(0, at));
}

/**
 * SentencePiece models merge over the whole text at once, which is slow for long ones. Where no token of the vocabulary
 * holds a space sign after another character, no merge crosses the beginning of a word, and merging word by word
 * gives the same tokens (and lets the library remember words).
 */
function splitWords(definition: Json): Json {
  const model = definition["model"] as { type?: unknown; vocab?: Record<string, number> } | undefined;
  if (definition["pre_tokenizer"] || model?.type !== "BPE" || Object.keys(model.vocab ?? {}).some((t) => /[^▁]▁/u.test(t))) return {};
  return { pre_tokenizer: { type: "Split", pattern: { Regex: "▁+[^▁]*|[^▁]+" }, behavior: "Isolated", invert: false } };
}
