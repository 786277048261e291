import { type AddedToken, addedTokens, finder } from "./added-tokens.ts";
import { bpe } from "./bpe.ts";
import { Component } from "./component.ts";
import { decoder } from "./decoders.ts";
import { type Framing, framing } from "./framing.ts";
import { normalizer } from "./normalizers.ts";
import { preTokenizer } from "./pre-tokenizers.ts";
import type { TokenModel } from "./token-model.ts";
import { unigram } from "./unigram.ts";
import { wordLevel, wordPiece } from "./word-models.ts";

/** What a tokenizer.json defines. */
export interface Definition {
  /** Token to id, those of added tokens too. */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly addedTokens: readonly AddedToken[];
  /** What the file's post-processor puts around texts. */
  readonly framing: Framing;
  /** Nothing is put before or after the text. */
  encode(text: string): number[];
  /** Special tokens, and ids that are none, are left out. */
  decode(ids: readonly number[]): string;
}

const models: Readonly<Record<string, (component: Component) => TokenModel>> = {
  BPE: bpe,
  Unigram: unigram,
  WordLevel: wordLevel,
  WordPiece: wordPiece,
};

/** Old files do not say what their model is. */
function modelOf(component: Component): TokenModel {
  if (component.has("type")) return component.choose(models)(component);
  if (component.has("merges")) return bpe(component);
  return component.has("continuing_subword_prefix")
    ? wordPiece(component)
    : component.has("unk_id")
      ? unigram(component)
      : wordLevel(component);
}

/**
 * Reads a tokenizer.json and does what Hugging Face's tokenizers do with it, token by token; what is not done the same way is
 * refused. Truncation and padding are not done: they are a caller's to ask for.
 *
 * In order: added tokens are cut out of the text, what lies between is normalised, more added tokens are cut out of that, the
 * rest is cut into words, and words become tokens.
 *
 * @throws EspalierError INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER, with the component
 */
export function readDefinition(json: unknown): Definition {
  const file = new Component(json, "");
  const model = modelOf(file.part("model"));
  const normalizing = file.optional("normalizer");
  const normalize = normalizing ? normalizer(normalizing) : (text: string) => text;
  const cutting = file.optional("pre_tokenizer");
  const cut = cutting ? preTokenizer(cutting) : (text: string) => [text];
  const decoding = file.optional("decoder");
  const decode = decoding && decoder(decoding);

  const added = file.has("added_tokens") ? addedTokens(file, model.vocabulary) : [];
  const plain = finder(
    added.filter((t) => !t.normalized),
    (content) => content,
  );
  const normalized = finder(
    added.filter((t) => t.normalized),
    normalize,
  );
  const vocabulary = new Map(model.vocabulary);
  for (const { content, id } of added) vocabulary.set(content, id);
  const tokens = new Map([...vocabulary].map(([token, id]) => [id, token]));
  const special = new Set(added.filter((t) => t.special).map((t) => t.id));

  const encode = (text: string): number[] => {
    const ids: number[] = [];
    for (const [i, piece] of plain(text).entries()) {
      if (typeof piece === "number") {
        ids.push(piece);
        continue;
      }
      // A text does not begin with what follows a character that is normalised away.
      const begins = i === 0 && normalize([...piece][0] as string) !== "";
      for (const [j, part] of normalized(normalize(piece)).entries()) {
        if (typeof part === "number") ids.push(part);
        else for (const word of cut(part, begins && j === 0)) for (const id of model.encode(word)) ids.push(id);
      }
    }
    return ids;
  };
  return {
    vocabulary,
    addedTokens: added,
    framing: framing(file.optional("post_processor")),
    encode,
    decode(ids) {
      const shown = ids.filter((id) => !special.has(id)).flatMap((id) => tokens.get(id) ?? []);
      return decode ? decode(shown).join("") : shown.join(" ");
    },
  };
}
