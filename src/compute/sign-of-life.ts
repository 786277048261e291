/**
 * How long a compute process may give no sign of life, by what it says it is at; milliseconds. Its thread is held by one thing at a
 * time: no work of ours takes so long at a stretch, and what takes longer does not end.
 */
export const patienceMs = {
  /** Pruning, evaluating, describing: a run of ONNX Runtime over a batch is the longest. */
  WORKING: 15 * 60_000,
  /** Opening a session on all weights. */
  LOADING: 15 * 60_000,
  /** A step of a served model, which reads at most a part of a prompt at once. */
  WRITING: 3 * 60_000,
  /** A model's own tokenizer or chat template, which can be anything: of a prompt, milliseconds. */
  READING_TEXT: 10_000,
} as const;

export type Occupation = keyof typeof patienceMs;
export type ComputePatience = Readonly<Record<Occupation, number>>;

let now: Occupation = "WORKING";
// Sending fails only when the parent is gone, and then so are we.
const say = (): void => void process.send?.({ kind: "alive", at: now }, undefined, undefined, () => {});

/** Says that this process lives, and what it is at from now on. */
export function signOfLife(at: Occupation = now): void {
  now = at;
  say();
}

/** Does something during which the thread gives no sign of life for no longer than it may. */
export function occupied<T>(at: Occupation, work: () => T): T {
  const before = now;
  signOfLife(at);
  try {
    return work();
  } finally {
    signOfLife(before);
  }
}
