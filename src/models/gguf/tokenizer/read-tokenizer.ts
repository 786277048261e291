import { EspalierError } from "../../../errors.ts";
import { isWhole } from "../../../is-whole.ts";
import type { Metadata, Value } from "../container.ts";
import { type Json, preTokenizerNamed, preTokenizers } from "./pre-tokenizers.ts";
import { mergesOfScores } from "./score-merges.ts";
import { tokenTypes } from "./token-types.ts";

/** Files of a folder in the Hugging Face layout, by name. */
export interface TokenizerFiles {
  readonly "tokenizer.json": Json;
  readonly "tokenizer_config.json": Json;
  /** What comes to config.json. */
  readonly config: Json;
}

/** Of a file's metadata under `tokenizer.`, with what is wrong with it. */
class Tokenizing {
  constructor(
    private readonly metadata: Metadata,
    private readonly file: string,
  ) {}

  value = (key: string): Value | undefined => this.metadata.get(`tokenizer.${key}`);

  fail(key: string, expected: string): never {
    const name = `tokenizer.${key}`;
    const value = this.value(key);
    const shown = value === undefined ? "not stated" : JSON.stringify(value).slice(0, 100);
    throw new EspalierError("INVALID_GGUF", `${this.file}: metadata "${name}" is ${shown}; ${expected} was expected`, {
      file: this.file,
      key: name,
    });
  }

  refuse(key: string, message: string): never {
    const name = `tokenizer.${key}`;
    throw new EspalierError("UNSUPPORTED_TOKENIZER", `${this.file}: ${message}`, { file: this.file, component: name, problem: message });
  }

  texts(key: string): readonly string[] {
    const value = this.value(key);
    return Array.isArray(value) && value.every((v) => typeof v === "string") ? (value as string[]) : this.fail(key, "a list of texts");
  }

  /** As many as there are tokens; undefined if there are none. */
  numbers(key: string, count: number): readonly number[] | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    const right = Array.isArray(value) && value.length === count && value.every((v) => typeof v === "number");
    return right ? (value as number[]) : this.fail(key, `a list of ${count} numbers`);
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    return typeof value === "boolean" ? value : this.fail(key, "true or false");
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    return value === undefined || typeof value === "string" ? value : this.fail(key, "a text");
  }

  /** The id of a token with a part to play; undefined for none. */
  id(key: string, count: number): number | undefined {
    const value = this.value(key);
    if (value === undefined || value === 0xffffffff || value === -1) return undefined;
    return isWhole(value, 0, count - 1) ? value : this.fail(key, `a token's id, below ${count}`);
  }
}

/** A kind of tokenizer: the parts of a tokenizer.json, and whether a text begins with BOS unless the file says otherwise. */
interface Kind {
  readonly parts: Json;
  readonly addsBos: boolean;
}

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly types: readonly number[] | undefined;
}

/** Of how many characters a piece may be joined: how it comes about is worked out for each place that it can be cut at. */
const longestPiece = 256;

const typeOf = ({ types }: Vocabulary, id: number): number => types?.[id] ?? tokenTypes.normal;

/** Token to id, of those that texts are cut into. */
function pieces(vocabulary: Vocabulary, fail: (expected: string) => never): Record<string, number> {
  const ids = new Map<string, number>();
  for (const [id, token] of vocabulary.tokens.entries()) {
    if (typeOf(vocabulary, id) === tokenTypes.unused) continue;
    if (ids.has(token)) fail(`each token once, but ${JSON.stringify(token)} is both ${ids.get(token)} and ${id}`);
    ids.set(token, id);
  }
  return Object.fromEntries(ids);
}

/** Byte pairs of bytes that are written as characters, joined in the order of the merges. */
function byteLevelPairs(given: Tokenizing, vocabulary: Vocabulary): Kind {
  const name = given.text("ggml.pre") ?? "default";
  const found = preTokenizerNamed(name);
  if (!found) {
    const known = preTokenizers.flatMap(({ names }) => names);
    return given.refuse(
      "ggml.pre",
      `metadata "tokenizer.ggml.pre" is "${name}", by which texts are not cut here; known are ${known.join(", ")}`,
    );
  }
  const model = {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: found.ignoresMerges ?? false,
    vocab: pieces(vocabulary, (expected) => given.fail("ggml.tokens", expected)),
    merges: given.texts("ggml.merges"),
  };
  const decoder = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };
  return { parts: { normalizer: found.normalizer, pre_tokenizer: found.preTokenizer, decoder, model }, addsBos: found.addsBos ?? false };
}

/** Characters, joined where the token that comes of it has the highest score; as Hugging Face says the same with merges. */
function scoredPieces(given: Tokenizing, vocabulary: Vocabulary): Kind {
  const { tokens } = vocabulary;
  const scores = given.numbers("ggml.scores", tokens.length) ?? given.fail("ggml.scores", `a list of ${tokens.length} numbers`);
  const long = tokens.findIndex((token) => token.length > longestPiece);
  if (long >= 0) given.fail("ggml.tokens", `texts of at most ${longestPiece} characters, which token ${long} is not, and that`);
  const joined = (id: number) => [tokenTypes.normal, tokenTypes.userDefined].includes(typeOf(vocabulary, id) as never);
  const unknown = given.id("ggml.unknown_token_id", tokens.length);
  const prefixed = given.flag("ggml.add_space_prefix", true);
  const toMark = { type: "Replace", pattern: { String: " " }, content: "▁" };
  const decoders = [{ type: "Replace", pattern: { String: "▁" }, content: " " }, { type: "ByteFallback" }, { type: "Fuse" }];
  return {
    parts: {
      normalizer: prefixed ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, toMark] } : toMark,
      pre_tokenizer: null,
      decoder: { type: "Sequence", decoders: prefixed ? [...decoders, { type: "Strip", content: " ", start: 1, stop: 0 }] : decoders },
      model: {
        type: "BPE",
        dropout: null,
        unk_token: unknown === undefined ? null : tokens[unknown],
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
        vocab: pieces(vocabulary, (expected) => given.fail("ggml.tokens", expected)),
        merges: mergesOfScores(tokens, scores, joined),
      },
    },
    addsBos: true,
  };
}

const kinds: Readonly<Record<string, (given: Tokenizing, vocabulary: Vocabulary) => Kind>> = { gpt2: byteLevelPairs, llama: scoredPieces };

/**
 * The tokenizer that a file's metadata describe, as Hugging Face's files say it; null if they describe none.
 *
 * @param rows of the model's embedding
 * @throws EspalierError INVALID_GGUF with the key; UNSUPPORTED_TOKENIZER with the key and what is known
 */
export function readTokenizer(metadata: Metadata, file: string, rows: number): TokenizerFiles | null {
  const given = new Tokenizing(metadata, file);
  const name = given.text("ggml.model");
  if (name === undefined || name === "none" || name === "no_vocab") return null;
  const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
  if (!kind)
    return given.refuse(
      "ggml.model",
      `metadata "tokenizer.ggml.model" is "${name}", which is not read; known are ${Object.keys(kinds).join(", ")}`,
    );
  const tokens = given.texts("ggml.tokens");
  if (tokens.length > rows)
    given.fail("ggml.tokens", `at most ${rows} tokens, one for each row of "token_embd.weight"; there are ${tokens.length}, and that`);
  const vocabulary: Vocabulary = { tokens, types: given.numbers("ggml.token_type", tokens.length) };
  const { parts, addsBos } = kind(given, vocabulary);
  const part = (key: string) => given.id(`ggml.${key}_token_id`, tokens.length);
  const [bos, eos, unknown, padding] = ["bos", "eos", "unknown", "padding"].map(part);
  const ends = [eos, part("eot"), part("eom")].filter((id) => id !== undefined);
  const begins = given.flag("ggml.add_bos_token", addsBos) && bos !== undefined;
  const named = (key: string, id: number | undefined) => (id === undefined ? {} : { [key]: tokens[id] });
  const template = given.text("chat_template");
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: addedTokens(vocabulary),
      post_processor: begins ? beginning(tokens[bos] as string, bos) : null,
      ...parts,
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      ...named("bos_token", bos),
      ...named("eos_token", eos),
      ...named("unk_token", unknown),
      ...named("pad_token", padding),
      add_bos_token: begins,
      clean_up_tokenization_spaces: false,
      ...(template === undefined ? {} : { chat_template: template }),
    },
    config: {
      ...(begins ? { bos_token_id: bos } : {}),
      ...(ends.length > 0 ? { eos_token_id: ends.length === 1 ? ends[0] : [...new Set(ends)] } : {}),
    },
  };
}

const beginning = (token: string, id: number): Json => {
  const [first, text] = [{ SpecialToken: { id: token, type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }];
  return {
    type: "TemplateProcessing",
    single: [first, text],
    pair: [first, text, { Sequence: { id: "B", type_id: 1 } }],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
};

/** Tokens that are found in a text as they stand: signs that control, and those of users. */
function addedTokens(vocabulary: Vocabulary): Json[] {
  return vocabulary.tokens.flatMap((content, id) => {
    const type = typeOf(vocabulary, id);
    const special = type === tokenTypes.control || type === tokenTypes.unknown;
    if ((!special && type !== tokenTypes.userDefined) || content === "") return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}
