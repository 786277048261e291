import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seededRandom } from "../../src/random.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { dictionary } from "../../src/text/dictionary.ts";
import { edits, neighbours } from "../../src/text/edits.ts";
import { anyWords, perturbationKinds, perturbations, perturbTokens, perturbWords, realWords } from "../../src/text/perturb.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { testModels } from "../support/models.ts";

const tokenizer = await loadTokenizer((testModels[0] as (typeof testModels)[0]).folder);
const text = ((await loadDataset({ name: "literature-heldout" })).documents[3] as string).slice(0, 6000);
const wordsOf = (s: string) => s.match(/\p{L}+(?:['’]\p{L}+)*/gu) ?? [];
const isKnown = (word: string) => dictionary().has(word);

/** The least number of single edits (adjacent swaps among them) from one word to the other is 1. */
function oneEditApart(a: string, b: string): boolean {
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const [x, y] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  return x.length + y.length === 1 || (x.length === 1 && y.length === 1) || (x.length === 2 && x === [...y].reverse().join(""));
}

describe("edits", () => {
  it("make the paper's examples", () => {
    assert.ok(edits.swap([..."later"]).includes("alter"));
    assert.ok(edits.replace([..."happy"]).includes("nappy"));
    assert.ok(edits.insert([..."host"]).includes("ghost"));
    assert.ok(edits.delete([..."pears"]).includes("pars"));
    for (const [word, other] of [
      ["later", "alter"],
      ["happy", "nappy"],
      ["host", "ghost"],
    ] as const)
      assert.ok(realWords(word).flat().includes(other), other);
  });

  it("find every dictionary word one edit away, and nothing else", () => {
    for (const word of ["later", "whale", "i", "sea", "constitution"]) {
      const found = new Set(neighbours(word, isKnown).flat());
      const expected = [...dictionary()].filter((other) => oneEditApart(word, other));
      assert.deepEqual([...found].sort(), expected.sort(), word);
    }
  });
});

describe("perturbed words", () => {
  const seeds = fc.integer({ min: 0, max: 0xffffffff });
  const rates = fc.double({ min: 0, max: 1, noNaN: true });

  it("REAL_WORD: dictionary words, one edit from what they replace, in its case; all else stays", () => {
    fc.assert(
      fc.property(seeds, rates, (seed, rate) => {
        const out = perturbWords(text, rate, realWords, seededRandom(seed));
        assert.equal(out.replace(/\p{L}+(?:['’]\p{L}+)*/gu, "w"), text.replace(/\p{L}+(?:['’]\p{L}+)*/gu, "w"));
        const before = wordsOf(text);
        for (const [i, word] of wordsOf(out).entries()) {
          const old = before[i] as string;
          if (word === old) continue;
          assert.ok(isKnown(word.toLowerCase()), word);
          assert.ok(oneEditApart(old.toLowerCase(), word.toLowerCase()), `${old} ${word}`);
          const upper = old.length > 1 && old === old.toUpperCase();
          assert.equal(word === word.toUpperCase(), upper, `${old} ${word}`);
          assert.equal(/^\p{Lu}/u.test(word), /^\p{Lu}/u.test(old), `${old} ${word}`);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("change the share asked for, or all that can be changed", () => {
    const words = wordsOf(text);
    const changed = (rate: number, kind: typeof realWords, seed: number) => {
      const after = wordsOf(perturbWords(text, rate, kind, seededRandom(seed)));
      return words.filter((w, i) => w !== after[i]).length;
    };
    for (const rate of [0, 0.1, 0.3, 0.5]) {
      assert.equal(changed(rate, realWords, 1), Math.round(rate * words.length));
      assert.equal(changed(rate, anyWords, 1), Math.round(rate * words.length));
    }
    const able = words.filter((w) => /^[A-Z]?[a-z']*$|^[A-Z']+$/.test(w) && realWords(w.toLowerCase()).length > 0).length;
    assert.ok(able < words.length);
    assert.equal(changed(1, realWords, 2), able);
  });

  it("use every kind of edit about equally where words allow it", () => {
    const lengths = { shorter: 0, same: 0, longer: 0 };
    const before = wordsOf(text);
    for (const [i, word] of wordsOf(perturbWords(text, 1, anyWords, seededRandom(3))).entries()) {
      const grown = word.length - (before[i] as string).length;
      lengths[grown < 0 ? "shorter" : grown > 0 ? "longer" : "same"]++;
    }
    const total = before.length;
    assert.ok(Math.abs(lengths.longer / total - 0.25) < 0.06, JSON.stringify(lengths));
    assert.ok(Math.abs(lengths.same / total - 0.5) < 0.06, JSON.stringify(lengths));
  });

  it("leave alone what is not plainly cased, and texts of other scripts in one piece", () => {
    assert.equal(perturbWords("McKinley iPhone", 1, anyWords, seededRandom(1)), "McKinley iPhone");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), seeds, rates, (s, seed, rate) => {
        assert.doesNotMatch(perturbWords(s, rate, anyWords, seededRandom(seed)), /\p{Cs}/u);
      }),
    );
  });

  it("TOKEN: ordinary tokens in place of others, as many as asked for", () => {
    const ids = tokenizer.encode(text);
    fc.assert(
      fc.property(seeds, rates, (seed, rate) => {
        const out = perturbTokens(tokenizer, ids, rate, seededRandom(seed));
        assert.equal(out.length, ids.length);
        const changes = out.filter((id, i) => id !== ids[i]);
        assert.equal(changes.length, Math.round(rate * ids.length));
        assert.ok(changes.every((id) => id < tokenizer.vocabularySize && !tokenizer.specialTokens.has(id)));
      }),
      { numRuns: 30 },
    );
  });

  it("are the same for the same seed, and others for another", () => {
    for (const kind of perturbationKinds) {
      const out = (seed: number) => perturbations[kind](tokenizer, text, 0.3, seededRandom(seed));
      assert.deepEqual(out(7), out(7), kind);
      assert.notDeepEqual(out(7), out(8), kind);
      assert.notDeepEqual(out(7), tokenizer.encode(text), kind);
    }
  });
});
