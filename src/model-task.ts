/** What a model is for, in the field's words. */
export const modelTasks = ["CAUSAL_LM", "MASKED_LM", "CLASSIFICATION", "TOKEN_CLASSIFICATION", "EMBEDDING"] as const;
export type ModelTask = (typeof modelTasks)[number];

/** Whether tokens may see what follows them: then padding must be masked, and a loss of the next token would see its answer. */
export const seesAll = (task: ModelTask): boolean => task !== "CAUSAL_LM";

/** What a short run showed of a model's main output. */
export interface Answer {
  readonly name: string;
  /** Whether it is of each token [B, T, width], or of each text [B, width]. */
  readonly byToken: boolean;
  readonly width: number;
  /** Whether what it says of a token does not change with the tokens after it; false where it says nothing by token. */
  readonly causal: boolean;
}

/**
 * A model's task, by what it answers: nothing is known of families. Logits by token that see all tokens are of masked ones if there are as many as
 * token ids, else of classes; what is as wide as the residual stream is a vector, unless it is called logits.
 */
export function taskOf(
  { name, byToken, width, causal }: Answer,
  { vocabularySize, hiddenSize }: { readonly vocabularySize: number; readonly hiddenSize: number },
): ModelTask {
  if (causal) return "CAUSAL_LM";
  if (name !== "logits" && (width === hiddenSize || /embedding|hidden_state|pooler/.test(name))) return "EMBEDDING";
  if (!byToken) return "CLASSIFICATION";
  return width === vocabularySize ? "MASKED_LM" : "TOKEN_CLASSIFICATION";
}
