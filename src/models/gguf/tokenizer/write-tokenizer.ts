import { EspalierError } from "../../../errors.ts";
import { isObject } from "../../../is-object.ts";
import { readChatTemplate } from "../../../text/chat-template.ts";
import { readJson, readModelConfig } from "../../../text/model-config.ts";
import { readBeside } from "../../../text/read-beside.ts";
import { readSpecialTokens } from "../../../text/special-tokens.ts";
import { loadTokenizer } from "../../../text/tokenizer.ts";
import type { Typed, TypedMetadata } from "../write-container.ts";
import { type Json, preTokenizers } from "./pre-tokenizers.ts";
import { tokenTypes } from "./token-types.ts";

/** A tokenizer as a file's metadata, and what users should know of it. */
export interface WrittenTokenizer {
  readonly metadata: TypedMetadata;
  readonly notes: readonly string[];
}

interface Added {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** Parts of a tokenizer.json, and its vocabulary in the order of ids. */
interface Given {
  readonly file: Json;
  readonly model: Json;
  readonly tokens: readonly string[];
  readonly types: number[];
}

const refuse = (component: string, problem: string): never => {
  throw new EspalierError("UNSUPPORTED_TOKENIZER", `tokenizer.json: ${problem}, which GGUF files cannot say`, { component, problem });
};

const text = (value: string | readonly string[]): Typed => ({ as: "TEXT", value });

/**
 * What a folder's tokenizer is in the words of GGUF: a kind, its tokens with what they are for, what is put before a text, and the template
 * of conversations.
 *
 * @param rows of the model's embedding, for each of which there is a token
 * @throws EspalierError UNSUPPORTED_TOKENIZER with the component; as `loadTokenizer`
 */
export async function writeTokenizer(folder: string, rows: number): Promise<WrittenTokenizer> {
  const file = await readJson(folder, "tokenizer.json");
  if (!file)
    return { metadata: new Map([["tokenizer.ggml.model", text("no_vocab")]]), notes: ["the model has no tokenizer, nor has the file"] };
  const [tokenizer, special, template, config] = await Promise.all([
    loadTokenizer(folder, rows),
    readSpecialTokens(folder),
    readChatTemplate((name) => readBeside(folder, name)),
    readModelConfig(folder),
  ]);
  const model = isObject(file["model"]) ? file["model"] : {};
  const added = addedOf(file).filter(({ id }) => id < rows);
  const given = { file, model, ...vocabularyOf(model, added, rows) };
  const ids = new Map(given.tokens.map((token, id) => [token, id]));
  const idOf = (name: string) => (typeof special[name] === "string" ? ids.get(special[name] as string) : undefined);
  const begins = tokenizer.documentStart;
  if (begins.length > 1) refuse("post_processor", `${begins.length} tokens are put before a text`);
  const id = (value: number | undefined): Typed | undefined => (value === undefined ? undefined : { as: "U32", value });
  const entries: readonly (readonly [string, Typed | undefined])[] = [
    ...kindOf(given),
    ["ggml.tokens", text(given.tokens)],
    ["ggml.token_type", { as: "I32", value: given.types }],
    ["ggml.bos_token_id", id(begins[0] ?? idOf("bos_token"))],
    ["ggml.eos_token_id", id(tokenizer.eosIds[0] ?? idOf("eos_token"))],
    ["ggml.eot_token_id", id(tokenizer.eosIds[1])],
    ["ggml.unknown_token_id", id(idOf("unk_token"))],
    ["ggml.padding_token_id", id(idOf("pad_token"))],
    ["ggml.add_bos_token", { as: "BOOL", value: begins.length > 0 }],
    ["ggml.add_eos_token", { as: "BOOL", value: false }],
    ["chat_template", template === null ? undefined : text(template)],
  ];
  void config;
  const stated = entries.filter((entry): entry is readonly [string, Typed] => entry[1] !== undefined);
  const further = tokenizer.eosIds.slice(2);
  return {
    metadata: new Map(stated.map(([key, value]) => [`tokenizer.${key}`, value])),
    notes: further.length > 0 ? [`of the tokens that end a text, the file names the first two; left out are ${further.join(", ")}`] : [],
  };
}

function addedOf(file: Json): Added[] {
  const list = Array.isArray(file["added_tokens"]) ? file["added_tokens"] : [];
  return list
    .filter(isObject)
    .map((token) => ({ id: Number(token["id"]), content: String(token["content"]), special: token["special"] === true }));
}

/** Every row of the embedding has a token: those without one get a name that no text has. */
function vocabularyOf(model: Json, added: readonly Added[], rows: number): Pick<Given, "tokens" | "types"> {
  const tokens = Array.from({ length: rows }, (_, id) => `[PAD${id}]`);
  const types = new Array<number>(rows).fill(tokenTypes.unused);
  for (const [token, id] of Object.entries(isObject(model["vocab"]) ? model["vocab"] : {})) {
    if (typeof id !== "number" || id >= rows) continue;
    tokens[id] = token;
    types[id] = tokenTypes.normal;
  }
  for (const { id, content, special } of added) {
    tokens[id] = content;
    types[id] = special ? tokenTypes.control : tokenTypes.userDefined;
  }
  return { tokens, types };
}

/** The kind of a tokenizer, and what that kind needs. */
function kindOf(given: Given): readonly (readonly [string, Typed])[] {
  const { model } = given;
  if (model["type"] !== undefined && model["type"] !== "BPE")
    return refuse("model", `its model is ${String(model["type"])}; BPE is written`);
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) if (model[key]) refuse("model", `its model has a ${key}`);
  return model["byte_fallback"] === true ? scoredPieces(given) : byteLevelPairs(given);
}

const same = (a: unknown, b: unknown): boolean => canonical(a) === canonical(b);

/** Without flags that change offsets alone, in one order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (key, each: unknown) => {
    if (key === "trim_offsets" || (key === "invert" && each === false)) return undefined;
    return isObject(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1))) : each;
  });
}

function byteLevelPairs({ file, model }: Given): readonly (readonly [string, Typed])[] {
  const ignores = model["ignore_merges"] === true;
  const found = preTokenizers.find(
    ({ preTokenizer, normalizer, ignoresMerges = false }) =>
      same(preTokenizer, file["pre_tokenizer"]) && same(normalizer, file["normalizer"] ?? null) && ignoresMerges === ignores,
  );
  if (!found) return refuse("pre_tokenizer", "texts are cut into words in a way that has no name (tokenizer.ggml.pre)");
  return [
    ["ggml.model", text("gpt2")],
    ["ggml.pre", text(found.names[0] as string)],
    ["ggml.merges", text(mergesIn(model).map((pair) => pair.join(" ")))],
  ];
}

function mergesIn(model: Json): readonly (readonly [string, string])[] {
  const list = Array.isArray(model["merges"]) ? model["merges"] : [];
  return list.map((merge): [string, string] => (typeof merge === "string" ? (merge.split(" ") as [string, string]) : merge));
}

const mark = "▁";
const spacesMarked = { type: "Replace", pattern: { String: " " }, content: mark };

/** Whether a space is put before a text; null for a way of marking spaces that is not known. */
function prefixes({ file }: Given): boolean | null {
  const [normalizer, cutting] = [file["normalizer"] ?? null, file["pre_tokenizer"] ?? null];
  const uncut = cutting === null || same(cutting, { type: "Split", pattern: { String: " " }, behavior: "MergedWithPrevious" });
  if (uncut && same(normalizer, { type: "Sequence", normalizers: [{ type: "Prepend", prepend: mark }, spacesMarked] })) return true;
  if (uncut && same(normalizer, spacesMarked)) return false;
  if (normalizer !== null || !isObject(cutting) || cutting["type"] !== "Metaspace" || cutting["replacement"] !== mark) return null;
  if (cutting["split"] === true) return null;
  return cutting["prepend_scheme"] === "never" ? false : cutting["prepend_scheme"] === "first" ? true : null;
}

/** Pieces with scores, which are the places of the merges that make them. */
function scoredPieces(given: Given): readonly (readonly [string, Typed])[] {
  const { model, tokens, types } = given;
  const prefixed = prefixes(given) ?? refuse("normalizer", "spaces are marked in a way that is not SentencePiece's");
  const scores = new Map<string, number>();
  let last = "";
  for (const [place, [left, right]] of mergesIn(model).entries()) {
    const made = left + right;
    if (made !== last && scores.has(made)) refuse("model", `merges that make ${JSON.stringify(made)} do not follow one another`);
    if (!scores.has(made)) scores.set(made, -place);
    last = made;
  }
  for (const [id, token] of tokens.entries())
    if (types[id] === tokenTypes.normal && /^<0x[0-9A-F]{2}>$/.test(token)) types[id] = tokenTypes.byte;
  const unknown = typeof model["unk_token"] === "string" ? tokens.indexOf(model["unk_token"]) : -1;
  if (unknown >= 0) types[unknown] = tokenTypes.unknown;
  const lowest = -scores.size - 1;
  return [
    ["ggml.model", text("llama")],
    ["ggml.pre", text("default")],
    ["ggml.scores", { as: "F32", value: tokens.map((token, id) => scores.get(token) ?? (types[id] === tokenTypes.normal ? lowest : 0)) }],
    ["ggml.add_space_prefix", { as: "BOOL", value: prefixed }],
  ];
}
