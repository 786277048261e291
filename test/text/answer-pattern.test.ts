import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerFinder, longestPattern } from "../../src/text/answer-pattern.ts";

describe("answer pattern", () => {
  const rows: readonly (readonly [pattern: string, match: "FIRST" | "LAST", text: string, found: string | null])[] = [
    ["(-?\\d+)", "FIRST", "It is 12, or 13.", "12"],
    ["(-?\\d+)", "LAST", "It is 12, or -13.", "-13"],
    ["#### *(.*)", "FIRST", "6 * 7 = 42\n####  42 \nnext", "42"],
    ["yes|no", "FIRST", "Well, no. yes", "no"],
    ["(?i)answer: (\\w+)", "FIRST", "ANSWER: Ahab", "Ahab"],
    ["(a)|(b)", "FIRST", "b", ""],
    ["x", "LAST", "", null],
    ["x*", "LAST", "ab", ""],
  ];
  for (const [pattern, match, text, found] of rows)
    it(`${pattern} finds ${JSON.stringify(found)} ${match} in ${JSON.stringify(text)}`, () =>
      assert.equal(answerFinder({ pattern, match })(text), found));

  it("takes no longer for patterns that others never finish", () => {
    const text = "a".repeat(20_000);
    for (const pattern of ["(a+)+$b", "(a|a)*b", "(a*)*b", "(.*)*x", "^(([a-z])+.)+[A-Z]([a-z])+$"]) {
      const before = process.cpuUsage();
      assert.equal(answerFinder({ pattern, match: "LAST" })(text), null);
      const { user, system } = process.cpuUsage(before);
      assert.ok(user + system < 3e6, `${pattern} took ${(user + system) / 1000} ms of the processor`);
    }
  });

  it("is refused where it is no regular expression of RE2, or takes too much", () => {
    for (const pattern of ["(", "(?=a)", "(a)\\1", "((a{100}){100}){10}", "a".repeat(longestPattern + 1)])
      assert.throws(() => answerFinder({ pattern, match: "FIRST" }), { code: "INVALID_PATTERN" }, pattern);
  });
});
