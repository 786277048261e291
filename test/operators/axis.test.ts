import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Axis, concatenation, find, freeze, leaf, leavesOf, product, unify } from "../../src/operators/axis.ts";
import { rangesOf, staying } from "../../src/structures/entries.ts";

/** An axis as text: its leaves by first letter seen, `(a2 * b3)`, `(a2 | b3)`. */
function spell(...axes: Axis[]): string[] {
  const names = new Map<Axis, string>();
  const one = (a: Axis): string => {
    const root = find(a);
    if (root.parts) return `(${root.parts.axes.map(one).join(root.parts.kind === "product" ? " * " : " | ")})`;
    if (!names.has(root)) names.set(root, String.fromCharCode(97 + names.size));
    return `${names.get(root)}${root.size}`;
  };
  return axes.map(one);
}
const [B, T] = [5, 7];
const same = (a: Axis, b: Axis) => unify(a, b, "test");

describe("axes", () => {
  it("that are equal are one", () => {
    const [a, b, c] = [leaf(4), leaf(4), leaf(4)];
    same(a, b);
    same(b, c);
    assert.deepEqual(spell(a, b, c), ["a4", "a4", "a4"]);
  });

  it("of one factor, or one segment, are that: sizes of 1 are no factors, and of 0 no segments", () => {
    const a = leaf(4);
    assert.equal(product([leaf(1), a, leaf(1)]), a);
    assert.equal(concatenation([leaf(0), a, leaf(0)]), a);
    assert.deepEqual(spell(product([leaf(1), a, leaf(3)])), ["(a4 * b3)"]);
    assert.deepEqual(spell(concatenation([leaf(0), a, leaf(1)])), ["(a4 | b1)"]);
    assert.deepEqual([product([]).size, product([leaf(1)]).size], [1, 1]);
    assert.deepEqual([concatenation([]).size, concatenation([leaf(0)]).size], [0, 0]);
    assert.deepEqual([...leavesOf(leaf(1))], []);
  });

  it("refine a leaf to a product, whichever comes first", () => {
    for (const turn of [false, true]) {
      const [whole, heads, width] = [leaf(96), leaf(4), leaf(24)];
      const parts = product([heads, width]);
      if (turn) same(parts, whole);
      else same(whole, parts);
      assert.deepEqual(spell(whole, heads, width), ["(a4 * b24)", "a4", "b24"]);
    }
  });

  it("regroup as a reshape does: [B, T, 96] to [B, T, 2, 2, 24] to [B * T, 4, 24]", () => {
    const x = [leaf(B), leaf(T), leaf(96)];
    const y = [leaf(B), leaf(T), leaf(2), leaf(2), leaf(24)];
    const z = [leaf(B * T), leaf(4), leaf(24)];
    same(product(x), product(y));
    same(product(y), product(z));
    assert.deepEqual(spell(...x), ["a5", "b7", "(c2 * (d2 * e24))"]);
    assert.deepEqual(spell(...y, ...z), ["a5", "b7", "c2", "d2", "e24", "(a5 * b7)", "(c2 * d2)", "e24"]);
    assert.deepEqual([...leavesOf(x[2] as Axis)], y.slice(2).map(find));
  });

  it("align concatenations at every boundary of either", () => {
    const [q, k, v] = [leaf(8), leaf(4), leaf(4)];
    const fused = concatenation([q, k, v]);
    const other = concatenation([leaf(6), leaf(6), leaf(4)]);
    same(fused, other);
    assert.deepEqual(spell(q, k, v), ["(a6 | b2)", "c4", "d4"]);
    assert.deepEqual([find(fused).frozen, find(other).frozen], [null, null]);
  });

  it("align segments of one entry like any other", () => {
    const [a, b, c, d] = [leaf(1), leaf(3), leaf(2), leaf(2)];
    const whole = concatenation([a, b]);
    same(whole, concatenation([c, d]));
    assert.deepEqual(spell(a, b, c, d), ["a1", "(b1 | c2)", "(a1 | b1)", "c2"]);
    assert.equal(find(whole).frozen, null);
  });

  it("align factors within factors in their order", () => {
    const [outer, inner, last] = [leaf(2), leaf(3), leaf(5)];
    const first = leaf(6);
    same(first, product([outer, inner]));
    const [two, fifteen] = [leaf(2), leaf(15)];
    const whole = product([first, last]);
    same(whole, product([two, fifteen]));
    assert.deepEqual(spell(outer, inner, last, two, fifteen), ["a2", "b3", "c5", "a2", "(b3 * c5)"]);
    assert.equal(find(whole).frozen, null);
  });

  it("share the inner factor of a concatenation that is reshaped: (8+4+4) * 6", () => {
    const [q, k, v, heads, width] = [leaf(48), leaf(24), leaf(24), leaf(16), leaf(6)];
    const fused = concatenation([q, k, v]);
    same(fused, product([heads, width]));
    assert.deepEqual(spell(fused), ["((a8 | b4 | c4) * d6)"]);
    assert.deepEqual(spell(width, q, k, v, heads), ["a6", "(b8 * a6)", "(c4 * a6)", "(d4 * a6)", "(b8 | c4 | d4)"]);
  });

  it("cut a product where its inner factor allows, and freeze it where not", () => {
    const [heads, width] = [leaf(16), leaf(6)];
    const [q, rest] = [leaf(48), leaf(48)];
    same(product([heads, width]), concatenation([q, rest]));
    assert.deepEqual(spell(width, q, rest, heads), ["a6", "(b8 * a6)", "(c8 * a6)", "(b8 | c8)"]);

    const misfits: [(axes: Axis[]) => Axis, number[], (axes: Axis[]) => Axis, number[]][] = [
      [product, [4, 6], concatenation, [5, 19]],
      [product, [4, 9], product, [6, 6]],
      [product, [2, 5], concatenation, [5, 2, 3]],
    ];
    for (const [one, sizes, other, others] of misfits) {
      const [mine, yours] = [sizes.map(leaf), others.map(leaf)];
      unify(one(mine), other(yours), "Slice");
      for (const part of [...mine, ...yours]) assert.equal(find(part).frozen, "Slice", `${sizes} and ${others}`);
    }
  });

  it("tell rotary halves: (a | b) = (b | a) makes both the same", () => {
    const [first, second] = [leaf(8), leaf(8)];
    same(concatenation([first, second]), concatenation([second, first]));
    assert.equal(find(first), find(second));
  });

  it("keep the first reason for which they are frozen", () => {
    const a = leaf(4);
    freeze(a, "first");
    freeze(a, "second");
    assert.equal(a.frozen, "first");
  });

  it("freeze what is below, found before or after", () => {
    const [before, after] = [leaf(4), leaf(2)];
    const whole = leaf(8);
    same(whole, product([before, leaf(2)]));
    freeze(whole, "ReduceMean");
    same(before, product([leaf(2), after]));
    assert.equal(find(before).frozen, "ReduceMean");
    assert.equal(find(after).frozen, "ReduceMean");
  });

  it("of which one is frozen freeze the other when they meet, parts and all", () => {
    for (const turn of [false, true]) {
      const inner = leaf(2);
      const open = product([leaf(4), inner]);
      const shut = product([leaf(2), leaf(4)]);
      freeze(shut, "Softmax");
      if (turn) same(open, shut);
      else same(shut, open);
      assert.equal(find(inner).frozen, "Softmax");
    }
  });
});

describe("entries", () => {
  it("of a factor are strided, of a segment offset, of a leaf used twice both", () => {
    const [outer, mine, inner] = [leaf(2), leaf(3), leaf(4)];
    const axis = concatenation([product([outer, mine, inner]), leaf(5), mine]);
    assert.deepEqual(rangesOf(axis, mine, 1), [
      { start: 4, length: 4 },
      { start: 16, length: 4 },
      { start: 30, length: 1 },
    ]);
    assert.deepEqual(rangesOf(axis, outer, 1), [{ start: 12, length: 12 }]);
    assert.deepEqual(staying(axis, new Map([[mine, new Set([0, 1])]])), [
      { start: 8, length: 4 },
      { start: 20, length: 9 },
      { start: 31, length: 1 },
    ]);
    assert.equal(staying(leaf(7), new Map([[mine, new Set([0])]])), null);
  });
});
