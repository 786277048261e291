import { EspalierError } from "../errors.ts";

/** Sums over predicted tokens. */
export interface Tally {
  /** Cross-entropy in nats. */
  readonly loss: number;
  /** Tokens that were the most probable. */
  readonly correct: number;
}

/**
 * Compares logits with the tokens that came, in float64: `loss = log(sum_v exp(z_v)) - z_target`.
 *
 * @param logits [N, V], row after row
 * @param targets [N]
 * @throws EspalierError NON_FINITE_LOGITS
 */
export function tally(logits: Float32Array, targets: readonly number[]): Tally {
  const vocabulary = logits.length / targets.length;
  let loss = 0;
  let correct = 0;
  for (const [n, target] of targets.entries()) {
    const row = n * vocabulary;
    let best = row;
    for (let i = row + 1; i < row + vocabulary; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
    const max = logits[best] as number;
    let sum = 0;
    for (let i = row; i < row + vocabulary; i++) sum += Math.exp((logits[i] as number) - max);
    loss += Math.log(sum) + max - (logits[row + target] as number);
    if (best - row === target) correct++;
  }
  if (!Number.isFinite(loss)) throw new EspalierError("NON_FINITE_LOGITS", "the model's output is infinite or not a number");
  return { loss, correct };
}
