import { numberAt } from "../number-at.ts";
import { type Random, randomInteger, shuffled } from "../random.ts";
import type { FramedText } from "./tokenizer/framing.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { unpredicted, type View } from "./view.ts";

/** Of a text's tokens so many are to be told; of these so many are masked, so many replaced, and the rest left (arXiv 1810.04805). */
const [told, masked, replaced] = [0.15, 0.8, 0.1];

/** A text of which some tokens are to be told, as BERT was trained: drawn from its own, at least one. */
export function maskedView(tokenizer: Tokenizer, maskId: number, { ids, types, text }: FramedText, random: Random): View {
  const places = text.filter((t) => !tokenizer.specialTokens.has(numberAt(ids, t)));
  const chosen = shuffled(random, places).slice(0, Math.max(1, Math.round(told * places.length)));
  const [fed, targets] = [[...ids], ids.map(() => unpredicted)];
  for (const t of chosen) {
    targets[t] = numberAt(ids, t);
    const u = random();
    if (u < masked) fed[t] = maskId;
    else if (u < masked + replaced) fed[t] = ordinary(tokenizer, random);
  }
  return { ids: fed, types, targets };
}

/** A token that is no special one. */
function ordinary(tokenizer: Tokenizer, random: Random): number {
  let id: number;
  do id = randomInteger(random, tokenizer.vocabularySize);
  while (tokenizer.specialTokens.has(id));
  return id;
}
