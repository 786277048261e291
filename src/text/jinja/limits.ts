import { TemplateError } from "./template-error.ts";

/** What one rendering may take: far more than any conversation needs. */
export const largest = {
  /** Expressions and statements that are worked out, and what they give, by its size. */
  steps: 1_000_000,
  /** Characters or items that count as a step. */
  sizeOfStep: 50,
  /** Characters of a text. */
  text: 2_000_000,
  /** Items of a list. */
  items: 1_000_000,
  /** Items of a range, as in Jinja's sandbox. */
  range: 100_000,
  /** Calls of macros and loops within each other. */
  depth: 100,
  /** Bits of a whole number. */
  bits: 10_000,
} as const;

/** Of the rendering under way: nothing else runs before it ends. */
let left = 0;

export const begin = (): void => {
  left = largest.steps;
};

/** @throws TemplateError once a rendering has taken all its steps */
export function spend(steps = 1): void {
  left -= steps;
  if (left < 0) throw new TemplateError(`it takes more than ${largest.steps} steps`);
}
