import { EspalierError } from "../errors.ts";
import { type Random, randomInteger, seededRandom } from "../random.ts";
import { type PerturbationKind, perturbations } from "./perturb.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { nextTokens, type View } from "./view.ts";

interface CalibrationOptions {
  readonly samples: number;
  /** T: tokens of each view at most, the document's start included. */
  readonly sequenceLength: number;
  readonly seed: number;
}

interface ViewOptions {
  readonly sequenceLength: number;
  readonly seed: number;
  readonly perturbation: { readonly kind: PerturbationKind; readonly rate: number; readonly regenerate: boolean };
}

/** The two views of one sample, each of at most T tokens. */
export interface Views {
  readonly unperturbed: View;
  readonly perturbed: View;
}

/** More characters a token than any tokenizer makes of running text; what is too much is cut off again. */
const charactersPerToken = 8;
/** Texts of a token may be among others, not be all there is. */
const mostTries = 100;

/**
 * Draws texts of about `sequenceLength` tokens, cut at word boundaries, from anywhere in the documents. Each has its own
 * stream of chance, so asking for more keeps those there were.
 *
 * @param documents at least one that is not empty
 * @throws EspalierError INVALID_DATASET if hardly any has two tokens
 */
export function calibrationSamples(
  tokenizer: Tokenizer,
  documents: readonly string[],
  { samples, sequenceLength, seed }: CalibrationOptions,
): string[] {
  return Array.from({ length: samples }, (_, i) => {
    const random = seededRandom(seed, `calibration/${i}`);
    for (let tries = 0; tries < mostTries; tries++) {
      const wide = window(documents, sequenceLength * charactersPerToken, random);
      const tokens = tokenizer.encode(wide).length;
      // Of one token there is nothing to predict: such a text would say of every structure that it does nothing.
      if (tokenizer.documentStart.length + tokens < 2) continue;
      return tokens <= sequenceLength ? wide : wide.slice(0, wordEnd(wide, Math.ceil((wide.length * sequenceLength) / tokens)));
    }
    throw new EspalierError("INVALID_DATASET", "the calibration texts are too short: almost none has a token to predict");
  });
}

/** A stretch of at most `length` characters; every place of every document is as likely as any other. */
function window(documents: readonly string[], length: number, random: Random): string {
  const starts = documents.map((d) => (d.trim() === "" ? 0 : Math.max(1, d.length - length)));
  let at = randomInteger(
    random,
    starts.reduce((a, b) => a + b, 0),
  );
  const d = starts.findIndex((n) => {
    if (at < n) return true;
    at -= n;
    return false;
  });
  const document = documents[d] as string;
  const start = at === 0 ? 0 : wordEnd(document, at);
  return document.slice(start, wordEnd(document, start + length)).trim();
}

/** The end of the word that lies across `at`; of a text written without spaces, the next whole character. */
function wordEnd(text: string, at: number): number {
  const end = text.slice(at, at + 64).search(/\s/u);
  if (end >= 0) return at + end;
  return at + (/^[\uDC00-\uDFFF]/.test(text.slice(at, at + 1)) ? 1 : 0);
}

const begun = (tokenizer: Tokenizer, ids: readonly number[], length: number): number[] =>
  [...tokenizer.documentStart, ...ids].slice(0, length);

/** Token ids of a text as it is, at most so many. It begins as documents do. */
export const view = (tokenizer: Tokenizer, text: string, sequenceLength: number): number[] =>
  begun(tokenizer, tokenizer.encode(text), sequenceLength);

/**
 * The two views of a sample: its text as it is, and perturbed. Both begin as documents do.
 *
 * @param sample the sample's place, and
 * @param iteration the pruning iteration: together with the seed they determine the perturbation
 */
export function views(tokenizer: Tokenizer, text: string, options: ViewOptions, sample: number, iteration: number): Views {
  const { kind, rate, regenerate } = options.perturbation;
  const random = seededRandom(options.seed, `perturbation/${sample}/${regenerate ? iteration : 0}`);
  return {
    unperturbed: nextTokens(view(tokenizer, text, options.sequenceLength)),
    perturbed: nextTokens(begun(tokenizer, perturbations[kind](tokenizer, text, rate, random), options.sequenceLength)),
  };
}
