import { EspalierError } from "../errors.ts";
import { largest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import { type Labels, labelName } from "../text/labels.ts";
import type { Pooling, PoolingMode } from "../text/pooling.ts";
import type { FramedText } from "../text/tokenizer/framing.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Answered, Encoder } from "./encoder.ts";

/** A model that reads texts whole, ready to answer. */
export interface ServedEncoder {
  readonly encoder: Encoder;
  readonly tokenizer: Tokenizer;
  readonly labels: Labels;
  /** Whether classes exclude each other. */
  readonly exclusive: boolean;
  readonly pooling: Pooling;
}

/** A text, or a pair of them. */
export interface TextOrPair {
  readonly text: string;
  readonly pair?: string | null;
}

export interface ScoredLabel {
  readonly label: string;
  /** Probability: of all classes they add up to 1 where classes exclude each other. */
  readonly score: number;
}

export interface TokenLabel extends ScoredLabel {
  readonly tokenId: number;
  /** The text of the token alone. */
  readonly token: string;
}

export interface Classified {
  /** Of the text, the most probable first; empty where the model classes tokens. */
  readonly labels: readonly ScoredLabel[];
  /** Of each token of the text its most probable class; empty where the model classes texts. */
  readonly tokens: readonly TokenLabel[];
}

/** A text as the model reads it. @throws EspalierError PROMPT_TOO_LONG naming its place */
export function framedText(
  { encoder, tokenizer }: Pick<ServedEncoder, "encoder" | "tokenizer">,
  { text, pair }: TextOrPair,
  place: number,
): FramedText {
  const ids = [text, ...(pair == null ? [] : [pair])].map((t) => tokenizer.encode(t));
  const all = tokenizer.frame(ids, Number.POSITIVE_INFINITY);
  if (all.ids.length > encoder.contextLength)
    throw new EspalierError(
      "PROMPT_TOO_LONG",
      `text ${place} has ${all.ids.length} tokens with what frames it; the model reads ${encoder.contextLength} at most`,
      { index: place, tokens: all.ids.length, contextLength: encoder.contextLength },
    );
  if (all.ids.length === 0) throw new EspalierError("PROMPT_EMPTY", `text ${place} has no token`, { index: place });
  return all;
}

/** Logits as probabilities. @param exclusive whether they add up to 1 */
export function probabilities(logits: ArrayLike<number>, exclusive: boolean): number[] {
  const values = Array.from(logits);
  if (!exclusive || values.length === 1) return values.map((z) => 1 / (1 + Math.exp(-z)));
  const most = largest(values);
  const terms = values.map((z) => Math.exp(z - most));
  const sum = terms.reduce((a, b) => a + b, 0);
  return terms.map((term) => term / sum);
}

/** What class each text is of, or each of its tokens. @throws EspalierError PROMPT_TOO_LONG, PROMPT_EMPTY, PAIRS_UNSUPPORTED, NON_FINITE_LOGITS */
export async function classify(served: ServedEncoder, texts: readonly TextOrPair[]): Promise<Classified[]> {
  const { encoder, tokenizer, labels, exclusive } = served;
  const framed = texts.map((text, i) => framedText(served, text, i));
  const scored = (row: Float32Array): ScoredLabel[] =>
    probabilities(row, exclusive)
      .map((score, id) => ({ label: labelName(labels, id), score }))
      .sort((a, b) => b.score - a.score);
  return (await encoder.readAll(framed)).map(({ rows, byToken }, i): Classified => {
    if (!byToken) return { labels: scored(rows[0] as Float32Array), tokens: [] };
    const { ids, text } = framed[i] as FramedText;
    const tokens = text.map((t) => {
      const tokenId = numberAt(ids, t);
      return { tokenId, token: tokenizer.decode([tokenId]), ...(scored(rows[t] as Float32Array)[0] as ScoredLabel) };
    });
    return { labels: [], tokens };
  });
}

export interface Filling {
  readonly tokenId: number;
  readonly token: string;
  readonly probability: number;
}

/**
 * What may stand in the place of each mask of a text, each judged with the others masked; the most probable first.
 *
 * @returns by text, by mask
 * @throws EspalierError MASK_TOKEN_MISSING; MASK_MISSING if a text has none; PROMPT_TOO_LONG, NON_FINITE_LOGITS
 */
export async function fillMask(served: ServedEncoder, texts: readonly string[], topK: number): Promise<Filling[][][]> {
  const { encoder, tokenizer } = served;
  const { maskId } = tokenizer;
  if (maskId === null) throw new EspalierError("MASK_TOKEN_MISSING", "the model's tokenizer names no mask token");
  const framed = texts.map((text, i) => framedText(served, { text }, i));
  const without = framed.findIndex(({ ids }) => !ids.includes(maskId));
  if (without >= 0)
    throw new EspalierError(
      "MASK_MISSING",
      `text ${without} has no mask to fill: write ${tokenizer.specialTokens.get(maskId) ?? "it"} in its place`,
      {
        index: without,
      },
    );
  return (await encoder.readAll(framed)).map(({ rows }, i) =>
    (framed[i] as FramedText).ids.flatMap((id, t) => (id === maskId ? [mostProbable(rows[t] as Float32Array, topK, tokenizer)] : [])),
  );
}

function mostProbable(logits: Float32Array, topK: number, tokenizer: Tokenizer): Filling[] {
  const p = probabilities(logits.subarray(0, Math.min(logits.length, tokenizer.vocabularySize)), true);
  const best = [...p.keys()].sort((a, b) => numberAt(p, b) - numberAt(p, a) || a - b).slice(0, topK);
  return best.map((tokenId) => ({ tokenId, token: tokenizer.decode([tokenId]), probability: numberAt(p, tokenId) }));
}

/** Hidden states of a text's tokens as one vector. */
const poolings: Readonly<Record<PoolingMode, (rows: readonly Float32Array[]) => number[]>> = {
  MEAN: (rows) => sum(rows).map((v) => v / rows.length),
  CLS: (rows) => Array.from(rows[0] ?? []),
  LAST: (rows) => Array.from(rows.at(-1) ?? []),
  MAX: (rows) =>
    Array.from(rows[0] ?? [], (_, i) => rows.reduce((most, row) => Math.max(most, numberAt(row, i)), Number.NEGATIVE_INFINITY)),
};

function sum(rows: readonly Float32Array[]): number[] {
  const total = new Float64Array(rows[0]?.length ?? 0);
  for (const row of rows) for (const [i, value] of row.entries()) total[i] = (total[i] as number) + value;
  return [...total];
}

/** A text's vector. What a graph has pooled itself stays as it is. */
export function vectorOf({ rows, byToken }: Answered, { mode, normalize }: Pooling): number[] {
  const vector = byToken ? poolings[mode](rows) : Array.from(rows[0] ?? []);
  const by = normalize ? Math.sqrt(vector.reduce((sum, v) => sum + v * v, 0)) || 1 : 1;
  return vector.map((v) => v / by);
}

/**
 * Texts as vectors [H].
 *
 * @param asked what is to be done otherwise than the model does
 * @throws EspalierError PROMPT_TOO_LONG, PROMPT_EMPTY, NON_FINITE_LOGITS
 */
export async function embedWhole(served: ServedEncoder, texts: readonly string[], asked: Partial<Pooling> = {}): Promise<number[][]> {
  const framed = texts.map((text, i) => framedText(served, { text }, i));
  const pooling = { ...served.pooling, ...asked };
  return (await served.encoder.readAll(framed)).map((answer) => vectorOf(answer, pooling));
}
