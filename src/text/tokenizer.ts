import { EspalierError } from "../errors.ts";
import { readJson, readModelConfig } from "./model-config.ts";
import { readSpecialTokens } from "./special-tokens.ts";
import { readDefinition } from "./tokenizer/definition.ts";
import { type FramedText, framed, startOf } from "./tokenizer/framing.ts";
import { withinBounds } from "./tokenizer/within-bounds.ts";

/** Text to token ids and back, and the ids that frame a document. */
export interface Tokenizer {
  /** One above the largest token id, and no more than the model's embedding has rows. */
  readonly vocabularySize: number;
  /** What begins every document: usually one id, for some models none. */
  readonly documentStart: readonly number[];
  /** What the tokenizer itself puts before a text: none where its post-processor adds nothing. */
  readonly ownStart: readonly number[];
  /** What stands in an empty text's place: the tokenizer's BOS token, else its EOS; null if it has neither. */
  readonly emptyId: number | null;
  /** What stands for a token that is to be told; null if the tokenizer names none. */
  readonly maskId: number | null;
  /** Ids that end a text. */
  readonly eosIds: readonly number[];
  /** Control signs, which are never text: their ids, and how they are written. */
  readonly specialTokens: ReadonlyMap<number, string>;
  /** The text alone: nothing put before or after. */
  encode(text: string): number[];
  /** `documentStart`, then the text. */
  encodeDocument(text: string): number[];
  /**
   * One text, or a pair of them, framed as the tokenizer's post-processor has it: as models read texts whole.
   *
   * @param texts the ids of each
   * @throws EspalierError PAIRS_UNSUPPORTED if the tokenizer has no way to frame a pair
   */
  frame(texts: readonly (readonly number[])[], longest: number): FramedText;
  /** The text of the ids, special ids left out. A character cut off at an end comes out as U+FFFD. */
  decode(ids: readonly number[]): string;
}

/**
 * Reads the tokenizer of a model folder. Ids that the model has no row for are refused wherever they would be used: its encoders
 * throw EspalierError UNKNOWN_TOKEN.
 *
 * A document begins as the tokenizer's post-processor has it. Where that adds nothing, it begins with the model's BOS
 * token, which such models (GPT-2 and its kin) were trained to see between documents.
 *
 * @param embeddingRows of the model; 0 if that is not known
 * @throws EspalierError TOKENIZER_MISSING if the folder has no tokenizer.json; INVALID_TOKENIZER or UNSUPPORTED_TOKENIZER, with
 *   the component, if it cannot be used, or if not with this model; UNKNOWN_TOKEN if that is so of what begins each document;
 *   INVALID_JSON
 */
export async function loadTokenizer(folder: string, embeddingRows = 0): Promise<Tokenizer> {
  const [file, special, config] = await Promise.all([
    // What reads it has bounds of its own.
    readJson(folder, "tokenizer.json", Number.POSITIVE_INFINITY),
    readSpecialTokens(folder),
    readModelConfig(folder),
  ]);
  if (!file)
    throw new EspalierError("TOKENIZER_MISSING", "the model's folder has no tokenizer.json, without which text cannot be read or written");
  const { vocabulary, addedTokens, framing, ...definition } = withinBounds(readDefinition)(file);
  const [encode, decode] = [withinBounds(definition.encode), withinBounds(definition.decode)];
  const ownStart = startOf(framing);
  const rows = embeddingRows || Number.POSITIVE_INFINITY;
  const extra = new Set(addedTokens.map((t) => t.content));
  // Added tokens without a row are common, and seldom come in a text; others are of another model's vocabulary.
  for (const [token, id] of vocabulary)
    if (id >= rows && !extra.has(token))
      throw new EspalierError(
        "INVALID_TOKENIZER",
        `tokenizer.json is not this model's: its token ${JSON.stringify(token)} has the id ${id}, and the model's embedding has ${rows} rows`,
        { component: "model", problem: `an id of ${id}, with ${rows} rows in the embedding` },
      );
  const withRows = (ids: number[], what = "the text"): number[] => {
    const id = ids.find((i) => i >= rows);
    if (id === undefined) return ids;
    const token = addedTokens.find((t) => t.id === id)?.content ?? null;
    throw new EspalierError(
      "UNKNOWN_TOKEN",
      `${what} has the token ${id}${token === null ? "" : ` (${JSON.stringify(token)})`} of the tokenizer, and the model's embedding has ${rows} rows, from 0`,
      { tokenId: id, vocabularySize: rows },
    );
  };
  const idOf = (name: string): number | undefined => {
    const token = special[name];
    return typeof token === "string" ? vocabulary.get(token) : undefined;
  };
  const [ownBosId, eosId, maskId] = [idOf("bos_token"), idOf("eos_token"), idOf("mask_token")];
  const bosId = config.bosId ?? ownBosId ?? null;
  const documentStart = withRows(ownStart.length > 0 || bosId === null ? [...ownStart] : [bosId], "the beginning of every document");
  return {
    vocabularySize: Math.min(rows, [...vocabulary.values()].reduce((a, b) => Math.max(a, b), -1) + 1),
    documentStart,
    ownStart,
    emptyId: ownBosId ?? eosId ?? bosId ?? config.eosIds[0] ?? null,
    maskId: maskId ?? addedTokens.find(({ content }) => content === "[MASK]" || content === "<mask>")?.id ?? null,
    eosIds: config.eosIds.length > 0 || eosId === undefined ? config.eosIds : [eosId],
    specialTokens: new Map(addedTokens.filter((t) => t.special).map((t) => [t.id, t.content])),
    encode: (text) => withRows(encode(text)),
    encodeDocument: (text) => [...documentStart, ...withRows(encode(text))],
    frame(texts, longest) {
      if (texts.length === 2 && !framing.pair)
        throw new EspalierError("PAIRS_UNSUPPORTED", "the tokenizer's post-processor has no template for a pair of texts");
      const found = framed(framing, texts, longest);
      withRows([...found.ids], "what frames a text");
      return found;
    },
    decode,
  };
}
