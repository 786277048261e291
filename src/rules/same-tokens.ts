import { EspalierError } from "../errors.ts";
import type { ModelRecord } from "../store/models.ts";
import type { Store } from "../store/store.ts";
import { tokenizedModel } from "./tokenized-model.ts";

/** A model that another is to be held to, token by token. */
export interface OtherModel {
  readonly id: string;
  /** The argument that names it. */
  readonly argument: string;
  /** What it is to the model, in a word. */
  readonly what: string;
  /** The code of the refusal. */
  readonly code: string;
}

/**
 * A model whose probabilities are of the same tokens as a model's: of an equal vocabulary, with an equal tokenizer.
 *
 * @param model one with a tokenizer; null while it is being made, so that the other can be required to have one, and no more
 * @throws EspalierError the code given; MODEL_NOT_FOUND, TOKENIZER_MISSING, all with the argument that names the other
 */
export async function modelOfSameTokens(
  store: Store,
  model: ModelRecord | null,
  { id, argument, what, code }: OtherModel,
): Promise<ModelRecord> {
  const other = await tokenizedModel(store, argument, id);
  if (!model) return other.model;
  const own = await tokenizedModel(store, "input.subject", model.id);
  const tokenizerOf = ({ files }: typeof own) => files.find((f) => f.path === "tokenizer.json")?.sha256;
  const [vocabulary, its] = [model.architecture.vocabularySize, other.model.architecture.vocabularySize];
  if (vocabulary !== its) throw new EspalierError(code, `the ${what} tells ${its} tokens apart, the model ${vocabulary}`, { argument });
  if (tokenizerOf(own) !== tokenizerOf(other))
    throw new EspalierError(code, `the ${what} has another tokenizer than the model: its probabilities are of other tokens`, { argument });
  return other.model;
}
