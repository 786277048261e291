// A port of RE2: no pattern takes longer than its length times the text's, so that patterns of strangers can be run.
import { RE2JS, RE2JSSyntaxException } from "re2js";
import { EspalierError } from "../errors.ts";

/** Which of a pattern's matches counts. */
export const answerMatches = ["FIRST", "LAST"] as const;
export type AnswerMatch = (typeof answerMatches)[number];

/** How an answer is found in what a model wrote. */
export interface AnswerPattern {
  /** A regular expression in the syntax of RE2. */
  readonly pattern: string;
  readonly match: AnswerMatch;
}

export const longestPattern = 200;

/**
 * What finds an answer in a text: what the first group of the match holds, or all of it where the pattern has no group. White space around it does not count.
 *
 * @returns null where nothing matches
 * @throws EspalierError INVALID_PATTERN
 */
export function answerFinder({ pattern, match }: AnswerPattern): (text: string) => string | null {
  const compiled = compile(pattern);
  return (text) => {
    const matcher = compiled.matcher(text);
    let found: string | null = null;
    while (matcher.find()) {
      found = matcher.group(compiled.groupCount() > 0 ? 1 : 0) ?? "";
      if (match === "FIRST") break;
    }
    return found === null ? null : found.trim();
  };
}

function compile(pattern: string): RE2JS {
  if (pattern.length > longestPattern)
    throw new EspalierError("INVALID_PATTERN", `the pattern has ${pattern.length} characters; at most ${longestPattern} are taken`);
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw error;
    throw new EspalierError(
      "INVALID_PATTERN",
      `the pattern is no regular expression that can be used (${error.message}): it is written as for RE2, without back references and look-around`,
    );
  }
}
