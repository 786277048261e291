import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { StopStrings } from "../../src/inference/stop-strings.ts";

const special = new Map([
  [7, "<|im_start|>"],
  [8, "<|im|>"],
  [9, "<|im|><|im|>"],
]);

/** Pieces of text, and ids of special tokens; gives what came out, and whether it was stopped. */
function run(stop: readonly string[], signs: readonly (string | number)[]): { text: string; stopped: boolean } {
  const strings = new StopStrings(stop, special);
  let text = "";
  for (const sign of signs) {
    const found = typeof sign === "string" ? strings.push(sign) : strings.push("", sign);
    text += found.text;
    if (found.stopped) return { text, stopped: true };
  }
  return { text: text + strings.flush(), stopped: false };
}

describe("stop strings", () => {
  it("end a text where the first of them is whole, however the text is cut into pieces", () => {
    const seed = Date.now();
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(letters, { minLength: 1, maxLength: 3 }), fc.array(letters, { maxLength: 12 }), (stop, pieces) => {
        const whole = pieces.join("");
        const ends = stop.flatMap((s) => (whole.includes(s) ? [{ from: whole.indexOf(s), to: whole.indexOf(s) + s.length }] : []));
        const first = ends.sort((a, b) => a.to - b.to || a.from - b.from)[0];
        assert.deepEqual(run(stop, pieces), { text: whole.slice(0, first?.from), stopped: first !== undefined });
      }),
      { seed, numRuns: 500 },
    );
  });

  it("may be special tokens, alone or with text, which then ends before the string", () => {
    assert.deepEqual(run(["<|im_start|>"], ["Hi", 7, "user"]), { text: "Hi", stopped: true });
    assert.deepEqual(run(["a<|im_start|>"], ["bana", 7]), { text: "ban", stopped: true });
    assert.deepEqual(run(["a<|im_start|>"], ["bana", "n", 7]), { text: "banan", stopped: false });
    assert.deepEqual(run(["<|im_start|>us"], ["a", 7, "u", 7, "us", "er"]), { text: "au", stopped: true });
    assert.deepEqual(run(["<|im|><|im|>x"], ["a", 9, "x"]), { text: "a", stopped: true });
  });

  it("are found where the characters of a special token are written", () =>
    assert.deepEqual(run(["a<|im_start|>"], ["a<|im_", "start|>b"]), { text: "", stopped: true }));

  it("do not see special tokens that they do not hold", () => {
    assert.deepEqual(run(["ab"], ["xa", 7, "b"]), { text: "x", stopped: true });
    assert.deepEqual(run(["start"], ["x", 7, "y"]), { text: "xy", stopped: false });
    assert.deepEqual(run(["a<|im_start|>"], ["a", 8, 7]), { text: "", stopped: true });
  });
});
