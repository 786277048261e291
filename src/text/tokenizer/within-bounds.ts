import { EspalierError } from "../../errors.ts";

/** What JavaScript says where a tokenizer nests or grows beyond all bounds, and what that means. */
const beyond: readonly (readonly [said: RegExp, problem: string])[] = [
  [/^Maximum call stack/, "it is nested too deeply"],
  [/^Invalid (string|array) length/, "it makes too much of a text"],
  [/^Invalid regular expression/, "a regular expression of it is too large"],
];

/**
 * The same work on a model's own tokenizer, which can be anything.
 *
 * @throws EspalierError INVALID_TOKENIZER where it is beyond what can be computed
 */
export const withinBounds =
  <Args extends readonly unknown[], Result>(work: (...args: Args) => Result): ((...args: Args) => Result) =>
  (...args) => {
    try {
      return work(...args);
    } catch (error) {
      const message = error instanceof RangeError || error instanceof SyntaxError ? error.message : "";
      const [, problem] = beyond.find(([said]) => said.test(message)) ?? [];
      if (problem === undefined) throw error;
      // Without its cause, which may repeat a pattern of megabytes.
      throw new EspalierError("INVALID_TOKENIZER", `tokenizer.json cannot be used: ${problem}`, { problem });
    }
  };
