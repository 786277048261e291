import { EspalierError } from "../errors.ts";
import { numberAt } from "../number-at.ts";
import { seededRandom, shuffled } from "../random.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { RecoveryOptions } from "./options.ts";

/** Texts as rows of one run: each token, and the one that follows it. */
export interface TextBatch {
  /** [B, T] */
  readonly ids: readonly (readonly number[])[];
  /** [B, T]: the token that follows each; 0 on padding. */
  readonly targets: readonly (readonly number[])[];
  /** [B * T]: how much each token counts; 0 on padding. */
  readonly weights: Float32Array;
  /** Tokens that count. */
  readonly tokens: number;
}

/** The rows of a batch by smaller ones, whose losses and gradients add up to its own. */
export function inParts(batch: TextBatch, rows: number): TextBatch[] {
  const { ids, targets, weights } = batch;
  if (ids.length === rows) return [batch];
  const T = ids[0]?.length ?? 0;
  const empty = Array.from({ length: T }, () => 0);
  return Array.from({ length: Math.ceil(ids.length / rows) }, (_, k) => {
    const own = (of: TextBatch["ids"]) => Array.from({ length: rows }, (_, i) => of[k * rows + i] ?? empty);
    const counts = new Float32Array(rows * T);
    counts.set(weights.subarray(k * rows * T, (k + 1) * rows * T));
    return { ids: own(ids), targets: own(targets), weights: counts, tokens: counts.reduce((n, w) => n + (w > 0 ? 1 : 0), 0) };
  });
}

/** Of a document so many characters are looked at to learn how long its tokens are. */
const sampleLength = 1_000;

/** Where a text lies. */
interface Passage {
  readonly document: number;
  readonly start: number;
  readonly end: number;
}

/**
 * The texts of a run: its documents cut into passages of about T tokens, in an order drawn from the seed. The first are held back, the others are
 * trained on, again and again if need be, each time in another order. Which text comes when depends on nothing but documents, options and seed.
 */
export class RecoveryTexts {
  private readonly heldBackPassages: readonly Passage[];
  private readonly trainedPassages: readonly Passage[];

  /** @throws EspalierError RECOVERY_TEXT_TOO_SHORT if there are too few for those that are held back and a step */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly documents: readonly string[],
    private readonly options: Pick<RecoveryOptions, "sequenceLength" | "batchSize" | "accumulate" | "heldBackTexts" | "seed">,
  ) {
    const { heldBackTexts, batchSize, accumulate, seed } = options;
    const all = shuffled(seededRandom(seed, "recovery/texts"), passagesOf(tokenizer, documents, options.sequenceLength));
    const needed = heldBackTexts + batchSize * accumulate;
    if (all.length < needed)
      throw new EspalierError(
        "RECOVERY_TEXT_TOO_SHORT",
        `the dataset has ${all.length} passages of ${options.sequenceLength} tokens; ${needed} are needed, ${heldBackTexts} of them to be held back`,
        { passages: all.length, needed },
      );
    this.heldBackPassages = all.slice(0, heldBackTexts);
    this.trainedPassages = all.slice(heldBackTexts);
  }

  /** Those that are never trained on. All tokens count alike; their losses add up to the mean. */
  heldBack(): TextBatch[] {
    return this.batches(this.heldBackPassages);
  }

  /** Steps in which no text comes twice. */
  get stepsOfOneRound(): number {
    return Math.floor(this.trainedPassages.length / (this.options.batchSize * this.options.accumulate));
  }

  /** Those of a step, from 0. All tokens of the step count alike. */
  ofStep(step: number): TextBatch[] {
    const count = this.options.batchSize * this.options.accumulate;
    return this.batches(Array.from({ length: count }, (_, i) => this.trainedAt(step * count + i)));
  }

  private trainedAt(place: number): Passage {
    const round = Math.floor(place / this.trainedPassages.length);
    if (round !== this.round) {
      this.order = shuffled(seededRandom(this.options.seed, `recovery/round/${round}`), this.trainedPassages);
      this.round = round;
    }
    return this.order[place % this.trainedPassages.length] as Passage;
  }
  private round = -1;
  private order: readonly Passage[] = [];

  private batches(passages: readonly Passage[]): TextBatch[] {
    const { batchSize: B, sequenceLength: T } = this.options;
    const rows = passages.map(({ document, start, end }) => {
      const ids = this.tokenizer.encodeDocument((this.documents[document] as string).slice(start, end));
      return ids.slice(0, T + 1);
    });
    const total = rows.reduce((n, row) => n + Math.max(0, row.length - 1), 0);
    return Array.from({ length: Math.ceil(rows.length / B) }, (_, k) => {
      const own = Array.from({ length: B }, (_, i) => rows[k * B + i] ?? []);
      const weights = new Float32Array(B * T);
      for (const [i, row] of own.entries()) weights.fill(1 / total, i * T, i * T + Math.max(0, row.length - 1));
      const padded = (row: readonly number[], from: number) =>
        Array.from({ length: T }, (_, t) => (t < row.length - 1 ? numberAt(row, t + from) : 0));
      return {
        ids: own.map((row) => padded(row, 0)),
        targets: own.map((row) => padded(row, 1)),
        weights,
        tokens: own.reduce((n, row) => n + Math.max(0, row.length - 1), 0),
      };
    });
  }
}

/** Each document in passages of as many characters as T tokens and one have, cut between words. What is left over at its end is passed over if it is short. */
function passagesOf(tokenizer: Tokenizer, documents: readonly string[], T: number): Passage[] {
  const found: Passage[] = [];
  for (const [document, text] of documents.entries()) {
    const sample = text.slice(0, sampleLength);
    const tokens = tokenizer.encode(sample).length;
    if (tokens < 2) continue;
    // A tenth more: passages differ, and what is too much is cut off.
    const length = Math.ceil((1.1 * (T + 1) * sample.length) / tokens);
    for (let start = 0; start < text.length; ) {
      const end = wordEnd(text, start + length);
      if (start === 0 || text.length - start > length / 2) found.push({ document, start, end });
      start = end;
    }
  }
  return found;
}

/** The end of the word that lies across a place; of a text without spaces, the place itself or one beside it that splits no character. */
function wordEnd(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const end = text.slice(at, at + 64).search(/\s/u);
  if (end >= 0) return at + end;
  return at + (/^[\uDC00-\uDFFF]/.test(text.slice(at, at + 1)) ? 1 : 0);
}
